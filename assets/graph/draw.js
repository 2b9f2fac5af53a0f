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
  drawAxes(ctx, picture);
  return shown;
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
