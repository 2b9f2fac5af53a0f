// Draws one panel on a canvas. `side`: 0 for A, 1 for B, null for the overlay.
// `focus`: rows whose edges are drawn; `hover`, `selected`: rows or -1; `pins`: Set of rows.

function drawPanel(ctx, w, h, scene, side, view, marks, colours) {
  const to = projection(scene.places, view, w, h);
  ctx.clearRect(0, 0, w, h);
  ctx.save();
  ctx.beginPath();
  ctx.rect(PAD.left - 8, 0, w - PAD.left + 8, h - PAD.bottom + 12);
  ctx.clip();
  drawGrid(ctx, w, scene, to, colours);
  const focus = [...new Set([...marks.pins, marks.selected, marks.hover])].filter((row) => row >= 0);
  drawEdges(ctx, scene, side, to, focus, colours);
  drawNodes(ctx, scene, side, to, marks, colours);
  drawOutputLabels(ctx, w, scene, side, to, marks, colours);
  ctx.restore();
  drawAxes(ctx, w, h, scene, to, colours);
}

function drawGrid(ctx, w, scene, to, colours) {
  ctx.strokeStyle = colours.grid;
  ctx.lineWidth = 1;
  ctx.beginPath();
  for (const row of scene.places.rows) {
    const y = Math.round(to.y(row.y)) + 0.5;
    ctx.moveTo(PAD.left, y);
    ctx.lineTo(w - 6, y);
  }
  ctx.stroke();
}

/** Layer names on the left and tokens below stay in sight, however far one has zoomed in. */
function drawAxes(ctx, w, h, scene, to, colours) {
  ctx.textBaseline = "middle";
  ctx.textAlign = "left";
  ctx.fillStyle = colours.muted;
  ctx.font = `11px ${colours.font}`;
  for (const row of scene.places.rows) {
    const y = to.y(row.y);
    if (y > 8 && y < h - PAD.bottom + 8) ctx.fillText(row.label, 4, y);
  }
  ctx.textAlign = "center";
  ctx.fillStyle = colours.text;
  let free = -Infinity;
  for (const column of scene.places.columns) {
    ctx.font = `${column.bold ? "700 " : ""}12.5px ${colours.font}`;
    const text = shortened(column.token, 12);
    const half = ctx.measureText(text).width / 2;
    const x = Math.max(to.x(column.x), half + 2);
    if (x - half < free + 4 || x - half < 0 || x + half > w) continue;
    ctx.fillText(text, x, h - 9);
    free = x + half;
  }
}

function shortened(text, limit) {
  const characters = [...text];
  return characters.length > limit ? characters.slice(0, limit - 1).join("") + "…" : text;
}

function drawEdges(ctx, scene, side, to, focus, colours) {
  const strongest = side === null ? scene.strongest.overlay : side === 0 ? scene.strongest.a : scene.strongest.b;
  ctx.lineCap = "round";
  const quiet = focus.length ? 0.12 : 0.55;
  // The weakest first, so that the strongest lie on top.
  for (let i = strongest.length - 1; i >= 0; i--) strokeEdge(ctx, scene, side, to, strongest[i], quiet, 0.85, colours);
  const asked = new Set(focus.flatMap((row) => scene.atNode[row]));
  const shown = [...asked].filter((e) => side === null || scene.edges.kept[e] & IN_SIDE[side]);
  const part = side === 1 ? scene.edges.contribution_b : scene.edges.contribution_a;
  const size = side === null ? (e) => Math.abs(scene.edges.change[e]) : (e) => part[e];
  shown.sort((p, q) => size(p) - size(q));
  const most = shown.length ? size(shown[shown.length - 1]) || 1 : 1;
  for (const e of shown) strokeEdge(ctx, scene, side, to, e, 0.35 + 0.6 * Math.sqrt(size(e) / most), 1, colours);
}

function strokeEdge(ctx, scene, side, to, e, alpha, scale, colours) {
  const { edges, nodes } = scene;
  const from = nodes[edges.from[e]];
  const target = nodes[edges.to[e]];
  const [x1, y1, x2, y2] = [to.x(from.x), to.y(from.y), to.x(target.x), to.y(target.y)];
  const bend = (y1 - y2) * 0.5;
  ctx.globalAlpha = alpha;
  ctx.strokeStyle = edgeColour(scene, side, e, colours);
  ctx.lineWidth = edgeWidth(scene, side, e) * scale;
  ctx.beginPath();
  ctx.moveTo(x1, y1);
  ctx.bezierCurveTo(x1, y1 - bend, x2, y2 + bend, x2, y2);
  ctx.stroke();
  ctx.globalAlpha = 1;
}

/** By sign on a side; in the overlay by what was gained or lost: another palette, on purpose. */
function edgeColour(scene, side, e, colours) {
  const { edges } = scene;
  if (side !== null) {
    const weight = side === 0 ? edges.weight_a[e] : edges.weight_b[e];
    return weight >= 0 ? colours.positive : colours.negative;
  }
  const status = scene.statuses[edges.status[e]];
  if (status === "unchanged") return colours.same;
  if (status === "flipped") return colours.flipped;
  return edges.change[e] > 0 ? colours.gained : colours.lost;
}

/** Three pixels at most, by the square root of the share (of the change, in the overlay). */
function edgeWidth(scene, side, e) {
  const { edges } = scene;
  const part =
    side === null
      ? Math.abs(edges.change[e]) / scene.largestChange
      : Math.abs(side === 0 ? edges.share_a[e] : edges.share_b[e]);
  return Math.max(0.9, 3 * Math.sqrt(Math.min(1, part)));
}

function drawNodes(ctx, scene, side, to, marks, colours) {
  const marked = (row) => row === marks.hover || row === marks.selected || marks.pins.has(row);
  scene.nodes.forEach((node, row) => {
    if (!onSide(node, side) && !marked(row)) drawGhost(ctx, node, to, colours);
  });
  scene.nodes.forEach((node, row) => {
    if (onSide(node, side) || marked(row)) drawNode(ctx, scene, node, side, to, colours);
  });
  for (const row of marks.pins) drawRing(ctx, scene, row, side, to, colours, [], 1.5);
  if (marks.selected >= 0) drawRing(ctx, scene, marks.selected, side, to, colours, [], 2.5);
  if (marks.hover >= 0) drawRing(ctx, scene, marks.hover, side, to, colours, [3, 2], 2);
}

function tracePath(ctx, shape, x, y, r) {
  ctx.beginPath();
  if (shape === "circle") ctx.arc(x, y, r, 0, 2 * Math.PI);
  else if (shape === "square") ctx.rect(x - r, y - r, 2 * r, 2 * r);
  else {
    ctx.moveTo(x, y - r * 1.25);
    ctx.lineTo(x + r * 1.25, y);
    ctx.lineTo(x, y + r * 1.25);
    ctx.lineTo(x - r * 1.25, y);
    ctx.closePath();
  }
}

function drawGhost(ctx, node, to, colours) {
  ctx.strokeStyle = colours.ghost;
  ctx.lineWidth = 1;
  ctx.setLineDash([1.5, 1.5]);
  tracePath(ctx, node.shape, to.x(node.x), to.y(node.y), 2.4);
  ctx.stroke();
  ctx.setLineDash([]);
}

function drawNode(ctx, scene, node, side, to, colours) {
  const there = onSide(node, side);
  tracePath(ctx, node.shape, to.x(node.x), to.y(node.y), radius(scene, node, side, to.sx));
  ctx.fillStyle = node.answer ? colours.answer : colours.node;
  ctx.fill();
  ctx.strokeStyle = there ? outline(node, colours) : colours.ghost;
  ctx.lineWidth = node.status === "appeared" || node.status === "vanished" ? 2.2 : node.status === "unchanged" ? 1 : 1.5;
  if (!there) ctx.setLineDash([2, 2]);
  ctx.stroke();
  ctx.setLineDash([]);
}

function outline(node, colours) {
  if (node.status === "appeared" || node.status === "strengthened") return colours.gained;
  if (node.status === "vanished" || node.status === "weakened") return colours.lost;
  return node.kind === "error" ? colours.same : colours.outline;
}

function drawRing(ctx, scene, row, side, to, colours, dash, width) {
  const node = scene.nodes[row];
  ctx.strokeStyle = colours.ring;
  ctx.lineWidth = width;
  ctx.setLineDash(dash);
  ctx.beginPath();
  ctx.arc(to.x(node.x), to.y(node.y), radius(scene, node, side, to.sx) + 4, 0, 2 * Math.PI);
  ctx.stroke();
  ctx.setLineDash([]);
}

/** Outputs are named above their squares in two tiers: the right answer and the likeliest first, none over another. */
function drawOutputLabels(ctx, w, scene, side, to, marks, colours) {
  const asked = (row) => row === marks.hover || row === marks.selected || scene.nodes[row].answer;
  const rank = (row) => (asked(row) ? 1 : 0) + valueOn(scene.nodes[row], side);
  const likeliest = firstNode(scene, side);
  const rows = [...scene.nodes.keys()].filter((row) => scene.nodes[row].kind === "logit");
  rows.sort((p, q) => rank(q) - rank(p));
  const taken = [[], []]; // by tier
  ctx.textAlign = "center";
  ctx.textBaseline = "alphabetic";
  for (const row of rows) {
    const node = scene.nodes[row];
    ctx.font = `${row === likeliest ? "650 " : ""}11.5px ${colours.font}`;
    const text = shortened(node.token, 14);
    const half = ctx.measureText(text).width / 2;
    const x = Math.min(to.x(node.x), w - half - 3);
    const free = (tier) => taken[tier].every(([left, right]) => x - half > right + 5 || x + half < left - 5);
    const tier = [0, 1].find(free);
    if (x < 0 || tier === undefined) continue;
    taken[tier].push([x - half, x + half]);
    ctx.fillStyle = node.answer ? colours.answer : valueOn(node, side) >= 0.1 ? colours.text : colours.muted;
    ctx.fillText(text, x, to.y(node.y) - 10 - 13 * tier);
  }
}
