// What a map shows of one frame, and where it stands. No DOM.

const MAP_PAD = { left: 38, right: 14, top: 22 };
const LABEL_PX = 12; // of layers and words
const LEAST_APART = 13; // pixels between two names
const MOST_MARK = { w: 64, h: 26 };
const LEAST_MARK = { w: 2.4, h: 2 };
const ARCS = { part: 0.15, least: 30, most: 84 }; // pixels below the words
const MOST_ARC = 7; // pixels of the largest move
const NAME_LIMIT = 14;
const MERE_SIGN = 0.1; // a comma gives way to a word unless it does so much more, of the largest
const TILTS = [[19, -40], [16, -55], [LEAST_APART, -90]]; // a column at least so wide: its name is turned so far

/** The values of a frame by panel, ready to be drawn and asked for. */
function makeMapScene(payload, number) {
  const frame = payload.frames[number];
  const places = frame.places.row.map((row, i) => ({
    row,
    column: frame.places.column[i],
    values: frame.places.values.map((panel) => panel[i]),
  }));
  const moves = frame.moves.source.map((source, i) => ({
    source,
    target: frame.moves.target[i],
    values: frame.moves.values.map((panel) => panel[i]),
    drawn: frame.moves.drawn.map((panel) => panel[i]),
  }));
  const at = new Map(places.map((place) => [cellKey(place.row, place.column), place]));
  return { frame, places, moves, at };
}

function cellKey(row, column) {
  return `${row} ${column}`;
}

/** How large a mark is, 0 to 1: its area is as its value. */
function markSize(value, largest) {
  return Math.sqrt(Math.min(1, Math.abs(value) / largest));
}

function isSeen(payload, value) {
  return Math.abs(value) >= payload.least * payload.largest[0];
}

/**
 * Where everything of one panel is, in a stage of `width` x `height` pixels.
 * `measure`: the width of a text in pixels.
 */
function placeMap(payload, scene, width, height, measure) {
  const [n, m] = [payload.rows.length, payload.columns.length];
  const inner = Math.max(1, width - MAP_PAD.left - MAP_PAD.right);
  const pitchX = inner / m;
  const x = (column) => MAP_PAD.left + (column + 0.5) * pitchX;
  const names = placeNames(payload, scene, pitchX, x, measure);
  const arcs = payload.frames.some((frame) => frame.moves.source.length)
    ? Math.max(ARCS.least, Math.min(ARCS.most, ARCS.part * height))
    : 0;
  const plot = Math.max(20, height - MAP_PAD.top - names.height - arcs - (arcs ? 4 : 0));
  const pitchY = plot / n;
  const bottom = MAP_PAD.top + plot;
  const y = (row) => bottom - (row + 0.5) * pitchY;
  return {
    width, height, pitchX, pitchY, x, y, names, arcs, bottom,
    right: width - MAP_PAD.right,
    rows: placeRows(payload, pitchY, y),
    below: bottom + names.height + 3, // where arcs begin
  };
}

/** Names of layers, none on another: the ends first, then every second, fifth, tenth. */
function placeRows({ rows, first_layer: first }, pitchY, y) {
  const every = [1, 2, 5, 10, 20, 50].find((step) => step * pitchY >= LEAST_APART) ?? 100;
  const isLayer = (row) => rows[row].startsWith("L");
  const layers = [...rows.keys()].filter(isLayer);
  const ends = [...rows.keys()].filter((row) => !isLayer(row));
  const regular = layers.filter((row) => (row + first) % every === 0);
  const taken = [];
  for (const row of [...ends, layers.at(-1), ...regular]) {
    if (taken.every((other) => Math.abs(y(other) - y(row)) >= LEAST_APART - 1)) taken.push(row);
  }
  return taken;
}

/** Names of words below the plot: level where they fit, else turned; where not even that fits, the important ones. */
function placeNames(payload, scene, pitchX, x, measure) {
  const { columns } = payload;
  const texts = columns.map((column) => shortened(column.label, NAME_LIMIT));
  const widths = texts.map((text, i) => measure(text, columns[i].bold));
  const level = widths.every((width, i) => i === 0 || (width + widths[i - 1]) / 2 + 7 <= pitchX) && widths[0] / 2 <= x(0);
  if (level) return { angle: 0, height: 19, shown: texts.map((text, column) => ({ column, text })) };
  const angle = TILTS.find(([least]) => pitchX >= least)?.[1] ?? -90;
  const ranked = [...columns.keys()].sort((p, q) => importance(payload, scene, q) - importance(payload, scene, p));
  const taken = [];
  for (const column of ranked) {
    if (taken.every((other) => Math.abs(other - column) * pitchX >= LEAST_APART)) taken.push(column);
  }
  const radians = (-angle * Math.PI) / 180;
  const shown = taken.sort((p, q) => p - q).map((column) => {
    const room = angle === -90 ? 90 : (x(column) + 4) / Math.cos(radians); // the first ones would leave the picture
    return { column, text: fitted(texts[column], room, (text) => measure(text, columns[column].bold)) };
  });
  const longest = Math.max(0, ...shown.map(({ column, text }) => measure(text, columns[column].bold)));
  return { angle, height: longest * Math.sin(radians) + 13, shown };
}

function fitted(text, room, measure) {
  let shown = text;
  for (let limit = [...text].length - 1; limit > 1 && measure(shown) > room; limit--) shown = shortened(text, limit);
  return shown;
}

/** Which words must be named: those that were taught, then those of most, the ends of arcs among them. */
function importance(payload, scene, column) {
  const most = (all, largest) => Math.max(0, ...all.map(({ values }) => Math.abs(values.at(-1)))) / largest;
  const ends = scene.moves.filter(({ source, target, drawn }) => drawn.at(-1) && (source === column || target === column));
  const size = Math.max(most(scene.places.filter((place) => place.column === column), payload.largest[0]), most(ends, payload.largest[1]));
  const { bold, label } = payload.columns[column];
  const mere = /[\p{L}\p{N}]/u.test(label) ? 0 : MERE_SIGN;
  return size - mere + (bold ? 2 : 0) + (column === payload.columns.length - 1 ? 1 : 0);
}

/** The size of a mark in pixels. */
function markBox({ pitchX, pitchY }, size) {
  const most = { w: Math.min(MOST_MARK.w, 0.92 * pitchX), h: Math.min(MOST_MARK.h, Math.max(2.5, 0.86 * pitchY)) };
  return { w: Math.max(Math.min(LEAST_MARK.w, 0.35 * pitchX), most.w * size), h: Math.max(Math.min(LEAST_MARK.h, most.h), most.h * size) };
}

/** An arc below the words, deeper the farther it goes; it ends in the head that points to its word. */
function arcPath({ x, below, arcs }, { source, target }, columns, width) {
  const far = Math.abs(target - source) / Math.max(1, columns - 1);
  const depth = (arcs - 8) * (0.3 + 0.7 * Math.sqrt(far)) * 1.3;
  return `M${x(source)} ${below}C${x(source)} ${below + depth} ${x(target)} ${below + depth} ${x(target)} ${below + 0.8 * headSize(width)}`;
}

/** The point of an arc, in the word that it comes to. */
function headPath({ x, below }, { target }, width) {
  const size = headSize(width);
  return `M${x(target)} ${below - 1}l${0.65 * size} ${size}h${-1.3 * size}z`;
}

function headSize(width) {
  return 5 + 0.8 * width;
}

/** The row and column under a pixel, or null. */
function cellAt({ pitchX, pitchY, bottom }, { rows, columns }, px, py) {
  const column = Math.floor((px - MAP_PAD.left) / pitchX);
  const row = Math.floor((bottom - py) / pitchY);
  const inside = row >= 0 && row < rows.length && column >= 0 && column < columns.length;
  return inside ? { row, column } : null;
}

/** The place with a mark that is nearest to a cell, within reach of the pointer; small marks need not be hit exactly. */
function placeNear({ pitchX, pitchY, x, y }, { places }, px, py) {
  const [reachX, reachY] = [Math.max(7, pitchX / 2), Math.max(7, pitchY / 2)];
  let best = null;
  for (const place of places) {
    const [dx, dy] = [Math.abs(x(place.column) - px) / reachX, Math.abs(y(place.row) - py) / reachY];
    const far = Math.max(dx, dy);
    if (far <= 1 && (!best || far < best.far)) best = { place, far };
  }
  return best?.place ?? null;
}

/** The next place from `here` in the direction of an arrow key; the largest where there is none yet. */
function placeBeside({ places }, here, key) {
  const size = (place) => Math.abs(place.values.at(-1));
  if (!here) return places.reduce((best, place) => (!best || size(place) > size(best) ? place : best), null);
  const along = { ArrowRight: [0, 1], ArrowLeft: [0, -1], ArrowUp: [1, 0], ArrowDown: [-1, 0] }[key];
  const way = (place) => (place.row - here.row) * along[0] + (place.column - here.column) * along[1];
  const off = (place) => Math.abs((place.row - here.row) * along[1]) + Math.abs((place.column - here.column) * along[0]);
  const ahead = places.filter((place) => way(place) > 0);
  const cost = (place) => way(place) + 2 * off(place);
  return ahead.reduce((best, place) => (!best || cost(place) < cost(best) ? place : best), null);
}
