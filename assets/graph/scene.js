// What is drawn, and where: places, neighbours, the shared view. No DOM, no canvas.

const PAD = { left: 44, right: 16, top: 38, bottom: 26 };
const MAX_ZOOM = 14;
const ALMOST_FITS = 1.12; // rows are drawn so much closer rather than scrolled
const IN_SIDE = [1, 2]; // bits of `kept`, as graph_view.py writes them
const STRONG = { a: 1, b: 2, overlay: 4 };
const BOTH_SIDES = 3;
const ENDS = new Set(["token", "logit", "input", "output"]); // where the computation begins and ends
const SAME = new Set(["unchanged", "not kept", "in both"]); // statuses of what did not change, or is not known to
const ABSENT = { status: "unchanged", a: 0, b: 0, part: [0, 0], change: 0, kept: 0, tooltip: "" };

/**
 * Reads one frame of a payload: the edges at each node, the largest values, what was written on features.
 * `step`: of a time-lapse; all its scenes have the same nodes in the same rows, some of them absent (`kept` 0).
 */
function makeScene(payload, step, annotations) {
  const { timelapse } = payload;
  const frame = timelapse ? timelapse.frames[step] : payload;
  const nodes = withNotes(timelapse ? frameNodes(payload, frame, step) : payload.nodes, annotations);
  const { edges } = frame;
  const atNode = nodes.map(() => []);
  const edgeOf = new Map();
  for (let e = 0; e < edges.from.length; e++) {
    atNode[edges.from[e]].push(e);
    atNode[edges.to[e]].push(e);
    edgeOf.set(edges.from[e] * nodes.length + edges.to[e], e);
  }
  const strong = (bit) => edges.show.flatMap((show, e) => (show & bit ? [e] : []));
  const inner = nodes.filter((node) => !ENDS.has(node.kind));
  const largest = (values) => values.reduce((most, value) => Math.max(most, Math.abs(value)), 1e-9);
  return {
    nodes,
    edges,
    sides: frame.sides,
    description: frame.description,
    explained: frame.explained ?? { words: "", scale: 1 }, // the logit that flows and parts are of
    places: payload.places,
    statuses: payload.statuses,
    words: payload.status_words,
    counts: payload.counts ?? null, // of edges by status, where not all of them are sent
    wording: payload.wording ?? null, // of graphs of heads and MLPs
    groups: annotations.supernodes.map((group, place) => ({
      name: group.name,
      colour: payload.groups[place % payload.groups.length],
    })),
    atNode,
    edgeOf,
    rowOf: new Map(nodes.map((node, row) => [node.id, row])),
    strongest: { a: strong(STRONG.a), b: strong(STRONG.b), overlay: strong(STRONG.overlay) },
    largestValue: timelapse ? timelapse.largest.value : largest(inner.map((node) => Math.max(node.a, node.b))),
    largestChange: timelapse ? timelapse.largest.change : largest(edges.change),
  };
}

/** The nodes of all steps with their values at this one. */
function frameNodes(payload, frame, step) {
  const absent = (node) => ({ ...node, ...ABSENT, tooltip: `${node.label}\nnot in the graphs at ${stepName(Number(step))}` });
  const nodes = payload.nodes.map(absent);
  const { row, ...values } = frame.nodes;
  row.forEach((place, i) => {
    for (const [name, column] of Object.entries(values)) nodes[place][name] = column[i];
  });
  return nodes;
}

/**
 * Nodes with what their features are called: `note` (what a person wrote, else the automatic label, else ""), `measured`
 * (what an automatic label means, else "") and `groups` (places of supernodes).
 */
function withNotes(nodes, { labels, automatic = {}, supernodes }) {
  const groups = new Map();
  supernodes.forEach((group, place) =>
    group.features.forEach((feature) => groups.set(feature, [...(groups.get(feature) ?? []), place])),
  );
  return nodes.map((node) => {
    const feature = `${node.layer}/${node.index}`;
    const written = node.kind === "feature";
    const own = written && Object.hasOwn(labels, feature) ? labels[feature] : "";
    const [found, measured] = written && !own && Object.hasOwn(automatic, feature) ? automatic[feature] : ["", ""];
    return { ...node, note: own || found, measured, groups: (written && groups.get(feature)) || [] };
  });
}

/** A node in words, as engine/figures/names.py has it: what a person wrote is in quotes. */
function nameOf(node) {
  if (!node.note) return node.label;
  return `L${node.layer} · ${node.token} · ${node.measured ? node.note : `“${node.note}”`} (${node.index})`;
}

/** Place of the edge between two rows in this scene, or undefined where it has none. */
function edgeBetween(scene, ends) {
  return scene.edgeOf.get(ends.from * scene.nodes.length + ends.to);
}

/**
 * The whole width of the graph, from its outputs down. `cx`, `cy`: the layout point in the middle; `k`: zoom. Shared by
 * all panels.
 */
function wholeView(places) {
  return bounded(places, { k: 1, cx: places.width / 2, cy: places.height });
}

/** How much higher than its stage (of h pixels) the graph is drawn, so that its rows do not touch: 1 where it fits. */
function tallness(places, h) {
  const needed = (places.height * (places.least_px ?? 0)) / Math.max(1, h - PAD.top - PAD.bottom);
  return needed > ALMOST_FITS ? needed : 1;
}

/** Where the small map of a graph that is higher than its frame lies, in pixels: top left, where the fewest nodes are. */
function mapBox(places, w, h) {
  if ((places.tall ?? 1) <= 1) return null;
  const height = Math.min(150, h - PAD.top - PAD.bottom - 16);
  return height < 40 ? null : { left: PAD.left + 8, top: PAD.top - 22, width: Math.min(72, w / 6), height };
}

/** The layout point under a pixel of that map, or null beside it. */
function onMap(places, w, h, px, py) {
  const map = mapBox(places, w, h);
  if (!map || px < map.left - 3 || px > map.left + map.width + 3 || py < map.top - 3 || py > map.top + map.height + 3) return null;
  const share = (value, from, size) => Math.min(1, Math.max(0, (value - from) / size));
  return {
    cx: share(px, map.left, map.width) * places.width,
    cy: (1 - share(py, map.top, map.height)) * places.height,
  };
}

/** Layout point -> pixel of a stage of w x h, under a view. */
function projection(places, view, w, h) {
  const sx = ((w - PAD.left - PAD.right) / places.width) * view.k;
  const sy = ((h - PAD.top - PAD.bottom) / places.height) * view.k * (places.tall ?? 1);
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

/** A view that keeps the graph in its frame: at k = 1 its whole width, closer in never past its edge. */
function bounded(places, { k, cx, cy }) {
  const zoom = Math.min(MAX_ZOOM, Math.max(1, k));
  const keep = (value, size, closer) => {
    const slack = (1 - 1 / closer) / 2;
    return Math.min(size * (0.5 + slack), Math.max(size * (0.5 - slack), value));
  };
  return { k: zoom, cx: keep(cx, places.width, zoom), cy: keep(cy, places.height, zoom * (places.tall ?? 1)) };
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

/** A view in which the node can be seen: the same one where it can be already. */
function viewOn(places, view, node) {
  const half = { x: places.width / view.k / 2, y: places.height / view.k / (places.tall ?? 1) / 2 };
  const seen = Math.abs(node.x - view.cx) <= half.x * 0.95 && Math.abs(node.y - view.cy) <= half.y * 0.95;
  return seen ? view : bounded(places, { k: view.k, cx: node.x, cy: node.y });
}

/** Is the node part of the graph on this side (0 A, 1 B, null overlay)? Else it is the other side's ghost, or absent. */
function onSide(node, side) {
  return (node.kept & (side === null ? BOTH_SIDES : IN_SIDE[side])) !== 0;
}

function valueOn(node, side) {
  return side === null ? Math.max(node.a, node.b) : side === 0 ? node.a : node.b;
}

/** `to`: the projection. No node is drawn wider than its pitch, nor higher than its row. */
function radius(scene, node, side, to) {
  if (node.kind === "token" || node.kind === "logit") return 5;
  if (node.shape === "box") return 8;
  const room = Math.max(2.4, Math.min(9, to.sx * 0.62, ((node.room ?? 1) * to.sy) / 2));
  return Math.min(room, 3.2 + 5.8 * Math.sqrt(Math.min(1, valueOn(node, side) / scene.largestValue)));
}

/** Half the width of a group's box in pixels: what layout.py reserves for its name. */
function boxHalf(node, pitch) {
  if (ENDS.has(node.kind)) return 30;
  return Math.max(14, ((0.8 + 0.62 * Math.min(14, [...node.label].length)) * pitch) / 2);
}

/** Row of the node nearest to a pixel, or -1. The graph's own nodes win over ghosts. */
function nodeAt(scene, to, side, px, py, reach = 10) {
  let best = -1;
  let nearest = reach;
  scene.nodes.forEach((node, row) => {
    if (!node.kept) return;
    const wide = node.shape === "box" ? boxHalf(node, to.sx) : 0;
    const dx = Math.max(0, Math.abs(to.x(node.x) - px) - wide);
    const distance = Math.hypot(dx, to.y(node.y) - py) + (onSide(node, side) ? 0 : 3);
    if (distance < nearest) [best, nearest] = [row, distance];
  });
  return best;
}

/** The node that an arrow key leads to from `row`: the nearest one in that direction, straight before slanted. */
function nodeBeside(scene, side, row, key) {
  if (row < 0) return firstNode(scene, side);
  const from = scene.nodes[row];
  const sideways = key === "ArrowLeft" || key === "ArrowRight";
  const sign = key === "ArrowRight" || key === "ArrowUp" ? 1 : -1;
  let best = row;
  let least = Infinity;
  scene.nodes.forEach((node, other) => {
    if (other === row || !onSide(node, side)) return;
    const dx = node.x - from.x;
    const dy = (node.y - from.y) * 8; // a layer is about as far as eight nodes
    const [along, across] = sideways ? [dx, dy] : [dy, dx];
    if (along * sign <= 0.01) return;
    const cost = sideways ? Math.abs(along) + 2 * Math.abs(across) : 3 * Math.abs(along) + Math.abs(across);
    if (cost < least) [best, least] = [other, cost];
  });
  return best;
}

/** Where the keyboard starts: the likeliest output of this side. */
function firstNode(scene, side) {
  let best = -1;
  scene.nodes.forEach((node, row) => {
    if ((node.kind !== "logit" && node.kind !== "output") || !node.kept) return;
    if (best < 0 || valueOn(node, side) > valueOn(scene.nodes[best], side)) best = row;
  });
  return best;
}
