// Draws one panel on a canvas.
//
// `picture` is what all drawing functions take: { w, h, scene, side, to, marks, found, fade, colours }.
// side: 0 for A, 1 for B, null for the overlay. marks: rows (-1: none), edges as { from, to } rows or null.
// found: rows that the search has found. fade: between two steps { from: the old scene, t: 0 to 1 }, else null.

/** Returns the edges that it drew, for the pointer to find. */
function drawPanel(ctx, picture) {
  const { w, h, marks } = picture;
  ctx.clearRect(0, 0, w, h);
  ctx.save();
  ctx.beginPath();
  ctx.rect(PAD.left - 8, 0, w - PAD.left + 8, h - PAD.bottom + 12);
  ctx.clip();
  drawGrid(ctx, picture);
  const shown = drawEdges(ctx, picture);
  if (marks.hoverEdge) drawMarkedEdge(ctx, picture, marks.hoverEdge, false);
  if (marks.edge) drawMarkedEdge(ctx, picture, marks.edge, true);
  drawNodes(ctx, picture);
  drawOutputLabels(ctx, picture);
  drawNotes(ctx, picture);
  ctx.restore();
  drawScroll(ctx, picture);
  drawAxes(ctx, picture);
  return shown;
}

/** Where one is in a graph that is higher than its frame. */
function drawScroll(ctx, { w, h, scene, to, colours }) {
  const { tall = 1, height } = scene.places;
  if (tall <= 1) return;
  const room = h - PAD.top - PAD.bottom;
  const [top, size] = [(height - to.backY(PAD.top)) / height, room / (to.sy * height)];
  ctx.fillStyle = colours.ghost;
  ctx.beginPath();
  ctx.roundRect(w - 6, PAD.top + top * room, 4, Math.max(16, size * room), 2);
  ctx.fill();
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
