// The Map: layers up, words across, a signed mark a place; what came to a word from a word as arcs below.
// Called again on the same element whenever the data changes: it then updates what is there.

export default function map({ data, parentElement, setStateValue }) {
  const root = parentElement.querySelector(".tm");
  const shown = (root.map ??= new DifferenceMap(root));
  shown.send = (state) => setStateValue("marks", state);
  shown.take(data);
  // Streamlit also calls this when newer data overtakes older data while the component stays: then nothing ends.
  return () => {
    if (root.isConnected) return;
    shown.close();
    delete root.map;
  };
}

class DifferenceMap {
  constructor(root) {
    this.root = root;
    this.send = () => {};
    this.heard = 0;
    this.marks = { hover: null, hoverMove: null, selected: null, move: null, pins: [] };
    this.listening = new AbortController();
    root.replaceChildren();
    this.row = element(root, "div", "tl-row tm-row");
    this.panels = [];
    this.steps = makeSteps(root, this);
    this.legend = makeLegend(root);
    const tools = makeGroup(this.legend.keys.parentElement, "Map tools");
    this.pinner = makeButton(tools, "Pin", "Pin what is selected (P)", () => this.pin(this.marks.selected));
    this.toolbar = { full: makeButton(tools, "", "Fill the screen (F)", () => toggleFull(this), "tl-fullscreen") };
    this.toolbar.full.setAttribute("aria-pressed", "false");
    this.report = makeReporter(this);
    this.sizes = new ResizeObserver(() => this.measure());
    const until = { signal: this.listening.signal, capture: true };
    root.addEventListener("transitionend", (event) => event.target === root && this.restyle(), until); // see linked.css
    root.addEventListener("fullscreenchange", () => showFull(this, root.matches(":fullscreen")), until);
    root.addEventListener("keydown", (event) => onRootKey(this, event), until);
    document.addEventListener("keydown", (event) => onPageKey(this, event), until);
  }

  close() {
    pauseSteps(this);
    this.report.stop();
    this.sizes.disconnect();
    this.listening.abort();
  }

  take(data) {
    const { head, payload } = readWire(data, this.version);
    this.payload = payload ?? this.payload;
    this.version = head.version;
    this.given = withOrders(this.given ? stateOf(this) : null, head, this.heard);
    this.heard = Math.max(this.heard, ...Object.values(head.said));
    this.named = {};
    if (payload) {
      this.number = -1;
      pauseSteps(this);
      this.scenes = [];
      this.arrange();
    }
    this.install(frameAt(this.payload.frames, this.given.step));
    this.root.style.setProperty("--tl-height", `${head.height}px`);
    this.root.style.setProperty("--tm-grow", `${head.grow}px`);
    this.restyle();
    this.measure();
    this.tell();
  }

  /** Panels for this picture. */
  arrange() {
    const { panels, split, picture } = this.payload;
    this.sizes.disconnect();
    this.row.replaceChildren();
    this.row.dataset.picture = picture;
    this.panels = panels.map((_, number) => makeMapPanel(this.row, number));
    this.panels.forEach((panel) => {
      listenTo(this, panel);
      this.sizes.observe(panel.stage);
    });
    this.over = split ? makeMapPanel(this.row, -1) : null;
    if (this.over) this.arrangeSplit(split);
  }

  /** What marks and arcs stand for, of the frame that is shown. */
  fillLegend() {
    this.legend.keys.replaceChildren();
    for (const [mark, text] of mapKeys(this.payload, this.scene.frame)) {
      const key = element(this.legend.keys, "span", "tl-key");
      if (mark) element(key, "i", mark);
      element(key, "span", "", text);
    }
  }

  arrangeSplit({ names }) {
    const { box, stage, head } = this.over;
    head.hidden = true;
    box.classList.add("tm-split");
    stage.removeAttribute("tabindex");
    stage.setAttribute("role", "img");
    stage.setAttribute("aria-label", `How the parts came about, from ${names[0]} to ${names.at(-1)}, by word and by layers`);
    stage.addEventListener("click", (event) => {
      if (!this.axis) return;
      const part = (event.clientX - stage.getBoundingClientRect().left) / zoomOf(stage) - this.axis.first;
      const at = Math.round((part / (this.axis.last - this.axis.first)) * (names.length - 1));
      this.goTo(Math.max(1, Math.min(names.length - 1, at)) - 1);
    });
    this.sizes.observe(stage);
  }

  /** What Python says anew of the frame that is shown leaves the pointer and the keyboard where they are. */
  install(number) {
    const isOther = number !== this.number;
    this.number = number;
    this.scene = this.scenes[number] ??= makeMapScene(this.payload, number);
    const { selected, edge, pins } = stateOf(this);
    const place = (id) => placeOf(this.payload, id);
    const move = moveOf(this.payload, edge);
    Object.assign(this.marks, { selected: place(selected), move, pins: pins.map(place).filter(Boolean) });
    if (isOther) {
      Object.assign(this.marks, { hover: null, hoverMove: null });
      this.panels.forEach((panel) => fillMapPanel(panel, this.scene.frame, this.payload.description));
    }
    this.fillLegend();
    fillSteps(this.steps, this);
  }

  restyle() {
    this.colours = themeColours(this.root, this.payload.palette);
    for (const [name, value] of Object.entries(this.colours)) this.root.style.setProperty(`--tl-${name}`, value);
    this.draw();
  }

  measure() {
    for (const panel of [...this.panels, ...(this.over ? [this.over] : [])]) {
      [panel.width, panel.height] = [panel.stage.clientWidth, panel.stage.clientHeight];
    }
    this.draw();
  }

  draw() {
    if (!this.colours) return;
    const ctx = (this.pen ??= document.createElement("canvas").getContext("2d"));
    const measure = (text, bold) => {
      ctx.font = `${bold ? "700 " : ""}${LABEL_PX}px ${this.colours.font}`;
      return ctx.measureText(text).width;
    };
    for (const panel of this.panels) {
      if (!panel.width || !panel.height) continue;
      panel.at = placeMap(this.payload, this.scene, panel.width, panel.height, measure);
      const { payload, scene, marks, colours } = this;
      panel.picture = { payload, scene, panel: panel.number, at: panel.at, marks, colours, measure };
      drawMap(panel.svg, panel.picture);
    }
    if (this.over?.width && this.over.height) {
      const { width, height, svg } = this.over;
      this.axis = drawSplit(svg, { payload: this.payload, width, height, colours: this.colours, measure, shown: this.number + 1 });
    }
    this.pinner.disabled = !this.marks.selected;
  }

  hover(place, move) {
    const { hover, hoverMove } = this.marks;
    if (place === hover && move === hoverMove) return;
    Object.assign(this.marks, { hover: place, hoverMove: move });
    this.remark();
  }

  /** The marks alone, on the maps as they are drawn. */
  remark() {
    for (const panel of this.panels) if (panel.picture) markMap(panel.svg, panel.picture);
    this.pinner.disabled = !this.marks.selected;
  }

  /** Selects a place, or nothing with null. */
  select(place) {
    this.say({ selected: place ? placeId(this.payload, place) : null, edge: null });
  }

  selectMove(move) {
    this.say({ selected: null, edge: moveIds(this.payload, move) });
  }

  pin(place) {
    if (!place) return;
    const id = placeId(this.payload, place);
    const pins = new Set(stateOf(this).pins);
    if (!pins.delete(id)) pins.add(id);
    this.say({ pins: [...pins] });
  }

  clear() {
    this.say({ selected: null, edge: null, pins: [] });
  }

  say(change) {
    Object.assign(this.named, change);
    this.install(this.number);
    this.report.now();
    this.tell();
    this.remark();
  }

  goTo(number) {
    if (number === this.number) return;
    this.named.step = this.payload.frames[number].step;
    this.install(number);
    if (!this.playing) this.report.soon(); // while it plays, the page would be drawn anew at each step
    this.tell();
    this.draw();
  }

  tell() {
    const { selected, edge, pins, step } = stateOf(this);
    const { marks, payload } = this;
    const parts = [];
    if (marks.selected) parts.push(placeTitle(payload, marks.selected));
    if (marks.move) parts.push(moveTitle(payload, marks.move));
    if (pins.length) parts.push(`${pins.length} pinned`);
    this.legend.status.textContent = parts.length ? `${parts.join(" · ")} (Esc clears)` : "";
    Object.assign(this.root.dataset, { selected: selected ?? "", edge: (edge ?? []).join(" "), pins: pins.join(" "), step: step ?? "", drawn: this.version });
  }
}

/** Titles and facts of a frame. */
function fillMapPanel(panel, { titles, facts }, description) {
  const title = titles[panel.number];
  panel.title.textContent = panel.title.title = title;
  panel.facts.textContent = facts[panel.number];
  panel.stage.setAttribute("aria-label", `${title}. ${description}`);
  hideTip(panel);
}

function makeMapPanel(parent, number) {
  const card = makeCard(parent, "tm-panel");
  const svg = document.createElementNS(SVG, "svg");
  return { number, ...card, ...makeStage(card.box, svg, "tm-stage"), svg, width: 0, height: 0 };
}
