"use strict";
// Draws the panels of a standalone page: one vis-network each, moved and marked together. All text goes through
// textContent or the canvas.

const { panels: given, names } = JSON.parse(document.getElementById("data").textContent);
const PARTS = 6; // inputs and outputs listed of a selected node
const ZOOM = 1.35;

const panels = given.map((panel) => {
  const stage = document.querySelector(`[data-side="${panel.side}"] .canvas`);
  const nodes = new vis.DataSet(panel.nodes);
  const edges = new vis.DataSet(panel.edges);
  const network = new vis.Network(stage, { nodes, edges }, panel.options);
  network.on("beforeDrawing", (ctx) => drawGrid(ctx, panel));
  network.on("afterDrawing", (ctx) => panel.texts.forEach((text) => drawText(ctx, text)));
  network.on("click", (event) => select(event.nodes.length ? event.nodes[0] : null));
  network.on("dragging", () => follow(network));
  network.on("dragEnd", () => follow(network));
  network.on("resize", () => wholeView(network, panel, stage));
  wholeView(network, panel, stage);
  return { ...panel, stage, nodes, edges, network };
});

function wholeView(network, panel, stage) {
  const scale = Math.min(stage.clientWidth / panel.width, stage.clientHeight / panel.height) || 1;
  network.moveTo({ position: { x: panel.width / 2, y: panel.height / 2 }, scale });
}

/** The other panels go where this one went. */
function follow(network) {
  const position = network.getViewPosition();
  const scale = network.getScale();
  for (const panel of panels) if (panel.network !== network) panel.network.moveTo({ position, scale });
}

function zoom(factor) {
  for (const { network } of panels) network.moveTo({ scale: network.getScale() * factor });
}

function drawGrid(ctx, panel) {
  ctx.strokeStyle = panel.grid;
  ctx.lineWidth = 1;
  ctx.beginPath();
  for (const y of panel.rows) {
    ctx.moveTo(36, y);
    ctx.lineTo(panel.width - 6, y);
  }
  ctx.stroke();
  ctx.globalAlpha = 0.32;
  for (const halo of panel.halos) {
    ctx.fillStyle = halo.colour;
    ctx.beginPath();
    ctx.arc(halo.x, halo.y, halo.r, 0, 2 * Math.PI);
    ctx.fill();
  }
  ctx.globalAlpha = 1;
}

function drawText(ctx, text) {
  ctx.font = `${text.italic ? "italic " : ""}${text.bold ? "700 " : ""}${text.size}px ${getComputedStyle(document.body).fontFamily}`;
  if (text.leader) {
    const [x1, y1, x2, y2] = text.leader;
    ctx.strokeStyle = text.colour;
    ctx.lineWidth = 0.8;
    ctx.beginPath();
    ctx.moveTo(x1, y1);
    ctx.lineTo(x2, y2);
    ctx.stroke();
  }
  if (text.backed) {
    ctx.globalAlpha = 0.85;
    ctx.fillStyle = text.backed;
    ctx.fillRect(text.x - 2, text.y - 11, ctx.measureText(text.text).width + 4, 14);
    ctx.globalAlpha = 1;
  }
  ctx.fillStyle = text.colour;
  ctx.textAlign = { start: "left", middle: "center", end: "right" }[text.anchor];
  ctx.textBaseline = "alphabetic";
  ctx.fillText(text.text, text.x, text.y);
}

/** A node with all its edges, in every panel that has it; null clears. */
function select(id) {
  for (const { nodes, edges, network } of panels) {
    network.unselectAll();
    if (id !== null && nodes.get(id)) network.selectNodes([id], false);
    edges.update(
      edges.map((edge) => {
        const own = id !== null && (edge.from === id || edge.to === id);
        const opacity = own ? 0.9 : id === null ? 0.55 : 0.12;
        return { id: edge.id, hidden: !(edge.strong || own), color: { ...edge.color, opacity } };
      }),
    );
  }
  describe(id);
}

function describe(id) {
  const box = document.getElementById("selected");
  box.replaceChildren();
  box.hidden = id === null;
  document.getElementById("help").hidden = id !== null;
  document.getElementById("selected-title").textContent = id === null ? "How to read this" : names[id];
  if (id === null) return;
  const node = panels.map(({ nodes }) => nodes.get(id)).find(Boolean);
  add(box, "p", node.title.split("\n").slice(1).join("\n")).className = "tooltip-lines"; // its name is the heading
  list(box, "Strongest inputs", "from", edgesAt("to", id));
  list(box, "Strongest outputs", "to", edgesAt("from", id));
}

/** The edges of a node, each once, the largest of both sides first. */
function edgesAt(end, id) {
  const found = new Map();
  for (const { edges } of panels) for (const edge of edges.get()) if (edge[end] === id) found.set(edge.id, edge);
  const size = (edge) => Math.max(Math.abs(edge.a), Math.abs(edge.b));
  return [...found.values()].sort((p, q) => size(q) - size(p)).slice(0, PARTS);
}

function list(box, title, end, edges) {
  if (!edges.length) return;
  const table = add(box, "table");
  const head = add(add(table, "thead"), "tr");
  for (const [place, text] of [title, "in A", "in B"].entries()) add(head, "th", text).className = place ? "n" : "";
  const body = add(table, "tbody");
  for (const edge of edges) {
    const row = add(body, "tr");
    add(row, "td", names[edge[end]]);
    for (const side of ["a", "b"]) add(row, "td", signed(edge[side])).className = "n";
  }
}

/** A flow; a side that did not keep the edge says nothing of it. */
function signed(value) {
  if (value === null) return "–";
  const digits = Math.abs(value).toFixed(4);
  return Number(digits) === 0 ? "0" : (value < 0 ? "−" : "+") + digits;
}

function add(parent, tag, text) {
  const made = document.createElement(tag);
  if (text !== undefined) made.textContent = text;
  return parent.appendChild(made);
}

document.getElementById("closer").addEventListener("click", () => zoom(ZOOM));
document.getElementById("wider").addEventListener("click", () => zoom(1 / ZOOM));
document.getElementById("whole").addEventListener("click", () => {
  for (const { network, stage, ...panel } of panels) wholeView(network, panel, stage);
});
document.addEventListener("keydown", (event) => {
  if (event.key === "Escape") select(null);
});
document.documentElement.dataset.drawn = "yes"; // what a test waits for
