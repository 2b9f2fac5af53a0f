// Starts the Map in a page of its own: what the app tells its component, said once.
{
  const payload = document.getElementById("data").textContent;
  const marks = { selected: null, pins: [], edge: null, show: "both", statuses: [], min_change: 0, step: null, look: null };
  const head = { height: Number(document.body.dataset.height), grow: Number(document.body.dataset.grow), marks, said: {}, version: "page" };
  const data = new TextEncoder().encode(`${JSON.stringify(head)}\n${payload.replace(/\n/g, " ")}`);
  map({ data, parentElement: document.getElementById("map"), setStateValue: () => {} });
  document.documentElement.dataset.drawn = "yes"; // what a test waits for
}
