// The strip below a time-lapse: play, the slider over the steps, and the learning curves on the same axis.

const PLAY_MS = 700; // a step
const THUMB = 8; // half of the slider's thumb: its middle stands over the curves' points
const CHART = { height: 58, top: 5, bottom: 12 };

function makeTimeline(parent, graphs) {
  const box = element(parent, "section", "tl-timelapse");
  box.setAttribute("aria-label", "Time-lapse");
  const play = makeButton(box, "", "Play", () => graphs.togglePlay(), "tl-play");
  const strip = element(box, "div", "tl-strip");
  const chart = strip.appendChild(document.createElementNS(SVG, "svg"));
  chart.setAttribute("class", "tl-curves");
  chart.setAttribute("role", "img");
  const range = element(strip, "input", "tl-steps");
  range.type = "range";
  range.setAttribute("aria-label", "Training step");
  const side = element(box, "div", "tl-timelapseside");
  const step = element(side, "strong", "tl-step");
  const note = element(side, "span", "tl-note");
  note.setAttribute("role", "status");
  const legend = element(side, "div", "tl-timelapsekeys");
  const cap = element(side, "span", "tl-cap");
  const timeline = { box, play, strip, chart, range, step, note, legend, cap, width: 0 };
  range.addEventListener("input", () => graphs.goTo(nearestMoment(graphs.timelapse.moments, Number(range.value)).step));
  range.addEventListener("keydown", (event) => onStepKey(graphs, event));
  chart.addEventListener("click", (event) => {
    const { first, last } = timelapseRange(graphs.timelapse);
    const part = (event.clientX - chart.getBoundingClientRect().left - THUMB) / (timeline.width - 2 * THUMB);
    graphs.goTo(nearestMoment(graphs.timelapse.moments, first + part * (last - first)).step);
  });
  return timeline;
}

/** Keys go from checkpoint to checkpoint, which are not evenly spaced; the space bar plays. */
function onStepKey(graphs, event) {
  const { moments } = graphs.timelapse;
  const by = { ArrowRight: 1, ArrowUp: 1, ArrowLeft: -1, ArrowDown: -1, PageUp: 3, PageDown: -3, Home: -1e6, End: 1e6 };
  if (event.key in by) graphs.goTo(momentBeside(moments, graphs.step, by[event.key]).step);
  else if (event.key === " ") graphs.togglePlay();
  else return;
  event.preventDefault();
}

/** New data: the slider's range, the legend, the curves. */
function fillTimeline(timeline, graphs) {
  const { timelapse } = graphs;
  timeline.box.hidden = !timelapse;
  if (!timelapse) return;
  const { first, last } = timelapseRange(timelapse);
  Object.assign(timeline.range, { min: first, max: last, step: 1 });
  timeline.cap.textContent = drawnOf(timelapse, graphs.payload.nodes.length);
  fillTimelapseKeys(timeline.legend, timelapse.curves);
  timeline.width = 0; // draw the curves again
  measureTimeline(timeline, graphs);
  updateTimeline(timeline, graphs);
}

/** How much of all steps is drawn; empty where all is. */
function drawnOf({ n_nodes, most_edges, cap }, drawn) {
  const [some, all, most, edges] = [drawn, n_nodes, cap, most_edges].map((n) => n.toLocaleString("en"));
  if (drawn < n_nodes) return `Drawn: ${some} of ${all} nodes${most_edges ? `; of their edges the ${most} largest of each step` : ""}.`;
  return most_edges ? `Drawn: the ${most} largest edges of each step, of up to ${edges}.` : "";
}

function fillTimelapseKeys(legend, curves) {
  legend.replaceChildren();
  const add = (className, text, title, color = "") => {
    const key = element(legend, "span", "tl-key");
    key.title = title;
    element(key, "i", className).style.background = color;
    element(key, "span", "", text);
  };
  for (const [probes, color] of new Map(curves.map((curve) => [curve.probes, curve.color]))) {
    add("tl-line", probes, `Accuracy on ${probes} probes, mean over constraint types`, color);
  }
  const runs = new Map(curves.map((curve) => [curve.place, curve.run]));
  if (runs.size > 1) runs.forEach((run, place) => add(place ? "tl-run tl-run-b" : "tl-run", `${"AB"[place] ?? ""} ${run}`, run));
}

/** Draws the curves for the width that there is. */
function measureTimeline(timeline, graphs) {
  const width = timeline.strip.clientWidth - parseFloat(getComputedStyle(timeline.strip).paddingLeft);
  if (!graphs.timelapse || !(width > 2 * THUMB) || width === timeline.width) return; // NaN once it has left the page
  timeline.width = width;
  const { chart } = timeline;
  chart.setAttribute("width", width);
  chart.setAttribute("height", CHART.height);
  chart.replaceChildren();
  const at = chartScale(graphs.timelapse, width);
  for (const value of graphs.timelapse.curves.length ? [0, 0.5, 1] : []) {
    shape(chart, "line", { class: "tl-gridline", x1: 0, x2: width, y1: at.y(value), y2: at.y(value) });
    if (value !== 0.5) shape(chart, "text", { class: "tl-axis", x: -5, y: at.y(value) + 3.5 }, String(value));
  }
  timeline.cursor = shape(chart, "line", { class: "tl-cursor", y1: 0, y2: CHART.height });
  for (const curve of graphs.timelapse.curves) drawCurve(chart, curve, at);
  timeline.ticks = graphs.timelapse.moments.map((moment) => drawTick(chart, moment, at));
  chart.setAttribute("aria-label", chartText(graphs.timelapse));
  updateTimeline(timeline, graphs);
}

function chartScale(timelapse, width) {
  const { first, last } = timelapseRange(timelapse);
  const high = CHART.height - CHART.top - CHART.bottom;
  return {
    x: (step) => THUMB + ((step - first) / (last - first || 1)) * (width - 2 * THUMB),
    y: (accuracy) => CHART.top + (1 - accuracy) * high,
  };
}

// Of points, by their mark; others are round.
const CORNERS = {
  square: [[-2.4, -2.4], [2.4, -2.4], [2.4, 2.4], [-2.4, 2.4]],
  "triangle-up": [[0, -3], [3, 2.4], [-3, 2.4]],
  diamond: [[0, -3.3], [3.3, 0], [0, 3.3], [-3.3, 0]],
};

function drawCurve(chart, curve, at) {
  const points = curve.steps.map((step, i) => [at.x(step), at.y(curve.accuracy[i])]);
  shape(chart, "polyline", { class: `tl-curve ${curve.place ? "tl-dash" : ""}`, stroke: curve.color, points: points.join(" ") });
  points.forEach(([x, y], i) => {
    const corners = CORNERS[curve.mark]?.map(([right, down]) => [x + right, y + down]);
    const mark = corners
      ? shape(chart, "polygon", { class: "tl-point", fill: curve.color, points: corners.join(" ") })
      : shape(chart, "circle", { class: "tl-point", fill: curve.color, cx: x, cy: y, r: 2.7 });
    shape(mark, "title", {}, `${curve.run}, ${stepName(curve.steps[i])}: ${curve.probes} ${percent(curve.accuracy[i])}`);
  });
}

/** Solid where the step is traced, hollow where it is not. */
function drawTick(chart, moment, at) {
  const place = { cx: at.x(moment.step), cy: CHART.height - 4, r: 3.4 };
  const tick = shape(chart, "circle", { class: moment.ready ? "tl-tick tl-ready" : "tl-tick", ...place });
  shape(tick, "title", {}, `${stepName(moment.step)}: ${moment.ready ? "traced" : "not traced yet"}`);
  return tick;
}

function chartText({ moments, curves }) {
  const ready = moments.filter((moment) => moment.ready).length;
  const lines = curves.map(
    ({ run, probes, steps, accuracy }) =>
      `${run}, ${probes}: from ${percent(accuracy[0])} at ${stepName(steps[0])} to ${percent(accuracy.at(-1))} at ${stepName(steps.at(-1))}`,
  );
  return [`Learning curves; ${ready} of ${moments.length} checkpoints are traced`, ...lines].join(". ");
}

/** The chosen step, in the slider, in words and in the chart. */
function updateTimeline(timeline, graphs) {
  const { timelapse, step } = graphs;
  if (!timelapse) return;
  const { range, play } = timeline;
  const [text, note] = [stepText(timelapse, step), stepNote(timelapse, step)];
  range.value = step;
  range.setAttribute("aria-valuetext", note ? `${text}, not traced yet` : text);
  timeline.step.textContent = text;
  timeline.note.textContent = note;
  const label = graphs.playing ? "Pause" : "Play";
  play.classList.toggle("tl-playing", Boolean(graphs.playing));
  play.title = `${label} (space)`;
  play.setAttribute("aria-label", label);
  if (!timeline.cursor) return;
  const x = chartScale(timelapse, timeline.width).x(step);
  timeline.cursor.setAttribute("x1", x);
  timeline.cursor.setAttribute("x2", x);
  timelapse.moments.forEach((moment, i) => timeline.ticks[i].classList.toggle("tl-now", moment.step === step));
}

/** What the two sides answer at the step that is shown: the same sentence as above a comparison of its checkpoints. */
function makeSentence(parent) {
  const sentence = element(parent, "p", "tl-sentence");
  sentence.hidden = true;
  return sentence;
}

/** How many edges have which status at the step that is shown. */
function makeCounts(parent) {
  const counts = element(parent, "div", "tl-counts");
  counts.hidden = true;
  return counts;
}

/** Follows every step, also while it plays: all of it came with the step's graphs. */
function tellStep({ sentence, counts, timelapse, shown, payload }) {
  sentence.hidden = counts.hidden = !timelapse;
  sentence.replaceChildren();
  counts.replaceChildren();
  if (!timelapse) return;
  const frame = timelapse.frames[shown];
  for (const [text, strong] of frame.sentence) element(sentence, strong ? "strong" : "span", "", text);
  element(counts, "strong", "", `Edges at ${stepName(shown)}`);
  frame.counts.forEach((n, place) => {
    const status = payload.statuses[place];
    if (n) element(counts, "span", `tl-badge tl-is-${status}`, `${n.toLocaleString("en")} ${status}`);
  });
}
