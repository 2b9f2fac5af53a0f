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

// As engine/export/callouts.py does it.
const LABEL_PX = 75; // of the panel's width for each automatic label of a node that nobody pointed at
const TRIES = 3; // nodes for each of these that are tried: many stand where no place is free
const SHIFTS = [0, -15, 15, -30, 30, -45, 45]; // pixels down
const REACH = 80; // … which a box never exceeds, nor what it could touch
const STEP = 24; // … and further to the side, so many times:
const MOST_STEPS = 4;

/**
 * Labels of features: always beside what is marked, beside the rest where nothing lies under them. What a person wrote
 * comes first; then, in italics, automatic labels of the nodes with the largest part, in the nearest free place.
 */
function drawNotes(ctx, picture) {
  const { scene, side, marks } = picture;
  const taken = [];
  ctx.textBaseline = "middle";
  ctx.textAlign = "left";
  const noted = scene.nodes.flatMap((node, row) => (node.note && onSide(node, side) ? [row] : []));
  const asked = (row) => isMarked(marks, row);
  const others = noted.filter((row) => !asked(row));
  const automatic = others.filter((row) => scene.nodes[row].measured);
  const size = (row) => Math.abs(side === null ? scene.nodes[row].change : scene.nodes[row].part[side]);
  automatic.sort((p, q) => size(q) - size(p));
  for (const row of [...noted.filter(asked), ...others.filter((row) => !scene.nodes[row].measured)]) {
    const { note, measured } = scene.nodes[row];
    placeText(ctx, picture, taken, { text: note, row, bold: asked(row), must: asked(row), italic: Boolean(measured) });
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
  drawAutomatic(ctx, picture, taken, automatic, Math.round(picture.w / LABEL_PX));
}

/** In the nearest place where nothing is, with a line to the node where that is not beside it; else not at all. */
function drawAutomatic(ctx, picture, taken, rows, most) {
  const { w, scene, to, colours } = picture;
  const levels = scene.places.rows.map((row) => to.y(row.y));
  const [highest, lowest] = [Math.min(...levels) + 8, Math.max(...levels) - 8]; // between outputs and tokens
  const nodes = nodeBoxes(picture);
  ctx.font = `italic 12px ${colours.font}`;
  const full = taken.length + most;
  for (const row of rows.slice(0, TRIES * most)) {
    if (taken.length >= full) return;
    const node = scene.nodes[row];
    const [x, y, r] = [to.x(node.x), to.y(node.y), sizeOf(picture, row)];
    if (x < PAD.left || x > w || y < 0 || y > picture.h) continue; // out of sight
    const text = shortened(node.note, 24);
    const width = ctx.measureText(text).width;
    const near = nodes.filter((other) => other.row !== row && Math.abs(other.top - y) < REACH);
    const free = (box) =>
      box.left >= PAD.left && box.left + width <= w - 2 && box.top >= highest && box.top + box.height <= lowest &&
      !taken.some((other) => overlap(box, other)) && !near.some((other) => touch(box, other));
    const box = around(x, y, r, width).find(free);
    if (!box) continue;
    taken.push(box);
    drawLeader(ctx, box, x, y, r, colours);
    writeBacked(ctx, text, box, colours, colours.muted);
  }
}

/** Places for a text of `width` beside a node, the nearest first. */
function around(x, y, r, width) {
  const places = [];
  for (let step = 0; step <= MOST_STEPS; step++) {
    for (const down of SHIFTS) {
      const far = step * STEP;
      const box = { top: y - 7 + down, width, height: 14, far: far + 1.5 * Math.abs(down) };
      places.push({ ...box, left: x + r + 4 + far }, { ...box, left: x - r - 4 - far - width });
    }
  }
  return places.sort((p, q) => p.far - q.far);
}

function drawLeader(ctx, box, x, y, r, colours) {
  if (!box.far) return;
  const end = { x: box.left > x ? box.left - 2 : box.left + box.width + 2, y: box.top + 7 };
  const length = Math.hypot(end.x - x, end.y - y);
  ctx.strokeStyle = colours.muted;
  ctx.lineWidth = 0.8;
  ctx.beginPath();
  ctx.moveTo(x + ((end.x - x) * r) / length, y + ((end.y - y) * r) / length);
  ctx.lineTo(end.x, end.y);
  ctx.stroke();
}

function writeBacked(ctx, text, box, colours, colour) {
  ctx.globalAlpha = 0.85;
  ctx.fillStyle = colours.node; // the page's background: edges under the text must not be read as letters
  ctx.fillRect(box.left - 2, box.top, box.width + 4, box.height);
  ctx.globalAlpha = 1;
  ctx.fillStyle = colour;
  ctx.fillText(text, box.left, box.top + 7.5);
}

/** Writes beside a node (or above it), unless it would lie on a node or on another label and need not be there. */
function placeText(ctx, picture, taken, { text, row, bold, must, above, italic }) {
  const { w, scene, to, colours } = picture;
  const node = scene.nodes[row];
  const r = sizeOf(picture, row);
  ctx.font = `${italic ? "italic " : ""}${bold ? "650 " : ""}12px ${colours.font}`;
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
  writeBacked(ctx, shown, box, colours, bold ? colours.text : colours.muted);
}

/** What each node of this side covers. */
function nodeBoxes({ scene, side, to }) {
  return scene.nodes.flatMap((node, row) => {
    if (!onSide(node, side)) return [];
    const r = radius(scene, node, side, to);
    const half = node.shape === "box" ? boxHalf(node, to.sx) : r;
    return [{ row, left: to.x(node.x) - half, top: to.y(node.y) - r, width: 2 * half, height: 2 * r }];
  });
}

function touch(p, q) {
  return p.left < q.left + q.width && q.left < p.left + p.width && p.top < q.top + q.height && q.top < p.top + p.height;
}

function overlap(p, q) {
  return p.left < q.left + q.width + 4 && q.left < p.left + p.width + 4 && p.top < q.top + q.height && q.top < p.top + p.height;
}

function coversNode(picture, box, own) {
  return nodeBoxes(picture).some((other) => other.row !== own && touch(box, other));
}
