// Time-lapse: which step shows which frame, and what comes next. No DOM.

/** The moment whose step is nearest to `step`. */
function nearestMoment(moments, step) {
  const distance = (moment) => Math.abs(moment.step - step);
  return moments.reduce((best, moment) => (distance(moment) < distance(best) ? moment : best));
}

/** The step whose graphs are shown when `step` is chosen: itself where it is traced, else the nearest that is. */
function frameFor(timelapse, step) {
  return nearestMoment(timelapse.moments.filter((moment) => moment.ready), step).step;
}

/** The next moment that play goes to, or null at the end. */
function nextReady(moments, step) {
  return moments.find((moment) => moment.ready && moment.step > step) ?? null;
}

/** The moment beside the chosen one, traced or not. */
function momentBeside(moments, step, by) {
  const place = moments.findIndex((moment) => moment.step === step);
  return moments[Math.max(0, Math.min(moments.length - 1, place + by))];
}

/** From the first to the last step, of slider and curves alike. */
function timelapseRange({ moments, curves }) {
  const steps = [...moments.map((moment) => moment.step), ...curves.flatMap((curve) => curve.steps)];
  return { first: Math.min(...steps), last: Math.max(...steps) };
}

/** A checkpoint's name: `base`, `step 75`. */
function stepName(step) {
  return step === 0 ? "base" : `step ${step.toLocaleString("en")}`;
}

/** `step 105 of 300 (35%)` */
function stepText(timelapse, step) {
  const { last } = timelapseRange(timelapse);
  if (step === 0) return `base, before ${last.toLocaleString("en")} steps`;
  return `${stepName(step)} of ${last.toLocaleString("en")} (${Math.round((100 * step) / (last || 1))}%)`;
}

/** What else must be said at this step; "" where nothing must. */
function stepNote(timelapse, step) {
  const shown = frameFor(timelapse, step);
  return shown === step ? "" : `${stepName(step)} is not traced yet; this is ${stepName(shown)}`;
}
