// What is marked, between rows of a scene and the names that Python knows.

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
