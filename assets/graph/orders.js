// What a page says to its component, and the component to its page. `stateOf` is the component's own.

const SOON_MS = 300;

/** What Python sends: a line of JSON about the view, then the view; this only where it is not of `version` (else null). */
function readWire(data, version) {
  const bytes = data instanceof Uint8Array ? data : new Uint8Array(data);
  const cut = bytes.indexOf(10);
  const read = (part) => JSON.parse(new TextDecoder().decode(part));
  const head = read(bytes.subarray(0, cut));
  return { head, payload: head.version === version ? null : read(bytes.subarray(cut + 1)) };
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
