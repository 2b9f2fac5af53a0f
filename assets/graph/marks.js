// What is marked, between rows of a scene and the names that Python knows.

const SOON_MS = 300;
const NO_MARKS = { hover: -1, hoverEdge: null, selected: -1, pins: new Set(), edge: null };

/** Everything a person did to the view, as Python's `Marks`. */
function stateOf({ scene, marks, view, chosenStep }) {
  const id = (row) => scene.nodes[row].id;
  const round = (value) => Math.round(100 * value) / 100;
  return {
    selected: marks.selected < 0 ? null : id(marks.selected),
    pins: [...marks.pins].map(id),
    edge: marks.edge ? [id(marks.edge.from), id(marks.edge.to)] : null,
    show: marks.show,
    statuses: scene.statuses.filter((status) => marks.statuses.has(status)),
    min_change: marks.minChange,
    step: chosenStep,
    look: round(view.k) > 1 ? [round(view.k), round(view.cx), round(view.cy)] : null,
  };
}

/** Marks the rows that a state names; what is not in this graph is left out. */
function marksOf(scene, state) {
  const row = (id) => scene.rowOf.get(id) ?? -1;
  const ends = state.edge ? { from: row(state.edge[0]), to: row(state.edge[1]) } : null;
  return {
    ...NO_MARKS,
    selected: row(state.selected),
    pins: new Set(state.pins.map(row).filter((pin) => pin >= 0)),
    edge: ends && ends.from >= 0 && ends.to >= 0 ? ends : null,
    show: state.show,
    statuses: new Set(state.statuses),
    minChange: state.min_change,
  };
}

/**
 * What is to be marked: what the view had, with the fields that Python orders anew. `heard`: the last order taken.
 * `before` is null where the component is new: then everything that Python says counts.
 */
function withOrders(before, { marks, said }, heard) {
  if (!before) return marks;
  const orders = Object.fromEntries(Object.entries(marks).filter(([name]) => (said[name] ?? 0) > heard));
  // A node or an edge is selected, never both.
  if (orders.edge) orders.selected ??= null;
  else if (orders.selected) orders.edge = null;
  return { ...before, ...orders };
}

/** Tells Python, at once or when the hand has come to rest; only what is new. */
function makeReporter(graphs) {
  let timer = 0;
  const now = () => {
    clearTimeout(timer);
    const state = { ...stateOf(graphs), heard: graphs.heard };
    const text = JSON.stringify(state);
    if (text === graphs.reported) return;
    graphs.reported = text;
    graphs.send(state);
  };
  const soon = () => {
    clearTimeout(timer);
    timer = setTimeout(now, SOON_MS);
  };
  return { now, soon, stop: () => clearTimeout(timer) };
}
