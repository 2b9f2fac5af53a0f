// The row of controls above the graphs: edges, search, filter of the overlay, zoom, full screen.

const SHOWN_EDGES = [
  ["both", "Both", "Show edges into and out of marked nodes"],
  ["input", "Inputs", "Show only edges into marked nodes"],
  ["output", "Outputs", "Show only edges out of marked nodes"],
];
const FILTER_STEPS = 100; // of the range, squared: most changes are small

function makeToolbar(parent, graphs) {
  const row = element(parent, "div", "tl-toolbar");
  row.setAttribute("role", "group");
  row.setAttribute("aria-label", "Graph tools");
  const modes = makeGroup(row, "Edges of marked nodes");
  const buttons = SHOWN_EDGES.map(([show, text, label]) => [show, makeButton(modes, text, label, () => graphs.setShow(show))]);
  const search = makeSearch(row, graphs);
  const filter = makeFilter(row, graphs);
  const views = makeGroup(row, "View");
  views.classList.add("tl-views");
  const closer = makeButton(views, "+", "Zoom in", () => graphs.zoomBy(1.4));
  const wider = makeButton(views, "−", "Zoom out", () => graphs.zoomBy(1 / 1.4));
  const whole = makeButton(views, "Fit", "Show all", () => graphs.look(wholeView(graphs.scene.places)));
  const full = makeButton(views, "", "Fill the screen (F)", () => toggleFull(graphs), "tl-fullscreen");
  full.setAttribute("aria-pressed", "false");
  return { row, buttons, ...search, ...filter, closer, wider, whole, full };
}

function makeSearch(row, graphs) {
  const box = element(row, "div", "tl-search");
  const input = element(box, "input", "");
  input.type = "search";
  input.placeholder = "Find: token, L2, 217, label";
  input.title = "Find nodes by token, layer (L2), feature number (217) or label. Enter goes to the next match, Esc clears.";
  input.setAttribute("aria-label", "Find nodes");
  input.spellcheck = false;
  input.autocomplete = "off";
  const count = element(box, "span", "tl-count");
  count.setAttribute("role", "status");
  input.addEventListener("input", () => graphs.search(input.value));
  input.addEventListener("keydown", (event) => {
    if (event.key === "Enter") graphs.nextFound(event.shiftKey);
    else if (event.key === "Escape") graphs.search((input.value = ""));
    else return;
    event.preventDefault();
  });
  return { input, count };
}

/** What can be found, where it is not features. */
function fillSearch({ input }, wording) {
  if (wording) Object.assign(input, { placeholder: wording.search, title: wording.search_title });
}

function makeFilter(row, graphs) {
  const filter = makeGroup(row, "Changes shown");
  filter.classList.add("tl-filter");
  const chips = new Map();
  const range = element(null, "input", "tl-least");
  Object.assign(range, { type: "range", min: 0, max: FILTER_STEPS, step: 1 });
  range.title = "Smallest change that is shown, by its effect in logits";
  range.setAttribute("aria-label", range.title);
  range.addEventListener("input", () => graphs.setFilter({ minChange: leastChange(range, graphs.scene) }));
  const least = element(null, "span", "tl-count");
  return { filter, chips, range, least };
}

/** The change that the range stands at, to four decimals, as Python keeps it. */
function leastChange(range, scene) {
  const part = Number(range.value) / FILTER_STEPS;
  return Math.round(1e4 * scene.largestChange * part * part) / 1e4;
}

/** The chips of the overlay: one a status that is a change. */
function fillFilter(toolbar, graphs) {
  const { filter, chips, range, least } = toolbar;
  filter.hidden = graphs.mode !== "overlay";
  if (!chips.size) {
    for (const status of graphs.scene.statuses.filter((each) => !SAME.has(each))) {
      chips.set(status, makeButton(filter, status, "", () => graphs.toggleStatus(status), `tl-chip tl-is-${status}`));
    }
    filter.append(range, least);
  }
}

/** Writes into the controls what is so now. */
function updateToolbar(toolbar, graphs) {
  const { marks, scene, view } = graphs;
  for (const [show, button] of toolbar.buttons) button.setAttribute("aria-pressed", String(marks.show === show));
  toolbar.whole.disabled = toolbar.wider.disabled = view.k <= 1;
  toolbar.count.textContent = countText(graphs);
  if (graphs.mode !== "overlay") return;
  const counts = statusCounts(scene);
  toolbar.chips.forEach((chip, status) => {
    chip.textContent = `${status} ${counts.get(status) ?? 0}`;
    chip.setAttribute("aria-pressed", String(marks.statuses.has(status)));
    chip.title = `Show edges that are ${scene.words[status]}`;
    chip.setAttribute("aria-label", `${status}: ${counts.get(status) ?? 0} edges, ${scene.words[status]}`);
  });
  // Many places of the range round to one change: it is moved only where it says another.
  if (leastChange(toolbar.range, scene) !== marks.minChange)
    toolbar.range.value = Math.round(FILTER_STEPS * Math.sqrt(Math.min(1, marks.minChange / scene.largestChange)));
  toolbar.range.setAttribute("aria-valuetext", `at least ${decimal(marks.minChange, 4)}`);
  toolbar.least.textContent = `≥ ${decimal(marks.minChange, marks.minChange < 1 ? 3 : 2)}`;
}

function countText({ query, found, marks }) {
  if (!query.trim()) return "";
  if (!found.length) return "no match";
  const place = found.indexOf(marks.selected);
  return place < 0 ? `${found.length} found` : `${place + 1} of ${found.length}`;
}

function statusCounts(scene) {
  if (!scene.statusCounts && scene.counts) scene.statusCounts = new Map(Object.entries(scene.counts));
  if (!scene.statusCounts) {
    scene.statusCounts = new Map();
    for (const place of scene.edges.status) {
      const status = scene.statuses[place];
      scene.statusCounts.set(status, (scene.statusCounts.get(status) ?? 0) + 1);
    }
  }
  return scene.statusCounts;
}
