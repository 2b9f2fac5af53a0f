// What is drawn, and where: places, neighbours, the shared view. No DOM, no canvas.

const PAD = { left: 36, right: 16, top: 40, bottom: 26 };
const MAX_ZOOM = 14;
const IN_SIDE = [1, 2]; // bits of `kept`, as graph_view.py writes them
const STRONG = { a: 1, b: 2, overlay: 4 };

/** Reads a payload once: typed columns, the edges at each node, the largest values. */
function makeScene(data) {
  const { nodes, edges } = data;
  const atNode = nodes.map(() => []);
  for (let e = 0; e < edges.from.length; e++) {
    atNode[edges.from[e]].push(e);
    atNode[edges.to[e]].push(e);
  }
  const strong = (bit) => [...edges.show.keys()].filter((e) => edges.show[e] & bit);
  const inner = nodes.filter((node) => node.kind === "feature" || node.kind === "error");
  return {
    ...data,
    atNode,
    rowOf: new Map(nodes.map((node, row) => [node.id, row])),
    strongest: { a: strong(STRONG.a), b: strong(STRONG.b), overlay: strong(STRONG.overlay) },
    largestValue: Math.max(1e-9, ...inner.map((node) => Math.max(node.a, node.b))),
    largestChange: edges.change.reduce((most, value) => Math.max(most, Math.abs(value)), 1e-9),
  };
}

/** The whole graph, not zoomed. `cx`, `cy`: the layout point in the middle; `k`: zoom. Shared by all panels. */
function wholeView(places) {
  return { k: 1, cx: places.width / 2, cy: places.height / 2 };
}

/** Layout point -> pixel of a stage of w x h, under a view. */
function projection(places, view, w, h) {
  const sx = ((w - PAD.left - PAD.right) / places.width) * view.k;
  const sy = ((h - PAD.top - PAD.bottom) / places.height) * view.k;
  const midX = (PAD.left + w - PAD.right) / 2;
  const midY = (PAD.top + h - PAD.bottom) / 2;
  return {
    sx,
    sy,
    x: (x) => midX + (x - view.cx) * sx,
    y: (y) => midY - (y - view.cy) * sy,
    backX: (px) => (px - midX) / sx + view.cx,
    backY: (py) => view.cy - (py - midY) / sy,
  };
}

/** A view that keeps the graph in its frame: at k = 1 all of it, closer in never past its edge. */
function bounded(places, { k, cx, cy }) {
  const zoom = Math.min(MAX_ZOOM, Math.max(1, k));
  const slack = (1 - 1 / zoom) / 2;
  const keep = (value, size) => Math.min(size * (0.5 + slack), Math.max(size * (0.5 - slack), value));
  return { k: zoom, cx: keep(cx, places.width), cy: keep(cy, places.height) };
}

/** Zoom by `factor` with the pixel (px, py) staying where it is. */
function zoomedAt(places, view, w, h, px, py, factor) {
  const before = projection(places, view, w, h);
  const k = Math.min(MAX_ZOOM, Math.max(1, view.k * factor));
  const after = projection(places, { ...view, k }, w, h);
  return bounded(places, {
    k,
    cx: view.cx + before.backX(px) - after.backX(px),
    cy: view.cy + before.backY(py) - after.backY(py),
  });
}

/** Is the node part of the graph on this side (0 A, 1 B, null overlay)? Else it is the other side's ghost. */
function onSide(node, side) {
  return side === null || (node.kept & IN_SIDE[side]) !== 0;
}

function valueOn(node, side) {
  return side === null ? Math.max(node.a, node.b) : side === 0 ? node.a : node.b;
}

function radius(scene, node, side, pitch) {
  if (node.kind === "token" || node.kind === "logit") return 5;
  const room = Math.max(2.4, Math.min(9, pitch * 0.62));
  return Math.min(room, 3.2 + 5.8 * Math.sqrt(valueOn(node, side) / scene.largestValue));
}

/** Row of the node nearest to a pixel, or -1. The graph's own nodes win over ghosts. */
function nodeAt(scene, to, side, px, py, reach = 10) {
  let best = -1;
  let nearest = reach;
  scene.nodes.forEach((node, row) => {
    const distance = Math.hypot(to.x(node.x) - px, to.y(node.y) - py) + (onSide(node, side) ? 0 : 3);
    if (distance < nearest) [best, nearest] = [row, distance];
  });
  return best;
}

/** The node that an arrow key leads to from `row`: the nearest one in that direction, straight before slanted. */
function nodeBeside(scene, side, row, key) {
  const own = [...scene.nodes.keys()].filter((other) => other !== row && onSide(scene.nodes[other], side));
  if (row < 0) return firstNode(scene, side);
  const from = scene.nodes[row];
  const sideways = key === "ArrowLeft" || key === "ArrowRight";
  const sign = key === "ArrowRight" || key === "ArrowUp" ? 1 : -1;
  let best = row;
  let least = Infinity;
  for (const other of own) {
    const dx = scene.nodes[other].x - from.x;
    const dy = (scene.nodes[other].y - from.y) * 8; // a layer is about as far as eight nodes
    const [along, across] = sideways ? [dx, dy] : [dy, dx];
    if (along * sign <= 0.01) continue;
    const cost = sideways ? Math.abs(along) + 2 * Math.abs(across) : 3 * Math.abs(along) + Math.abs(across);
    if (cost < least) [best, least] = [other, cost];
  }
  return best;
}

/** Where the keyboard starts: the likeliest output of this side. */
function firstNode(scene, side) {
  let best = -1;
  scene.nodes.forEach((node, row) => {
    if (node.kind === "logit" && (best < 0 || valueOn(node, side) > valueOn(scene.nodes[best], side))) best = row;
  });
  return best;
}
