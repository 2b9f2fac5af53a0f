// How the parts came about over training: words stacked over checkpoints, bands of layers a stretch. As SVG.

const SPLIT = { left: 52, right: 140, head: 20, axis: 18, gap: 14, row: 22, top: 2 };
const BAR_PX = 20;

/** What is drawn beside the map; one stretch alone is told in bars. `shown`: how many stretches are, from the first. */
function drawSplit(svg, { payload, width, height, colours, measure, shown }) {
  const { split } = payload;
  svg.replaceChildren();
  const parts = split.words.map((word, place) => ({ ...word, colour: wordColour(payload, word, place, colours) }));
  if (split.names.length === 2) return drawAllBars(svg, split, parts, width, height, colours, measure);
  const room = height - 2 * (SPLIT.head + SPLIT.axis) - SPLIT.gap - SPLIT.top;
  const rows = Math.min(0.5 * room, split.bands.length * SPLIT.row);
  const x = (step) => SPLIT.left + (step / (split.names.length - 1)) * (width - SPLIT.left - SPLIT.right);
  const upper = { top: SPLIT.top + SPLIT.head, bottom: SPLIT.top + SPLIT.head + room - rows };
  heading(svg, SPLIT.top, "By word", "added up over training", colours, measure);
  drawAreas(svg, parts, x, upper, colours, measure);
  drawChecks(svg, split.names, x, upper.bottom, colours, measure);
  const lower = { top: upper.bottom + SPLIT.axis + SPLIT.gap + SPLIT.head, bottom: height - SPLIT.axis };
  heading(svg, lower.top - SPLIT.head, "By layers", "in each stretch", colours, measure);
  drawGridOfBands(svg, split, x, lower, colours, shown);
  drawChecks(svg, split.names, x, lower.bottom, colours, measure);
  if (shown < split.names.length - 1) for (const { top, bottom } of [upper, lower]) {
    shape(svg, "line", { class: "tm-cursor", x1: x(shown), x2: x(shown), y1: top, y2: bottom, stroke: colours.ring });
  }
  return { x, first: SPLIT.left, last: width - SPLIT.right };
}

function wordColour(payload, word, place, colours) {
  return word.column < 0 ? colours.same : payload.series[place % payload.series.length];
}

function heading(svg, y, text, note, colours, measure) {
  shape(svg, "text", { class: "tm-heading", x: 2, y: y + 13, fill: colours.text }, text);
  shape(svg, "text", { class: "tm-note", x: 10 + measure(text, true) * 1.09, y: y + 13, fill: colours.muted }, note);
}

/** Positive parts are stacked above zero, negative ones below. */
function drawAreas(svg, parts, x, { top, bottom }, colours, measure) {
  const n = parts[0]?.values.length ?? 0;
  const ends = [...Array(n).keys()].map((step) => [0, 1].map((sign) => sumOf(parts.map((part) => part.values[step]), sign)));
  const [high, low] = [Math.max(1e-9, ...ends.map(([up]) => up)), Math.min(0, ...ends.map(([, down]) => down))];
  const y = (value) => bottom - ((value - low) / (high - low)) * (bottom - top - 4);
  const digits = Math.min(4, Math.max(1, Math.ceil(-Math.log10((high - low) / 3)))); // so that small changes are told apart
  for (const tick of ticks(low, high)) {
    shape(svg, "line", { x1: x(0), x2: x(n - 1), y1: y(tick), y2: y(tick), stroke: colours.grid });
    shape(svg, "text", { class: "tm-row-name", x: SPLIT.left - 6, y: y(tick) + 4, fill: colours.muted }, signed(tick, Number.isInteger(tick) ? 0 : digits));
  }
  const steps = withCrossings(parts, n);
  const stacks = [Array(steps.length).fill(0), Array(steps.length).fill(0)];
  const labels = [];
  for (const part of parts) {
    const all = steps.map((step) => valueAt(part.values, step));
    for (const side of [0, 1]) {
      const own = all.map((value) => (side === 0 ? Math.max(0, value) : Math.min(0, value)));
      const last = side === (all.at(-1) < 0 ? 1 : 0);
      if (!own.some(Boolean) && !last) continue;
      const bases = stacks[side];
      const heads = (stacks[side] = bases.map((base, place) => base + own[place]));
      const line = [heads, bases.slice()].map((edge) => edge.map((value, place) => [x(steps[place]), y(value)]));
      const area = shape(svg, "polygon", { points: [...line[0], ...line[1].reverse()].join(" "), fill: part.colour, "fill-opacity": 0.82 });
      shape(area, "title", {}, `${part.label} ${signed(part.values.at(-1))}`);
      if (last) labels.push({ part, y: (y(heads.at(-1)) + y(bases.at(-1))) / 2 });
    }
  }
  spread(labels, top + 6, bottom - 2);
  for (const { part, y: middle } of labels) {
    const text = `${fitted(part.label, SPLIT.right - 52, measure)} ${signed(part.values.at(-1), digits)}`;
    shape(svg, "rect", { x: x(n - 1) + 7, y: middle - 4, width: 8, height: 8, rx: 2, fill: part.colour });
    shape(svg, "text", { class: "tm-series", x: x(n - 1) + 20, y: middle + 4, fill: colours.text }, text);
  }
}

/** The checkpoints, and where a part passes through zero between two: there it leaves one stack and enters the other. */
function withCrossings(parts, n) {
  const found = new Set(Array(n).keys());
  for (const { values } of parts)
    for (let step = 0; step + 1 < n; step++)
      if (values[step] * values[step + 1] < 0) found.add(step + values[step] / (values[step] - values[step + 1]));
  return [...found].sort((p, q) => p - q);
}

function valueAt(values, step) {
  const [before, share] = [Math.floor(step), step % 1];
  if (!share) return values[before];
  const value = values[before] + share * (values[before + 1] - values[before]);
  return Math.abs(value) < 1e-9 ? 0 : value;
}

function sumOf(values, sign) {
  return values.reduce((sum, value) => (value >= 0 === (sign === 0) ? sum + value : sum), 0);
}

/** Three or four round numbers. */
function ticks(low, high) {
  const rough = (high - low) / 3;
  const unit = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((n) => n * unit).find((each) => each >= rough);
  const found = [];
  for (let value = Math.ceil(low / step) * step; value <= high + 1e-9; value += step) found.push(Number(value.toPrecision(6)));
  return found;
}

/** Names that would lie on each other are moved apart. */
function spread(labels, top, bottom) {
  labels.sort((p, q) => p.y - q.y);
  for (let i = 0; i < labels.length; i++) labels[i].y = Math.max(labels[i].y, i ? labels[i - 1].y + LEAST_APART + 1 : top);
  for (let i = labels.length - 1, limit = bottom; i >= 0; i--, limit = labels[i + 1].y - LEAST_APART - 1) labels[i].y = Math.min(labels[i].y, limit);
}

/** The checkpoints below a chart; those that have no room are left out. */
function drawChecks(svg, names, x, bottom, colours, measure) {
  let free = -Infinity;
  const last = names.length - 1;
  const order = [...names.keys()];
  const endLeft = x(last) - measure(names[last]) / 2;
  for (const step of order) {
    const text = names.length > 3 ? names[step].replace(/^step /, "") : names[step];
    const half = measure(text) / 2;
    if (x(step) - half < free + 8 || (step !== last && step !== 0 && x(step) + half > endLeft - 8)) continue;
    shape(svg, "text", { class: "tm-check", x: x(step), y: bottom + 14, fill: colours.muted }, text);
    free = x(step) + half;
  }
}

/** The last bands stand on top, as the layers do. */
function drawGridOfBands(svg, { bands, names }, x, { top, bottom }, colours, shown) {
  const pitch = (bottom - top) / bands.length;
  const most = Math.max(1e-9, ...bands.flatMap((band) => band.values.map(Math.abs)));
  bands.forEach((band, place) => {
    const y = bottom - (place + 1) * pitch;
    if (pitch >= LEAST_APART - 1)
      shape(svg, "text", { class: "tm-row-name", x: SPLIT.left - 6, y: y + pitch / 2 + 4, fill: colours.muted }, band.label);
    band.values.forEach((value, stretch) => {
      const [left, right] = [x(stretch), x(stretch + 1)];
      const share = Math.abs(value) / most;
      const cell = shape(svg, "rect", {
        x: left + 1, y: y + 1, width: Math.max(1, right - left - 2), height: Math.max(1, pitch - 2), rx: 3, fill: value >= 0 ? colours.gained : colours.lost,
        "fill-opacity": (0.06 + 0.62 * share) * (stretch < shown ? 1 : 0.3),
      });
      shape(cell, "title", {}, `${band.label}, ${names[stretch]} to ${names[stretch + 1]}: ${signed(value)}`);
      if (right - left > 40 && pitch >= LEAST_APART)
        shape(svg, "text", { class: "tm-cell", x: (left + right) / 2, y: y + pitch / 2 + 4, fill: colours.text }, signed(value));
    });
  });
}

/** One stretch: bars by word, then by bands of layers. */
function drawAllBars(svg, split, parts, width, height, colours, measure) {
  const half = (height - 2 * SPLIT.head - SPLIT.gap) / (parts.length + split.bands.length);
  const pitch = Math.min(46, half);
  heading(svg, SPLIT.top, "By word", "", colours, measure);
  const upper = { top: SPLIT.top + SPLIT.head, width, pitch };
  drawBars(svg, parts.map((part) => ({ label: part.label, value: part.values.at(-1) })), upper, colours, measure);
  const lower = { top: upper.top + parts.length * pitch + SPLIT.gap + SPLIT.head, width, pitch };
  heading(svg, lower.top - SPLIT.head, "By layers", "", colours, measure);
  drawBars(svg, [...split.bands].reverse().map((band) => ({ label: band.label, value: band.values[0] })), lower, colours, measure);
  return null;
}

function drawBars(svg, rows, { top, width, pitch }, colours, measure) {
  const names = Math.min(110, Math.max(...rows.map(({ label }) => measure(label)), 30)) + 10;
  const numbers = 54;
  const [low, high] = [Math.min(0, ...rows.map(({ value }) => value)), Math.max(0, ...rows.map(({ value }) => value))];
  const room = width - names - 2 * numbers - 4;
  const x = (value) => names + (low < 0 ? numbers : 0) + ((value - low) / (high - low || 1)) * (room + (low < 0 ? 0 : numbers));
  rows.forEach(({ label, value }, place) => {
    const middle = top + (place + 0.5) * pitch;
    const [left, right] = [Math.min(x(0), x(value)), Math.max(x(0), x(value))];
    const name = fitted(label, names - 10, measure);
    shape(svg, "text", { class: "tm-row-name", x: names - 8, y: middle + 4, fill: colours.text }, name);
    shape(svg, "rect", { x: left, y: middle - Math.min(BAR_PX, 0.7 * pitch) / 2, width: Math.max(1.5, right - left), height: Math.min(BAR_PX, 0.7 * pitch), rx: 2, fill: value >= 0 ? colours.gained : colours.lost });
    const [at, anchor] = value >= 0 ? [right + 5, "start"] : [left - 5, "end"];
    shape(svg, "text", { class: "tm-series", x: at, y: middle + 4, "text-anchor": anchor, fill: colours.muted }, signed(value));
  });
}
