// What our components make their elements with. All text of the user's goes through textContent.

const SVG = "http://www.w3.org/2000/svg";

function element(parent, tag, className, text) {
  const made = document.createElement(tag);
  if (className) made.className = className;
  if (text !== undefined) made.textContent = text;
  if (parent) parent.appendChild(made);
  return made;
}

/** A button whose purpose is told to everyone: as tooltip and as name. */
function makeButton(parent, text, label, act, className = "") {
  const button = element(parent, "button", className, text);
  button.type = "button";
  button.title = label;
  button.setAttribute("aria-label", label);
  button.addEventListener("click", act);
  return button;
}

function makeGroup(parent, label) {
  const group = element(parent, "div", "tl-group");
  group.setAttribute("role", "group");
  group.setAttribute("aria-label", label);
  return group;
}

function shape(parent, tag, attributes, text) {
  const made = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  if (text !== undefined) made.textContent = text;
  parent.appendChild(made);
  return made;
}

function shortened(text, limit) {
  const characters = [...text];
  return characters.length > limit ? characters.slice(0, limit - 1).join("") + "…" : text;
}

/** Colours of the theme that is on: the page's background decides. */
function themeColours(root, palette) {
  const style = getComputedStyle(root);
  const probe = document.createElement("canvas").getContext("2d");
  probe.fillStyle = style.getPropertyValue("--st-background-color").trim() || "#ffffff";
  const hex = /^#([0-9a-f]{2})([0-9a-f]{2})([0-9a-f]{2})$/i.exec(probe.fillStyle);
  const [r, g, b] = hex ? hex.slice(1).map((part) => parseInt(part, 16)) : [255, 255, 255];
  const dark = 0.299 * r + 0.587 * g + 0.114 * b < 128;
  return { ...(dark ? palette.dark : palette.light), node: probe.fillStyle, font: style.fontFamily || "sans-serif" };
}

/** How much larger the page shows the element than it was laid out: CSS zoom, as in the tour's full screen. */
function zoomOf(element) {
  return element.currentCSSZoom ?? (element.getBoundingClientRect().width / element.offsetWidth || 1);
}

/** The component over the whole window; over the whole screen where the browser allows it. */
function toggleFull(graphs) {
  const { root } = graphs;
  const full = !root.classList.contains("tl-full");
  showFull(graphs, full);
  if (full) root.requestFullscreen?.().catch(() => {}); // refused: the whole window is what there is
  else if (root.matches(":fullscreen")) document.exitFullscreen();
}

function showFull(graphs, full) {
  graphs.root.classList.toggle("tl-full", full);
  graphs.toolbar.full.setAttribute("aria-pressed", String(full));
  graphs.measure();
}

/** A panel with its title and what is said beside it. */
function makeCard(parent, names = "") {
  const box = element(parent, "section", `tl-panel ${names}`.trim());
  const head = element(box, "header", "tl-head");
  return { box, head, title: element(head, "strong", "tl-title"), facts: element(head, "span", "tl-facts") };
}

/** Where a panel is drawn, reached with the keyboard, and its tooltip. */
function makeStage(box, drawing, names = "") {
  const stage = element(box, "div", `tl-stage ${names}`.trim());
  stage.tabIndex = 0;
  stage.setAttribute("role", "application");
  stage.append(drawing);
  drawing.setAttribute("aria-hidden", "true");
  const tip = element(stage, "div", "tl-tip");
  tip.setAttribute("role", "tooltip");
  return { stage, tip };
}

function makeLegend(parent) {
  const legend = element(parent, "footer", "tl-legend");
  const keys = element(legend, "div", "tl-keys");
  const status = element(legend, "div", "tl-status");
  status.setAttribute("role", "status");
  return { keys, status };
}

/** The tooltip beside a pixel of the stage, inside its edges. */
function showTip(panel, text, px, py) {
  const { tip } = panel;
  tip.textContent = text;
  tip.style.visibility = "visible";
  const left = px + 14 + tip.offsetWidth > panel.width ? px - 14 - tip.offsetWidth : px + 14;
  const top = py + 12 + tip.offsetHeight > panel.height ? py - 12 - tip.offsetHeight : py + 12;
  tip.style.left = `${Math.max(2, left)}px`;
  tip.style.top = `${Math.max(2, top)}px`;
}

function hideTip(panel) {
  panel.tip.style.visibility = "hidden";
}

// Of Streamlit's, what Escape closes: menus, dialogs, a table's list of columns, what fills the window.
const CLOSED_BY_ESCAPE = [
  '[role="listbox"]', '[role="dialog"]', '[role="menu"]', '[data-testid="stPopoverBody"]',
  '[data-testid^="stDataFrame"][data-testid$="Menu"]', 'button[aria-label="Close fullscreen"]',
].join();

/** Escape does one thing at a time: what is open on the page is closed first. */
function isAnythingOpen() {
  return document.querySelector(CLOSED_BY_ESCAPE) !== null;
}

/** Escape anywhere else in the page, in a table say, is meant for the component too; not where it has a use of its own. */
function onPageKey(graphs, event) {
  const [target, ...above] = event.composedPath();
  if (event.key !== "Escape" || event.defaultPrevented || above.includes(graphs.root)) return;
  const typing = target.matches?.("input:not([type=checkbox]):not([type=radio]), textarea, [contenteditable]");
  if (typing || isAnythingOpen()) return;
  if (graphs.root.classList.contains("tl-full")) toggleFull(graphs);
  else graphs.clear();
}
