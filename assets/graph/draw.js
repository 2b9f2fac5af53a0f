// Draws one panel on a canvas.
//
// `picture` is what all drawing functions take: { w, h, scene, side, to, marks, found, fade, colours }.
// side: 0 for A, 1 for B, null for the overlay. marks: rows (-1: none), edges as { from, to } rows or null.
// found: rows that the search has found. fade: between two steps { from: the old scene, t: 0 to 1 }, else null.

/** Returns the edges that it drew, for the pointer to find. */
function drawPanel(ctx, picture) {
  const { w, h, marks, scene } = picture;
  const below = (scene.places.tall ?? 1) > 1 ? 8 : 12; // what is scrolled out of sight ends above the tokens' names
  ctx.clearRect(0, 0, w, h);
  ctx.save();
  ctx.beginPath();
  ctx.rect(PAD.left - 8, 0, w - PAD.left + 8, h - PAD.bottom + below);
  ctx.clip();
  drawGrid(ctx, picture);
  const shown = drawEdges(ctx, picture);
  if (marks.hoverEdge) drawMarkedEdge(ctx, picture, marks.hoverEdge, false);
  if (marks.edge) drawMarkedEdge(ctx, picture, marks.edge, true);
  drawNodes(ctx, picture);
  drawOutputLabels(ctx, picture);
  drawNotes(ctx, picture);
  ctx.restore();
  drawMap(ctx, picture);
  drawAxes(ctx, picture);
  return shown;
}

/** Where one is in a graph that is higher than its frame: all of its nodes, small, and a frame around what is seen. */
function drawMap(ctx, { w, h, scene, side, to, colours }) {
  const map = mapBox(scene.places, w, h);
  if (!map) return;
  const x = (value) => map.left + (value / scene.places.width) * map.width;
  const y = (value) => map.top + (1 - value / scene.places.height) * map.height;
  ctx.globalAlpha = 0.9;
  ctx.fillStyle = colours.node;
  ctx.fillRect(map.left - 3, map.top - 3, map.width + 6, map.height + 6);
  ctx.globalAlpha = 1;
  ctx.strokeStyle = colours.ghost;
  ctx.lineWidth = 1;
  ctx.strokeRect(map.left - 3.5, map.top - 3.5, map.width + 7, map.height + 7);
  for (const node of scene.nodes) {
    if (!onSide(node, side)) continue;
    ctx.fillStyle = node.answer ? colours.answer : outline(node, colours);
    ctx.fillRect(x(node.x) - 0.75, y(node.y) - 0.75, 1.5, 1.5);
  }
  const seen = { left: to.backX(PAD.left), right: to.backX(w - PAD.right), top: to.backY(PAD.top), bottom: to.backY(h - PAD.bottom) };
  ctx.strokeStyle = colours.ring;
  ctx.lineWidth = 1.5;
  const [left, top] = [Math.max(x(seen.left), map.left - 2), Math.max(y(seen.top), map.top - 2)];
  const [right, bottom] = [Math.min(x(seen.right), map.left + map.width + 2), Math.min(y(seen.bottom), map.top + map.height + 2)];
  ctx.strokeRect(left, top, right - left, bottom - top);
}

function drawGrid(ctx, { w, scene, to, colours }) {
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
