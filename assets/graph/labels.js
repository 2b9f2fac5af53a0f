// Text on the canvas: layers and tokens at the edges, outputs, labels beside features, names of groups.

/** Layer names on the left and tokens below stay in sight, however far one has zoomed in. */
function drawAxes(ctx, { w, h, scene, to, colours }) {
  ctx.textBaseline = "middle";
  ctx.textAlign = "left";
  ctx.fillStyle = colours.muted;
  ctx.font = `12px ${colours.font}`;
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

/** Outputs are named above their squares in two tiers: the right answer and the likeliest first, none over another. */
function drawOutputLabels(ctx, { w, scene, side, to, marks, colours }) {
  const asked = (row) => isMarked(marks, row) || scene.nodes[row].answer;
  const rank = (row) => (asked(row) ? 1 : 0) + valueOn(scene.nodes[row], side);
  const likeliest = firstNode(scene, side);
  const rows = [...scene.nodes.keys()].filter((row) => scene.nodes[row].kind === "logit" && scene.nodes[row].kept);
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

/** Labels that a person gave: always beside what is marked, beside the rest where nothing lies under them. */
function drawNotes(ctx, picture) {
  const { scene, side, marks } = picture;
  const taken = [];
  ctx.textBaseline = "middle";
  ctx.textAlign = "left";
  const noted = scene.nodes.flatMap((node, row) => (node.note && onSide(node, side) ? [row] : []));
  const asked = (row) => isMarked(marks, row);
  for (const row of [...noted.filter(asked), ...noted.filter((row) => !asked(row))]) {
    const node = scene.nodes[row];
    placeText(ctx, picture, taken, { text: node.note, row, bold: asked(row), must: asked(row) });
  }
  const named = new Map(); // group -> its highest member on this side
  scene.nodes.forEach((node, row) => {
    if (!onSide(node, side)) return;
    for (const place of node.groups) {
      const best = named.get(place);
      if (best === undefined || node.y > scene.nodes[best].y) named.set(place, row);
    }
  });
  for (const [place, row] of named) {
    placeText(ctx, picture, taken, { text: scene.groups[place].name, row, bold: true, must: true, above: true });
  }
}

/** Writes beside a node (or above it), unless it would lie on a node or on another label and need not be there. */
function placeText(ctx, picture, taken, { text, row, bold, must, above }) {
  const { w, scene, to, colours } = picture;
  const node = scene.nodes[row];
  const r = sizeOf(picture, row);
  ctx.font = `${bold ? "650 " : ""}12px ${colours.font}`;
  const shown = shortened(text, must ? 28 : 20);
  const width = ctx.measureText(shown).width;
  const [x, y] = [to.x(node.x), to.y(node.y)];
  const sides = above
    ? [{ left: x - width / 2, top: y - r - 21 }, { left: x - width / 2, top: y + r + 9 }]
    : [{ left: x + r + 4, top: y - 7 }, { left: x - r - 4 - width, top: y - 7 }];
  const boxes = sides.map((box) => ({
    left: Math.max(2, Math.min(w - width - 2, box.left)), top: Math.max(1, box.top), width, height: 14,
  }));
  const free = boxes.find((box) => !taken.some((other) => overlap(box, other)) && !coversNode(picture, box, row));
  const box = free ?? (must ? boxes.find((each) => !taken.some((other) => overlap(each, other))) ?? boxes[0] : null);
  if (!box) return;
  taken.push(box);
  ctx.globalAlpha = 0.85;
  ctx.fillStyle = colours.node; // the page's background: edges under the text must not be read as letters
  ctx.fillRect(box.left - 2, box.top, box.width + 4, box.height);
  ctx.globalAlpha = 1;
  ctx.fillStyle = bold ? colours.text : colours.muted;
  ctx.fillText(shown, box.left, box.top + 7.5);
}

function overlap(p, q) {
  return p.left < q.left + q.width + 4 && q.left < p.left + p.width + 4 && p.top < q.top + q.height && q.top < p.top + p.height;
}

function coversNode({ scene, side, to }, box, own) {
  return scene.nodes.some((node, row) => {
    if (row === own || !onSide(node, side)) return false;
    const [x, y, r] = [to.x(node.x), to.y(node.y), radius(scene, node, side, to)];
    const half = node.shape === "box" ? boxHalf(node, to.sx) : r;
    return x + half > box.left && x - half < box.left + box.width && y + r > box.top && y - r < box.top + box.height;
  });
}
