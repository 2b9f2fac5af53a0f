// Two attribution graphs in one layout, moved, hovered, selected and pinned together; their overlay; a time-lapse.
// Called again on the same element whenever the data changes: it then updates what is there.

const FADE_MS = 100; // from one step of a time-lapse to the next

export default function linkedGraphs({ data, parentElement, setStateValue }) {
  const root = parentElement.querySelector(".tl");
  const graphs = (root.graphs ??= new LinkedGraphs(root));
  graphs.send = (state) => setStateValue("marks", state);
  graphs.take(data);
  // Streamlit also calls this when newer data overtakes older data while the component stays: then nothing ends.
  return () => {
    if (root.isConnected) return;
    graphs.close();
    delete root.graphs;
  };
}

class LinkedGraphs {
  constructor(root) {
    this.root = root;
    this.send = () => {};
    this.heard = 0;
    this.scenes = new Map();
    this.query = "";
    this.found = [];
    this.frame = 0;
    this.listening = new AbortController();
    root.replaceChildren();
    this.sentence = makeSentence(root);
    this.toolbar = makeToolbar(root, this);
    this.row = element(root, "div", "tl-row");
    this.panels = [];
    this.timeline = makeTimeline(root, this);
    this.legend = makeLegend(root);
    this.counts = makeCounts(root);
    this.report = makeReporter(this);
    this.sizes = new ResizeObserver(() => this.measure());
    const until = { signal: this.listening.signal, capture: true };
    root.addEventListener("transitionend", () => this.restyle(), until); // the theme has changed, see linked.css
    root.addEventListener("fullscreenchange", () => this.followScreen(), until);
    root.addEventListener("keydown", (event) => onComponentKey(this, event), until);
    document.addEventListener("keydown", (event) => onPageKey(this, event), until);
  }

  close() {
    this.pause();
    this.report.stop();
    this.sizes.disconnect();
    cancelAnimationFrame(this.frame);
    this.listening.abort();
  }

  take(data) {
    const { head, payload } = readWire(data, this.version);
    this.version = head.version;
    this.update(head, payload ?? this.payload);
  }

  /** Keeps zoom, marks and step where the same nodes are still there. */
  update(head, payload) {
    const before = this.scene ? stateOf(this) : null;
    const wanted = withOrders(before, head, this.heard);
    this.heard = Math.max(this.heard, ...Object.values(head.said));
    const places = JSON.stringify({ ...payload.places, tall: 0 }); // how high it is drawn is ours, and comes later
    const ordered = !before || wanted.look !== before.look; // else it is ours, and more exact than what was said of it
    const view = !ordered && this.places === places ? this.view : null;
    const look = ordered ? wanted.look : null;
    payload.places.tall = this.payload?.places.tall ?? 1;
    this.install(payload, head.annotations, wanted.step);
    this.places = places;
    this.view = view ?? (look ? bounded(payload.places, { k: look[0], cx: look[1], cy: look[2] }) : wholeView(payload.places));
    this.marks = marksOf(this.scene, wanted);
    this.found = findNodes(this.scene, this.query);
    if (this.mode !== head.mode) this.arrange(head.mode);
    this.root.style.setProperty("--tl-height", `${head.height}px`);
    this.panels.forEach((panel) => fillPanel(panel, this.scene));
    fillLegend(this.legend, this.mode === "overlay", this.scene);
    fillSearch(this.toolbar, this.scene.wording);
    fillFilter(this.toolbar, this);
    fillTimeline(this.timeline, this);
    tellStep(this);
    this.restyle();
    this.measure();
    this.tell();
    // Something went with the old data, or is not in this graph: Python must know.
    if (JSON.stringify(stateOf(this)) !== JSON.stringify(wanted)) this.report.now();
  }

  /** The scenes of a payload are made when they are first shown. */
  install(payload, annotations, step) {
    const written = JSON.stringify(annotations);
    if (payload !== this.payload || written !== this.written) this.scenes.clear();
    Object.assign(this, { payload, annotations, written, timelapse: payload.timelapse, fade: null });
    this.chosenStep = step;
    if (!this.timelapse) this.pause();
    const { moments } = this.timelapse ?? { moments: [] };
    const latest = moments.filter((moment) => moment.ready).at(-1)?.step ?? null;
    this.step = this.timelapse ? nearestMoment(moments, step ?? latest).step : null;
    this.shown = this.timelapse ? frameFor(this.timelapse, this.step) : null;
    this.scene = this.sceneAt(this.shown);
  }

  sceneAt(step) {
    if (!this.scenes.has(step)) this.scenes.set(step, makeScene(this.payload, step, this.annotations));
    return this.scenes.get(step);
  }

  arrange(mode) {
    this.mode = mode;
    this.sizes.disconnect();
    this.row.replaceChildren();
    this.panels = (mode === "overlay" ? [null] : [0, 1]).map((side) => makePanel(this.row, side));
    this.panels.forEach((panel) => {
      listen(this, panel);
      this.sizes.observe(panel.stage);
    });
    this.sizes.observe(this.timeline.strip);
  }

  restyle() {
    this.colours = themeColours(this.root, this.payload.palette);
    for (const [name, value] of Object.entries(this.colours)) this.root.style.setProperty(`--tl-${name}`, value);
    this.draw();
  }

  measure() {
    for (const panel of this.panels) {
      panel.ratio = (window.devicePixelRatio || 1) * zoomOf(panel.stage);
      panel.width = panel.stage.clientWidth;
      panel.box.classList.toggle("tl-narrow", panel.width < 540);
      panel.height = panel.stage.clientHeight;
      const [w, h] = [Math.round(panel.width * panel.ratio), Math.round(panel.height * panel.ratio)];
      if (panel.canvas.width !== w || panel.canvas.height !== h) [panel.canvas.width, panel.canvas.height] = [w, h];
    }
    this.stretch();
    measureTimeline(this.timeline, this);
    this.drawNow(); // a resized canvas is empty: waiting for the next frame would flicker
  }

  /** A graph whose rows would touch in its frame is drawn higher than that. */
  stretch() {
    const [{ height } = {}] = this.panels;
    if (!height) return;
    const { places } = this.scene;
    const [before, tall] = [places.tall ?? 1, tallness(places, height)];
    places.tall = tall;
    this.view = before === 1 && tall > 1 && this.view.k <= 1 ? wholeView(places) : bounded(places, this.view);
  }

  draw() {
    if (this.frame) return;
    this.frame = requestAnimationFrame(() => {
      this.frame = 0;
      this.drawNow();
    });
  }

  drawNow() {
    if (this.fade) {
      this.fade.t = (performance.now() - this.fade.start) / FADE_MS;
      if (this.fade.t >= 1) this.fade = null;
    }
    for (const panel of this.panels) {
      if (!panel.width || !panel.height) continue;
      const ctx = panel.canvas.getContext("2d");
      ctx.setTransform(panel.ratio, 0, 0, panel.ratio, 0, 0);
      panel.shown = drawPanel(ctx, this.picture(panel));
    }
    updateToolbar(this.toolbar, this);
    // For tests, and for the curious.
    Object.assign(this.root.dataset, { view: JSON.stringify(this.view), drawn: this.fade ? "" : String(this.shown) });
    if (this.fade) this.draw();
  }

  /** What the drawing functions take, see draw.js. */
  picture(panel) {
    const { scene, marks, found, fade, colours } = this;
    return { w: panel.width, h: panel.height, scene, side: panel.side, to: this.project(panel), marks, found, fade, colours };
  }

  /** Where a panel's small map lies, if it has one. */
  mapOf(panel) {
    return mapBox(this.scene.places, panel.width, panel.height);
  }

  /** Layout points to pixels of a panel, as it is seen now. */
  project(panel) {
    return projection(this.scene.places, this.view, panel.width, panel.height);
  }

  look(view) {
    this.view = bounded(this.scene.places, view);
    this.report.soon();
    this.draw();
  }

  zoomBy(factor) {
    this.look({ ...this.view, k: this.view.k * factor });
  }

  /** Brings a node into sight where it is not. */
  show(row) {
    const view = viewOn(this.scene.places, this.view, this.scene.nodes[row]);
    if (view !== this.view) this.look(view);
  }

  hover(row, edge) {
    const { hover, hoverEdge } = this.marks;
    if (row === hover && edge?.from === hoverEdge?.from && edge?.to === hoverEdge?.to) return;
    Object.assign(this.marks, { hover: row, hoverEdge: edge });
    this.draw();
  }

  /** Selects a row, or nothing with -1. */
  select(row) {
    this.mark({ selected: row, edge: null });
  }

  /** Selects an edge, { from, to }. */
  selectEdge(edge) {
    this.mark({ selected: -1, edge });
  }

  pin(row) {
    if (row < 0) return;
    const pins = new Set(this.marks.pins);
    if (!pins.delete(row)) pins.add(row);
    this.mark({ pins });
  }

  setShow(show) {
    this.mark({ show });
  }

  toggleStatus(status) {
    const statuses = new Set(this.marks.statuses);
    if (!statuses.delete(status)) statuses.add(status);
    this.mark({ statuses });
  }

  setFilter(filter) {
    this.mark(filter, this.report.soon);
  }

  clear() {
    this.panels.forEach(hideTip);
    this.mark({ ...NO_MARKS, pins: new Set() });
  }

  mark(change, report = this.report.now) {
    Object.assign(this.marks, change);
    report();
    this.tell();
    this.draw();
  }

  search(text) {
    this.query = text;
    this.found = findNodes(this.scene, text);
    this.draw();
  }

  /** Selects the next match, and moves there where it is out of sight. */
  nextFound(back) {
    const row = nextMatch(this.found, this.marks.selected, back);
    if (row < 0) return;
    this.show(row);
    this.select(row);
  }

  /** Shows a step of the time-lapse, or the nearest one that is traced. */
  goTo(step) {
    if (step === this.step) return updateTimeline(this.timeline, this);
    this.step = this.chosenStep = step;
    const shown = frameFor(this.timelapse, step);
    if (shown !== this.shown) this.showFrame(shown);
    updateTimeline(this.timeline, this);
    if (!this.playing) this.report.soon(); // while it plays, the page would be drawn anew at each step
  }

  showFrame(step) {
    const still = matchMedia("(prefers-reduced-motion: reduce)").matches;
    const from = this.scene;
    this.shown = step;
    this.scene = this.sceneAt(step);
    this.fade = still ? null : { from, start: performance.now(), t: 0 };
    this.found = findNodes(this.scene, this.query);
    this.panels.forEach((panel) => fillPanel(panel, this.scene));
    this.panels.forEach(hideTip); // it was about the step before
    tellStep(this);
    this.tell();
    this.draw();
  }

  togglePlay() {
    if (this.playing) return this.pause();
    const { moments } = this.timelapse;
    this.playing = setInterval(() => this.advance(), PLAY_MS);
    if (!nextReady(moments, this.step)) this.goTo(moments.find((moment) => moment.ready).step);
    else this.advance();
  }

  advance() {
    const next = nextReady(this.timelapse.moments, this.step);
    if (next) this.goTo(next.step);
    if (!next || !nextReady(this.timelapse.moments, this.step)) this.pause();
  }

  pause() {
    if (!this.playing) return;
    clearInterval(this.playing);
    this.playing = 0;
    updateTimeline(this.timeline, this);
    this.report.soon();
  }

  /** The browser has left full screen (with Escape, say). */
  followScreen() {
    showFull(this, this.root.matches(":fullscreen"));
  }

  tell() {
    const { selected, pins, edge } = this.marks;
    const { nodes } = this.scene;
    const parts = [];
    if (selected >= 0) parts.push(nameOf(nodes[selected]));
    if (edge) parts.push(`${nameOf(nodes[edge.from])} → ${nameOf(nodes[edge.to])}`);
    if (pins.size) parts.push(`${pins.size} pinned`);
    this.legend.status.textContent = parts.length ? `${parts.join(" · ")} (Esc clears)` : "";
    this.legend.status.title = parts.join(" · ");
    const { selected: id, pins: ids, edge: ends } = stateOf(this);
    Object.assign(this.root.dataset, { selected: id ?? "", pins: ids.join(" "), edge: (ends ?? []).join(" ") });
  }
}
