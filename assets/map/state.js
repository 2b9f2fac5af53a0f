// What is marked, between places of the map and the names that Python knows: `place/LAYER/FIRST/LAST`.

const PLACE = /^place\/(-?\d+)\/(\d+)\/(\d+)$/;
const NODE = /^(?:feature|error|token|logit)\/(-?\d+)\/(\d+)\//; // of the graphs: stands in the place of its layer and token

/** Everything a person did, as Python's `Marks`; what the map knows nothing of stays as it was. */
function stateOf({ given, named }) {
  return { ...given, ...named };
}

function placeId({ columns, first_layer: first }, { row, column }) {
  return `place/${row + first}/${columns[column].first}/${columns[column].last}`;
}

/** The ends of a move are its words' embeddings. */
function moveIds(payload, { source, target }) {
  return [source, target].map((column) => placeId(payload, { row: 0, column }));
}

/** { row, column } of a name; null where it is not on this map. */
function placeOf({ columns, rows, first_layer: first }, id) {
  const found = PLACE.exec(id ?? "") ?? NODE.exec(id ?? "");
  if (!found) return null;
  const [row, position] = [Number(found[1]) - first, Number(found[2])];
  const column = columns.findIndex((each) => each.first <= position && position <= each.last);
  return column >= 0 && row >= 0 && row < rows.length ? { row, column } : null;
}

function moveOf(payload, ids) {
  const ends = (ids ?? []).map((id) => placeOf(payload, id));
  if (ends.length !== 2 || !ends[0] || !ends[1] || ends[0].column === ends[1].column) return null;
  return { source: ends[0].column, target: ends[1].column };
}

/** The frame to show: of the step that is asked for, or the nearest; else the last. */
function frameAt(frames, step) {
  if (step === null || step === undefined) return frames.length - 1;
  const far = (frame) => Math.abs((frame.step ?? 0) - step);
  return frames.reduce((best, frame, number) => (far(frame) < far(frames[best]) ? number : best), 0);
}
