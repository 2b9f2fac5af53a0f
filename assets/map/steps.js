// The slider over the checkpoints of a map.

const STEP_MS = 900;

function makeSteps(parent, map) {
  const box = element(parent, "section", "tm-steps");
  box.setAttribute("aria-label", "Training steps");
  const play = makeButton(box, "", "Play", () => togglePlay(map), "tl-play tm-play");
  const range = element(box, "input", "tm-range");
  Object.assign(range, { type: "range", min: 0, step: 1 });
  range.setAttribute("aria-label", "Training step");
  range.addEventListener("input", () => map.goTo(Number(range.value)));
  const name = element(box, "strong", "tm-step-name");
  return { box, play, range, name };
}

function fillSteps({ box, range, name, play }, map) {
  const { frames } = map.payload;
  box.hidden = frames.length < 2;
  range.max = frames.length - 1;
  range.value = map.number;
  const text = frames[map.number].name;
  name.textContent = text;
  range.setAttribute("aria-valuetext", text);
  const label = map.playing ? "Pause" : "Play";
  play.classList.toggle("tl-playing", Boolean(map.playing));
  play.title = label;
  play.setAttribute("aria-label", label);
}

function togglePlay(map) {
  if (map.playing) return pauseSteps(map);
  const last = map.payload.frames.length - 1;
  map.playing = setInterval(() => (map.number < last ? map.goTo(map.number + 1) : pauseSteps(map)), STEP_MS);
  map.goTo(map.number === last ? 0 : map.number + 1);
}

function pauseSteps(map) {
  if (!map.playing) return;
  clearInterval(map.playing);
  map.playing = 0;
  fillSteps(map.steps, map);
  map.report.soon();
}
