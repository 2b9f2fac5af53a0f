// The DOM of the component: panels with a title, bars of output probabilities and a tooltip; a legend below.
// All text of the user's goes through textContent.

function element(parent, tag, className, text) {
  const made = document.createElement(tag);
  if (className) made.className = className;
  if (text !== undefined) made.textContent = text;
  if (parent) parent.appendChild(made);
  return made;
}

/** One panel for `side` (0, 1, or null for the overlay). */
function makePanel(parent, side) {
  const box = element(parent, "section", "tl-panel");
  const head = element(box, "header", "tl-head");
  const title = element(head, "strong", "tl-title");
  const facts = element(head, "span", "tl-facts");
  const stage = element(box, "div", "tl-stage");
  stage.tabIndex = 0;
  stage.setAttribute("role", "application");
  const canvas = element(stage, "canvas", "tl-canvas");
  canvas.setAttribute("aria-hidden", "true");
  const bars = element(stage, "div", "tl-bars");
  const tip = element(stage, "div", "tl-tip");
  tip.setAttribute("role", "tooltip");
  return { side, box, title, facts, stage, canvas, bars, tip, width: 0, height: 0 };
}

function fillPanel(panel, data) {
  const shown = panel.side === null ? data.sides : [data.sides[panel.side]];
  panel.title.textContent = shown.map((side) => side.title).join("  →  ");
  panel.facts.replaceChildren();
  if (panel.side === null) {
    element(panel.facts, "span", "", "what differs: orange more in B, blue less in B");
  } else {
    const [side] = shown;
    element(panel.facts, "span", "", [side.loss, side.fit].filter(Boolean).join(" · "));
    if (side.warning) {
      const warning = element(panel.facts, "span", "tl-warning", "⚠ low fit");
      warning.title = side.warning;
    }
  }
  panel.stage.setAttribute("aria-label", `${panel.title.textContent}. ${data.description}`);
  panel.bars.replaceChildren();
  for (const side of shown) {
    const list = element(panel.bars, "div", "tl-barlist");
    if (panel.side === null) element(list, "div", "tl-barhead", side.title.slice(0, 1));
    for (const bar of side.bars) fillBar(list, bar);
  }
}

function fillBar(list, bar) {
  const row = element(list, "div", "tl-bar");
  element(row, "span", "tl-token", shortened(bar.token, 12));
  const track = element(row, "span", "tl-track");
  const fill = element(track, "span", bar.answer ? "tl-fill tl-answer" : "tl-fill");
  fill.style.width = `${Math.max(1.5, 100 * bar.p)}%`;
  element(row, "span", "tl-p", bar.p.toFixed(2));
  row.title = `p(${bar.token}) = ${bar.p.toFixed(3)}${bar.answer ? ", the right answer" : ""}`;
}

function makeLegend(parent) {
  const legend = element(parent, "footer", "tl-legend");
  const keys = element(legend, "div", "tl-keys");
  const status = element(legend, "div", "tl-status");
  status.setAttribute("aria-live", "polite");
  const buttons = element(legend, "div", "tl-buttons");
  const make = (text, label) => {
    const button = element(buttons, "button", "", text);
    button.type = "button";
    button.title = label;
    button.setAttribute("aria-label", label);
    return button;
  };
  return { keys, status, closer: make("+", "Zoom in"), wider: make("−", "Zoom out"), whole: make("Fit", "Show all") };
}

function fillLegend(legend, overlay) {
  const entries = [
    ["tl-circle", "feature"],
    ["tl-square", "token, output"],
    ["tl-diamond", "unexplained"],
    ...(overlay
      ? [["tl-line tl-gained", "more in B"], ["tl-line tl-lost", "less in B"], ["tl-line tl-flipped", "sign turned"]]
      : [
          ["tl-line tl-positive", "pushes up"],
          ["tl-line tl-negative", "pushes down"],
          ["tl-circle tl-ring-lost", "less or none in B"],
          ["tl-circle tl-ring-gained", "more or only in B"],
          ["tl-circle tl-dashed", "on the other side"],
        ]),
  ];
  legend.keys.replaceChildren();
  for (const [mark, text] of entries) {
    const key = element(legend.keys, "span", "tl-key");
    element(key, "i", mark);
    element(key, "span", "", text);
  }
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
