// The DOM of the component: panels with a title, bars of output probabilities, a stage and a tooltip; a legend below.
// All text of the user's goes through textContent.

/** One panel for `side` (0, 1, or null for the overlay). */
function makePanel(parent, side) {
  const card = makeCard(parent);
  const bars = element(card.box, "div", "tl-bars");
  const canvas = document.createElement("canvas");
  canvas.className = "tl-canvas";
  return { side, ...card, bars, ...makeStage(card.box, canvas), canvas, shown: [], width: 0, height: 0 };
}

/** Titles, facts and bars of a scene. */
function fillPanel(panel, scene) {
  const shown = panel.side === null ? scene.sides : [scene.sides[panel.side]];
  panel.title.textContent = panel.title.title = shown.map((side) => side.title).join("  →  ");
  panel.facts.replaceChildren();
  if (panel.side === null) {
    element(panel.facts, "span", "", scene.wording?.difference ?? "orange: more in B · blue: less in B");
  } else {
    const [side] = shown;
    element(panel.facts, "span", "", [side.loss, side.fit].filter(Boolean).join(" · "));
    if (side.warning) {
      const warning = element(panel.facts, "span", "tl-warning", scene.wording?.warning ?? "⚠ low");
      warning.title = side.warning;
    }
  }
  panel.stage.setAttribute("aria-label", `${panel.title.textContent}. ${scene.description}`);
  panel.bars.hidden = shown.every((side) => !side.bars.length);
  fillBars(panel, shown);
}

/** The bars stay the same elements while their tokens do, so that a step of a time-lapse only changes lengths. */
function fillBars(panel, sides) {
  const tokens = JSON.stringify(sides.map((side) => side.bars.map((bar) => [bar.token, bar.answer])));
  if (panel.tokens !== tokens) {
    panel.tokens = tokens;
    panel.bars.replaceChildren();
    panel.cells = sides.map((side) => {
      const list = element(panel.bars, "div", "tl-barlist");
      if (panel.side === null) element(list, "span", "tl-barhead", side.title.slice(0, 1));
      return side.bars.map((bar) => makeBar(list, bar));
    });
  }
  sides.forEach((side, i) => {
    const most = Math.max(...side.bars.filter((bar) => !bar.others).map((bar) => bar.p));
    side.bars.forEach((bar, j) => setBar(panel.cells[i][j], bar, !bar.others && bar.p === most));
  });
}

function makeBar(list, bar) {
  const box = element(list, "div", "tl-bar");
  element(box, "span", bar.others ? "tl-token tl-rest" : "tl-token", bar.token);
  const p = element(box, "span", "tl-p");
  const fill = element(element(box, "span", "tl-track"), "span", bar.answer ? "tl-fill tl-answer" : "tl-fill");
  return { box, p, fill };
}

function setBar({ box, p, fill }, bar, likeliest) {
  box.title = bar.note;
  box.classList.toggle("tl-likeliest", likeliest);
  p.textContent = decimal(bar.p);
  fill.style.width = `${Math.max(1, 100 * bar.p)}%`;
}

/** `explained`: what pushes up or down pushes. */
function fillLegend(legend, overlay, { wording, explained, nodes }) {
  const what = shortened(explained.words, 24);
  const entries = [...(wording?.[overlay ? "overlay" : "pair"] ?? [
    ["tl-circle", "feature"],
    ["tl-square", "token, output"],
    ["tl-diamond", "error"],
    ...(overlay
      ? [["tl-line tl-gained", "more in B"], ["tl-line tl-lost", "less in B"], ["tl-line tl-flipped", "opposite sign"]]
      : [
          ["tl-line tl-positive", `pushes ${what} up`],
          ["tl-line tl-negative", `pushes ${what} down`],
          ["tl-circle tl-ring-lost", "less in B, or only in A"],
          ["tl-circle tl-ring-gained", "more in B, or only in B"],
          ["tl-circle tl-dashed", "only in the other graph"],
        ]),
  ])];
  if (nodes.some((node) => node.measured)) entries.push(["tl-automatic", "active on → promotes"]);
  legend.keys.replaceChildren();
  for (const [mark, text] of entries) {
    const key = element(legend.keys, "span", "tl-key");
    element(key, "i", mark);
    element(key, "span", mark === "tl-automatic" ? "tl-italic" : "", text);
    if (mark === "tl-automatic") key.title = "Automatic labels: tokens that a feature is most active on, and tokens that it promotes";
  }
}

/** What a node's tooltip says: what it is called, and what an automatic label means. */
function nodeTip(scene, row) {
  const node = scene.nodes[row];
  const groups = node.groups.map((place) => `in the group “${scene.groups[place].name}”`);
  const [, ...rest] = node.tooltip.split("\n"); // its first line is the name without a label
  const lines = node.note ? [nameOf(node), ...(node.measured ? [node.measured] : []), ...rest] : [node.tooltip];
  return [...lines, ...groups].join("\n");
}
