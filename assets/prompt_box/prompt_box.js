// A box to choose a prompt, or to write one: a combobox (ARIA) with the model's words beside its list.
//
// data: { label, value, options: [{ value, text, note }], words: [{ kind, words }] }, `words` empty where the model
// reads any text. A choice goes back as the trigger `picked`. All text of the user's goes through textContent.
//
// Where the model reads any text, a new prompt is taken as it is typed. A field of one line cannot show all of it:
// blanks at the edges stand there as ␣, ends of lines as ↵, tabulators as ⇥, and are read from these again.

const MOST_SHOWN = 80; // options in the list
const MOST_SIMILAR = 6;

export default function promptBox({ data, parentElement, setTriggerValue }) {
  const root = parentElement.querySelector(".pb");
  const box = (root.box ??= new PromptBox(root));
  box.send = (value) => setTriggerValue("picked", value);
  box.take(data);
  // Streamlit also calls this when newer data overtakes older data while the component stays: then nothing ends.
  return () => {
    if (root.isConnected) return;
    box.close();
    delete root.box;
  };
}

class PromptBox {
  constructor(root) {
    this.root = root;
    this.active = 0;
    this.entries = [];
    root.replaceChildren();
    this.label = made(root, "label", "pb-label");
    const field = made(root, "div", "pb-field");
    this.input = made(field, "input", "pb-input");
    Object.assign(this.input, { type: "text", id: "pb-input", autocomplete: "off", spellcheck: false });
    this.label.htmlFor = "pb-input";
    this.popup = made(root, "div", "pb-popup");
    this.popup.hidden = true;
    const left = made(this.popup, "div", "pb-left");
    this.problem = made(left, "p", "pb-problem");
    this.problem.setAttribute("role", "status");
    this.list = made(left, "ul", "pb-list");
    Object.assign(this.list, { id: "pb-list" });
    this.list.setAttribute("role", "listbox");
    this.list.setAttribute("aria-label", "Prompts");
    this.words = made(this.popup, "div", "pb-words");
    const roles = { role: "combobox", "aria-controls": "pb-list", "aria-autocomplete": "list", "aria-expanded": "false" };
    for (const [name, value] of Object.entries(roles)) this.input.setAttribute(name, value);
    this.input.addEventListener("focus", () => this.open());
    this.input.addEventListener("pointerdown", () => (this.fresh = this.popup.hidden));
    this.input.addEventListener("click", () => {
      this.open();
      if (this.fresh) this.input.select(); // the click that opened it has set the caret
      this.fresh = false;
    });
    this.input.addEventListener("input", () => this.search());
    this.input.addEventListener("paste", (event) => this.paste(event));
    root.addEventListener("keydown", (event) => this.onKey(event));
    root.addEventListener("focusout", (event) => root.contains(event.relatedTarget) || this.close());
    this.list.addEventListener("pointerdown", (event) => event.preventDefault()); // the focus stays in the box
    this.list.addEventListener("click", (event) => {
      const row = event.target.closest("[role=option]");
      if (row) this.pick(this.entries[Number(row.dataset.place)]);
    });
  }

  take(data) {
    const words = JSON.stringify(data.words);
    if (words !== this.taken) this.fillWords(data.words);
    Object.assign(this, { data, taken: words });
    this.known = new Set(data.words.flatMap(({ words: some }) => some));
    this.label.textContent = data.label;
    if (this.popup.hidden) this.input.value = this.shownText();
    else this.refresh();
  }

  shownText() {
    return shown(this.data.options.find(({ value }) => value === this.data.value)?.text ?? this.data.value);
  }

  open() {
    if (!this.popup.hidden) return;
    this.popup.hidden = false;
    this.input.setAttribute("aria-expanded", "true");
    this.query = "";
    this.input.select();
    this.place();
    this.refresh();
    const here = this.entries.findIndex(({ value }) => value === this.data.value);
    this.activate(Math.max(0, here));
  }

  close() {
    this.popup.hidden = true;
    this.input.setAttribute("aria-expanded", "false");
    this.input.removeAttribute("aria-activedescendant");
    if (this.data) this.input.value = this.shownText();
  }

  /** As wide as the page allows, and never past its right edge. */
  place() {
    const { left } = this.root.getBoundingClientRect();
    const room = document.documentElement.clientWidth - left - 16;
    const wanted = this.data.words.length ? 720 : 480;
    this.popup.style.width = `${Math.max(this.root.clientWidth, Math.min(wanted, room))}px`;
    this.popup.classList.toggle("pb-narrow", Math.min(wanted, room) < 520);
  }

  search() {
    this.open();
    this.query = this.input.value;
    this.refresh();
    this.activate(0);
  }

  /** The list and what is said of the words typed so far. */
  refresh() {
    const text = this.known.size ? tidy(this.query) : typed(this.query);
    this.unknown = unknownWords(this.query, this.known);
    this.entries = matches(this.data.options, tidy(text)).slice(0, MOST_SHOWN);
    if (tidy(text) && !this.data.options.some(({ value }) => value === text)) {
      const whole = text.split(" ").filter((word) => this.known.size && !this.known.has(word));
      this.entries.push({ value: text, text: `Use “${shown(text)}” as a new prompt`, note: "", fresh: true, refused: whole.length > 0 });
    }
    this.problem.textContent = problemText(this.unknown, this.known);
    this.problem.hidden = !this.problem.textContent;
    this.list.replaceChildren();
    this.entries.forEach((entry, place) => this.addRow(entry, place));
  }

  addRow(entry, place) {
    const row = made(this.list, "li", entry.fresh ? "pb-option pb-fresh" : "pb-option");
    row.id = `pb-option-${place}`;
    row.dataset.place = place;
    row.setAttribute("role", "option");
    if (entry.value === this.data.value) row.classList.add("pb-current");
    if (entry.refused) row.setAttribute("aria-disabled", "true");
    made(row, "span", "pb-text", shown(entry.text));
    if (entry.note) made(row, "span", "pb-note", entry.note);
  }

  activate(place) {
    this.active = place;
    [...this.list.children].forEach((row, i) => row.setAttribute("aria-selected", String(i === place)));
    const row = this.list.children[place];
    if (!row) return this.input.removeAttribute("aria-activedescendant");
    this.input.setAttribute("aria-activedescendant", row.id);
    row.scrollIntoView({ block: "nearest" });
  }

  onKey(event) {
    const closed = this.popup.hidden;
    if (event.key === "Escape" && !closed) {
      this.close();
      this.input.focus();
      this.close();
    } else if (event.target !== this.input || event.isComposing) return;
    else if (event.key === "Enter") closed ? this.open() : this.pick(this.entries[this.active]);
    else if (event.key === "ArrowDown" || event.key === "ArrowUp") {
      if (closed) this.open();
      else this.move(event.key === "ArrowDown" ? 1 : -1);
    } else return;
    event.preventDefault();
    event.stopPropagation(); // used up here: Escape lets go of nothing else on the page
  }

  move(by) {
    const n = this.entries.length;
    if (n) this.activate((this.active + by + n) % n);
  }

  pick(entry) {
    if (!entry || entry.refused) return;
    this.data = { ...this.data, value: entry.value };
    if (entry.fresh) this.data.options = [{ value: entry.value, text: entry.value, note: "" }, ...this.data.options];
    this.input.blur();
    this.close();
    this.send(entry.value);
  }

  fillWords(kinds) {
    this.words.replaceChildren();
    this.words.hidden = !kinds.length;
    if (!kinds.length) return;
    made(this.words, "p", "pb-head", "Words this model knows");
    for (const { kind, words } of kinds) {
      const group = made(this.words, "div", "pb-kind");
      group.setAttribute("role", "group");
      group.setAttribute("aria-label", kind);
      made(group, "span", "pb-kindname", kind);
      for (const word of words) {
        const button = made(group, "button", "pb-word", word);
        button.type = "button";
        button.tabIndex = -1; // some hundred of them: typing is the keyboard's way
        button.addEventListener("pointerdown", (event) => event.preventDefault());
        button.addEventListener("click", () => this.addWord(word));
      }
    }
  }

  /** The field itself would drop the ends of lines. */
  paste(event) {
    const text = event.clipboardData?.getData("text/plain") ?? "";
    if (!/[\r\n\t]/.test(text)) return;
    event.preventDefault();
    const { selectionStart: from, selectionEnd: to } = this.input;
    this.input.setRangeText(marked(text), from, to, "end");
    this.search();
  }

  /** At the end, in place of a word that is only begun. */
  addWord(word) {
    const typed = this.query;
    const begun = /\S+$/.exec(typed)?.[0] ?? "";
    const start = begun && !this.known.has(begun) ? typed.slice(0, -begun.length) : typed;
    this.input.value = `${start.trim()} ${word} `.trimStart();
    this.search();
    this.input.focus();
  }
}

function made(parent, tag, className, text) {
  const element = document.createElement(tag);
  element.className = className;
  if (text !== undefined) element.textContent = text;
  parent.appendChild(element);
  return element;
}

/** What cannot be seen in a line, as marks. */
function marked(text) {
  return text.replace(/\r\n|\r|\n/g, "↵").replace(/\t/g, "⇥");
}

function shown(text) {
  return marked(text.replace(/^ +| +$/g, (blanks) => "␣".repeat(blanks.length)));
}

/** What a person means who typed this: the marks are what they stand for. */
function typed(text) {
  return text.replace(/␣/g, " ").replace(/↵/g, "\n").replace(/⇥/g, "\t");
}

function tidy(text) {
  return text.trim().replace(/\s+/g, " ");
}

/** Options that hold every word of the text (or its beginning), the best first; of equals in their order. */
function matches(options, text) {
  const words = text.toLowerCase().split(" ").filter(Boolean);
  const rank = (option) => {
    const own = option.text.toLowerCase();
    if (own.startsWith(words.join(" "))) return 0;
    if (own.includes(words.join(" "))) return 1;
    const parts = `${own} ${option.note.toLowerCase()}`.split(/[\s·()]+/);
    return words.every((word) => parts.some((part) => part.startsWith(word))) ? 2 : 3;
  };
  const ranked = options.map((option, place) => ({ option, place, rank: rank(option) }));
  return ranked.filter((one) => one.rank < 3).sort((p, q) => p.rank - q.rank || p.place - q.place).map((one) => one.option);
}

/** Words that the model does not know; a last word that is still being typed may become one that it knows. */
function unknownWords(typed, known) {
  if (!known.size) return [];
  const words = typed.split(/\s+/).filter(Boolean);
  const begun = /\S$/.test(typed) ? words.at(-1) : null;
  const may = (word, place) =>
    known.has(word) || (begun !== null && place === words.length - 1 && [...known].some((each) => each.startsWith(word)));
  return [...new Set(words.filter((word, place) => !may(word, place)))];
}

function problemText(unknown, known) {
  if (!unknown.length) return "";
  const first = unknown[0];
  const near = [...known].filter((word) => word[0] === first[0].toLowerCase() && word !== first).slice(0, MOST_SIMILAR);
  const named = unknown.map((word) => `“${word}”`).join(", ");
  const instead = near.length ? ` It knows ${near.join(", ")}.` : "";
  return `This model does not know ${named}.${instead}`;
}
