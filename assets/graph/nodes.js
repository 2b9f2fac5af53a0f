// Nodes: shapes by kind, ghosts of the other side, halos of groups, rings around what is marked or found.

const SURE = new Set(["appeared", "vanished"]); // on one side only: the bolder outline

function drawNodes(ctx, picture) {
  const { scene, marks, found } = picture;
  const rows = [...scene.nodes.keys()];
  drawHalos(ctx, picture, rows);
  for (const row of found) drawFound(ctx, picture, row);
  for (const row of rows) drawGhost(ctx, picture, row);
  for (const row of rows) drawNode(ctx, picture, row);
  const ends = (edge) => (edge ? [edge.from, edge.to] : []);
  for (const row of marks.pins) drawRing(ctx, picture, row, [], 1.5);
  for (const row of [marks.selected, ...ends(marks.edge)]) if (row >= 0) drawRing(ctx, picture, row, [], 2.5);
  for (const row of [marks.hover, ...ends(marks.hoverEdge)]) if (row >= 0) drawRing(ctx, picture, row, [3, 2], 2);
}

function isMarked(marks, row) {
  const at = (edge) => edge && (edge.from === row || edge.to === row);
  return row === marks.hover || row === marks.selected || marks.pins.has(row) || at(marks.edge) || at(marks.hoverEdge);
}

/** How much of a node is seen, 0 to 1, as `now` tells; between two steps on its way. */
function seen({ scene, fade }, row, now) {
  const here = now(scene.nodes[row]) ? 1 : 0;
  if (!fade) return here;
  const was = now(fade.from.nodes[row]) ? 1 : 0;
  return was + (here - was) * fade.t;
}

function sizeOf({ scene, side, to, fade }, row) {
  const size = radius(scene, scene.nodes[row], side, to);
  if (!fade) return size;
  const was = fade.from.nodes[row];
  const before = was.kept ? radius(fade.from, was, side, to) : size;
  return before + (size - before) * fade.t;
}

function tracePath(ctx, node, x, y, r, pitch) {
  ctx.beginPath();
  if (node.shape === "circle") ctx.arc(x, y, r, 0, 2 * Math.PI);
  else if (node.shape === "square") ctx.rect(x - r, y - r, 2 * r, 2 * r);
  else if (node.shape === "box") {
    const half = boxHalf(node, pitch);
    ctx.roundRect(x - half, y - r, 2 * half, 2 * r, 5);
  } else {
    ctx.moveTo(x, y - r * 1.25);
    ctx.lineTo(x + r * 1.25, y);
    ctx.lineTo(x, y + r * 1.25);
    ctx.lineTo(x - r * 1.25, y);
    ctx.closePath();
  }
}

function drawGhost(ctx, picture, row) {
  const { scene, side, to, marks, colours } = picture;
  if (isMarked(marks, row)) return; // drawn whole, with a dashed outline
  const alpha = seen(picture, row, (node) => node.kept && !onSide(node, side));
  if (!alpha) return;
  const node = scene.nodes[row];
  ctx.globalAlpha = alpha;
  ctx.strokeStyle = colours.ghost;
  ctx.lineWidth = 1;
  ctx.setLineDash([1.5, 1.5]);
  const r = node.shape === "box" ? 8 : scene.wording ? Math.min(5, 0.3 * to.sx) : 2.4; // every head and MLP is there to be found
  tracePath(ctx, node, to.x(node.x), to.y(node.y), r, to.sx);
  ctx.stroke();
  ctx.setLineDash([]);
  ctx.globalAlpha = 1;
}

function drawNode(ctx, picture, row) {
  const { scene, side, to, marks, colours } = picture;
  const node = scene.nodes[row];
  const marked = isMarked(marks, row);
  const there = onSide(node, side);
  const alpha = marked ? 1 : seen(picture, row, (each) => onSide(each, side));
  if (!alpha) return;
  const r = sizeOf(picture, row);
  ctx.globalAlpha = alpha * (marked || !faded(picture, row) ? 1 : 0.22);
  tracePath(ctx, node, to.x(node.x), to.y(node.y), r, to.sx);
  ctx.fillStyle = node.answer ? colours.answer : colours.node;
  ctx.fill();
  ctx.strokeStyle = there || !marked ? outline(node, colours) : colours.ghost;
  ctx.lineWidth = SURE.has(node.status) ? 2.2 : SAME.has(node.status) ? 1 : 1.5;
  if (!there && marked) ctx.setLineDash([2, 2]);
  ctx.stroke();
  ctx.setLineDash([]);
  if (node.shape === "box") drawBoxName(ctx, picture, node);
  ctx.globalAlpha = 1;
}

/** In the overlay with a filter set: neither an end of an edge that passes, nor such a change itself. */
function faded({ scene, side, marks }, row) {
  if (side !== null || !filtered(marks)) return false;
  passing(scene, marks);
  const node = scene.nodes[row];
  const changed = (!marks.statuses.size || marks.statuses.has(node.status)) && Math.abs(node.change) >= marks.minChange;
  return !scene.passing.nodes.has(row) && !changed;
}

function outline(node, colours) {
  if (node.status === "appeared" || node.status === "strengthened") return colours.gained;
  if (node.status === "vanished" || node.status === "weakened") return colours.lost;
  if (node.status === "flipped") return colours.flipped;
  return node.kind === "error" ? colours.same : colours.outline;
}

function drawBoxName(ctx, { to, colours }, node) {
  const room = Math.max(3, Math.floor((2 * boxHalf(node, to.sx) - 8) / 5.6));
  ctx.font = `600 12px ${colours.font}`;
  ctx.textAlign = "center";
  ctx.textBaseline = "middle";
  ctx.fillStyle = colours.text;
  ctx.fillText(shortened(node.label, room), to.x(node.x), to.y(node.y) + 0.5);
}

/** A ring around a node, or a frame around a box. */
function drawRing(ctx, picture, row, dash, width) {
  const { scene, to, colours } = picture;
  const node = scene.nodes[row];
  const [x, y, r] = [to.x(node.x), to.y(node.y), sizeOf(picture, row) + 4];
  ctx.strokeStyle = colours.ring;
  ctx.lineWidth = width;
  ctx.setLineDash(dash);
  ctx.beginPath();
  if (node.shape === "box") {
    const half = boxHalf(node, to.sx) + 3;
    ctx.roundRect(x - half, y - r + 1, 2 * half, 2 * r - 2, 7);
  } else ctx.arc(x, y, r, 0, 2 * Math.PI);
  ctx.stroke();
  ctx.setLineDash([]);
}

/** What the search has found, as if with a highlighter; a ghost of the other side is only circled. */
function drawFound(ctx, picture, row) {
  const { scene, side, to, colours } = picture;
  const node = scene.nodes[row];
  const there = onSide(node, side);
  const [x, y, r] = [to.x(node.x), to.y(node.y), there ? sizeOf(picture, row) + 4 : 5.5];
  ctx.beginPath();
  if (node.shape === "box") ctx.roundRect(x - boxHalf(node, to.sx) - 4, y - r, 2 * boxHalf(node, to.sx) + 8, 2 * r, 8);
  else ctx.arc(x, y, r, 0, 2 * Math.PI);
  if (there) {
    ctx.globalAlpha = 0.5;
    ctx.fillStyle = colours.marker;
    ctx.fill();
    ctx.globalAlpha = 1;
  } else ctx.setLineDash([2, 2]);
  ctx.strokeStyle = colours.found;
  ctx.lineWidth = there ? 1.6 : 1;
  ctx.stroke();
  ctx.setLineDash([]);
}

/** Members of a group share a soft colour behind them. */
function drawHalos(ctx, picture, rows) {
  const { scene, side, to } = picture;
  for (const row of rows) {
    const node = scene.nodes[row];
    if (!node.groups.length) continue;
    const alpha = seen(picture, row, (each) => onSide(each, side));
    if (!alpha) continue;
    ctx.globalAlpha = 0.32 * alpha;
    ctx.fillStyle = scene.groups[node.groups[0]].colour;
    ctx.beginPath();
    ctx.arc(to.x(node.x), to.y(node.y), sizeOf(picture, row) + 8, 0, 2 * Math.PI);
    ctx.fill();
  }
  ctx.globalAlpha = 1;
}
