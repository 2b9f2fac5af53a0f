// Draws one panel of a map as SVG.

const SIGN_COLOURS = { sign: ["positive", "negative"], change: ["gained", "lost"] };

/** The colour of a value in a panel. */
function valueColour(colours, panel, value) {
  return colours[SIGN_COLOURS[panel.colors][value > 0 ? 0 : 1]];
}

/**
 * picture: { payload, scene, panel (its number), at (of placeMap), marks, colours }. marks: hover and selected are
 * { row, column } or null, hoverMove and move { source, target } or null, pins a list of { row, column }.
 */
function drawMap(svg, picture) {
  const { at, payload } = picture;
  svg.replaceChildren();
  const panel = payload.panels[picture.panel];
  drawGround(svg, picture);
  drawTops(svg, picture);
  drawPlaces(svg, picture, panel);
  drawNames(svg, picture);
  drawMoves(svg, picture);
  markMap(svg, picture);
}

/** Shows what is hovered, pinned and selected in a map that is drawn already. */
function markMap(svg, { scene, panel: number, payload, at, marks, colours }) {
  const panel = payload.panels[number];
  const here = [marks.hover?.column, marks.selected?.column, marks.move?.source, marks.move?.target];
  for (const name of svg.querySelectorAll(".tm-name")) name.classList.toggle("tm-here", here.includes(Number(name.dataset.column)));
  for (const arc of svg.querySelectorAll(".tm-arc, .tm-head")) {
    const move = scene.moves[Number(arc.dataset.arc)];
    const isHere = isMove(marks.move, move) || isMove(marks.hoverMove, move);
    const paint = arc.classList.contains("tm-arc") ? "stroke" : "fill";
    arc.setAttribute(paint, isHere ? colours.ring : valueColour(colours, panel, move.values[number]));
    arc.setAttribute(`${paint}-opacity`, marks.move && !isHere ? 0.25 : 0.85);
  }
  svg.querySelector(".tm-rings")?.remove();
  drawRings(shape(svg, "g", { class: "tm-rings" }), { at, marks, colours });
}

function drawGround(svg, { payload, at, colours }) {
  const box = { x: MAP_PAD.left, y: MAP_PAD.top, width: at.right - MAP_PAD.left, height: at.bottom - MAP_PAD.top };
  shape(svg, "rect", { class: "tm-ground", ...box, rx: 4 });
  for (const row of at.rows) {
    const y = at.y(row);
    shape(svg, "line", { x1: MAP_PAD.left, x2: at.right, y1: y, y2: y, stroke: colours.grid });
    shape(svg, "text", { class: "tm-row-name", x: MAP_PAD.left - 6, y: y + 4, fill: colours.muted }, payload.rows[row]);
  }
}

/** Above the plot: what all parts of a word add up to, or what the whole comes to. */
function drawTops(svg, { scene, at, colours, measure, panel: number }) {
  const { totals, tops, spreads } = scene.frame;
  if (!totals) {
    shape(svg, "text", { class: "tm-top", x: at.right, y: 15, fill: colours.text }, tops[number]);
    return;
  }
  const order = [...totals.keys()].sort((p, q) => Math.abs(totals[q]) - Math.abs(totals[p]));
  const least = 0.01 * Math.abs(totals[order[0]] ?? 0);
  const taken = [];
  for (const column of order) {
    const alone = signed(totals[column], Math.abs(totals[column]) >= 0.95 ? 1 : 2);
    const whole = spreads[column] ? `${alone} (${spreads[column]})` : alone;
    const text = measure(whole) + 8 <= at.pitchX ? whole : alone;
    const half = measure(text) / 2 + 2;
    const middle = Math.min(at.x(column), at.width - half);
    const free = taken.every(([left, right]) => middle - half > right || middle + half < left);
    if (!free || Math.abs(totals[column]) < least || !totals[column]) continue;
    taken.push([middle - half, middle + half]);
    shape(svg, "text", { class: "tm-total", x: middle, y: 15, fill: colours.muted }, text);
  }
}

/** Marks of one color and strength are one path: thousands of elements would take too long to draw. */
function drawPlaces(svg, { payload, scene, at, colours, panel: number }, panel) {
  const group = shape(svg, "g", { class: "tm-marks" });
  const paths = new Map();
  for (const { row, column, values } of scene.places) {
    const value = values[number];
    if (!isSeen(payload, value)) continue;
    const size = markSize(value, payload.largest[0]);
    const look = `${valueColour(colours, panel, value)} ${(0.4 + 0.6 * size).toFixed(1)}`;
    if (!paths.has(look)) paths.set(look, []);
    paths.get(look).push(roundedBox(at.x(column), at.y(row), markBox(at, size)));
  }
  for (const [look, boxes] of paths) {
    const [fill, opacity] = look.split(" ");
    shape(group, "path", { d: boxes.join(""), fill, "fill-opacity": opacity });
  }
}

/** A box around its middle, as a path. */
function roundedBox(x, y, { w, h }) {
  const r = Math.min(2.5, h / 2, w / 2);
  const [left, top, across, down] = [x - w / 2, y - h / 2, w - 2 * r, h - 2 * r];
  const corner = (dx, dy) => `a${r} ${r} 0 0 1 ${dx * r} ${dy * r}`;
  return `M${left + r} ${top}h${across}${corner(1, 1)}v${down}${corner(-1, 1)}h${-across}${corner(-1, -1)}v${-down}${corner(1, -1)}z`;
}

function drawNames(svg, { payload, at, colours }) {
  const { angle, shown } = at.names;
  for (const { column, text } of shown) {
    const { bold, label } = payload.columns[column];
    const [x, y] = [at.x(column), at.bottom + (angle ? 10 : 14)];
    const turned = angle ? { transform: `rotate(${angle} ${x} ${y})`, "text-anchor": "end", x: x + 4, y: y + 1 } : { "text-anchor": "middle", x, y };
    const name = shape(svg, "text", {
      class: bold ? "tm-name tm-bold" : "tm-name", "data-column": column, fill: bold ? colours.ring : colours.text, ...turned,
    }, text);
    if (text !== label) shape(name, "title", {}, label);
  }
}

/** The thinnest first, so that the thickest lie on top; each with a wide line under it that the pointer finds. */
function drawMoves(svg, { payload, scene, at, panel: number }) {
  const group = shape(svg, "g", { class: "tm-moves" });
  const size = (move) => Math.abs(move.values[number]);
  const shown = scene.moves.map((move, i) => ({ move, i })).filter(({ move }) => move.drawn[number]);
  shown.sort((p, q) => size(p.move) - size(q.move));
  for (const { move, i } of shown) {
    const width = Math.max(1, (MOST_ARC * size(move)) / payload.largest[1]);
    const d = arcPath(at, move, payload.columns.length, width);
    shape(group, "path", { d, class: "tm-arc", "data-arc": i, "stroke-width": width });
    shape(group, "path", { d: headPath(at, move, width), class: "tm-head", "data-arc": i });
    shape(group, "path", { d, class: "tm-hit", "data-move": i, "stroke-width": Math.max(10, width) });
  }
}

function isMove(one, other) {
  return Boolean(one && other) && one.source === other.source && one.target === other.target;
}

/** What is hovered, pinned and selected. */
function drawRings(svg, { at, marks, colours }) {
  const ring = ({ row, column }, attributes) => {
    const [w, h] = [Math.max(12, Math.min(at.pitchX, MOST_MARK.w + 8)), Math.max(10, Math.min(at.pitchY, MOST_MARK.h + 6))];
    shape(svg, "rect", { x: at.x(column) - w / 2, y: at.y(row) - h / 2, width: w, height: h, rx: 3, fill: "none", "pointer-events": "none", ...attributes });
  };
  if (marks.hover) ring(marks.hover, { stroke: colours.muted });
  marks.pins.forEach((pin) => ring(pin, { stroke: colours.text, "stroke-width": 1.5, "stroke-dasharray": "3 2" }));
  if (marks.selected) ring(marks.selected, { stroke: colours.ring, "stroke-width": 2 });
}
