// Two attribution graphs in one layout, moved, hovered, selected and pinned together; or their overlay.
// Called again on the same element whenever the data changes: it then updates what is there.

export default function linkedGraphs({ data, parentElement, setStateValue }) {
  const root = parentElement.querySelector(".tl");
  const graphs = (root.graphs ??= new LinkedGraphs(root));
  graphs.report = (id) => setStateValue("selected", id);
  graphs.update(data);
  return () => {
    graphs.close();
    delete root.graphs;
  };
}

class LinkedGraphs {
  constructor(root) {
    this.root = root;
    this.report = () => {};
    this.marks = { hover: -1, selected: -1, pins: new Set() };
    this.frame = 0;
    root.replaceChildren();
    this.row = element(root, "div", "tl-row");
    this.panels = [];
    this.legend = makeLegend(root);
    this.sizes = new ResizeObserver(() => this.measure());
    this.theme = () => this.restyle();
    root.addEventListener("transitionend", this.theme); // fires when the theme's colours change, see linked.css
    this.legend.closer.addEventListener("click", () => this.zoomBy(1.4));
    this.legend.wider.addEventListener("click", () => this.zoomBy(1 / 1.4));
    this.legend.whole.addEventListener("click", () => this.look(wholeView(this.scene.places)));
  }

  close() {
    this.sizes.disconnect();
    cancelAnimationFrame(this.frame);
    this.root.removeEventListener("transitionend", this.theme);
  }

  /** Takes a payload: keeps zoom, selection and pins where the same nodes are still there. */
  update(data) {
    this.data = data;
    const { view: payload, mode, height, selected } = data;
    const id = (row) => (row >= 0 && this.scene ? this.scene.nodes[row].id : null);
    const kept = { selected: id(this.marks.selected), pins: [...this.marks.pins].map(id) };
    const places = JSON.stringify(payload.places);
    const moved = this.places !== places;
    this.places = places;
    this.scene = makeScene(payload);
    if (moved) this.view = wholeView(payload.places);
    if (this.mode !== mode) this.arrange(mode);
    this.root.style.setProperty("--tl-height", `${height}px`);
    this.panels.forEach((panel) => fillPanel(panel, payload));
    // Python's word counts only when it says something new: its echo of a click must not undo a later one.
    const wanted = this.told === selected ? kept.selected : selected;
    this.told = selected;
    const row = (name) => this.scene.rowOf.get(name) ?? -1;
    this.marks = { hover: -1, selected: row(wanted), pins: new Set(kept.pins.map(row).filter((pin) => pin >= 0)) };
    if (kept.selected && wanted === kept.selected && row(wanted) < 0) this.report(null); // it went with the old data
    this.restyle();
    this.measure();
    this.tell();
  }

  arrange(mode) {
    this.mode = mode;
    this.sizes.disconnect();
    this.row.replaceChildren();
    this.panels = (mode === "overlay" ? [null] : [0, 1]).map((side) => makePanel(this.row, side));
    fillLegend(this.legend, mode === "overlay");
    this.panels.forEach((panel) => {
      listen(this, panel);
      this.sizes.observe(panel.stage);
    });
  }

  restyle() {
    this.colours = themeColours(this.root, this.scene.palette);
    for (const [name, value] of Object.entries(this.colours)) this.root.style.setProperty(`--tl-${name}`, value);
    this.draw();
  }

  measure() {
    const ratio = window.devicePixelRatio || 1;
    for (const panel of this.panels) {
      panel.width = panel.stage.clientWidth;
      panel.box.classList.toggle("tl-narrow", panel.width < 540);
      panel.height = panel.stage.clientHeight;
      const [w, h] = [Math.round(panel.width * ratio), Math.round(panel.height * ratio)];
      if (panel.canvas.width !== w || panel.canvas.height !== h) [panel.canvas.width, panel.canvas.height] = [w, h];
    }
    this.drawNow(); // a resized canvas is empty: waiting for the next frame would flicker
  }

  draw() {
    if (this.frame) return;
    this.frame = requestAnimationFrame(() => {
      this.frame = 0;
      this.drawNow();
    });
  }

  drawNow() {
    const ratio = window.devicePixelRatio || 1;
    for (const panel of this.panels) {
      if (!panel.width || !panel.height) continue;
      const ctx = panel.canvas.getContext("2d");
      ctx.setTransform(ratio, 0, 0, ratio, 0, 0);
      drawPanel(ctx, panel.width, panel.height, this.scene, panel.side, this.view, this.marks, this.colours);
    }
    this.root.dataset.view = JSON.stringify(this.view); // for tests, and for the curious
    this.legend.whole.disabled = this.legend.wider.disabled = this.view.k <= 1;
  }

  look(view) {
    this.view = bounded(this.scene.places, view);
    this.draw();
  }

  zoomBy(factor) {
    this.look({ ...this.view, k: this.view.k * factor });
  }

  /** Layout points to pixels of a panel, as it is seen now. */
  project(panel) {
    return projection(this.scene.places, this.view, panel.width, panel.height);
  }

  hover(row) {
    if (row === this.marks.hover) return;
    this.marks.hover = row;
    this.draw();
  }

  /** Selects a row, or nothing with -1, here and in Python. */
  select(row) {
    if (row === this.marks.selected) return;
    this.marks.selected = row;
    this.report(row < 0 ? null : this.scene.nodes[row].id);
    this.tell();
    this.draw();
  }

  pin(row) {
    if (row < 0) return;
    if (!this.marks.pins.delete(row)) this.marks.pins.add(row);
    this.tell();
    this.draw();
  }

  clear() {
    this.marks.pins.clear();
    this.marks.hover = -1;
    this.panels.forEach(hideTip);
    this.select(-1);
    this.tell();
    this.draw();
  }

  tell() {
    const { selected, pins } = this.marks;
    const parts = [];
    if (selected >= 0) parts.push(this.scene.nodes[selected].label);
    if (pins.size) parts.push(`${pins.size} pinned`);
    this.legend.status.textContent = parts.length ? `${parts.join(" · ")} (Esc clears)` : "";
    const names = [...pins].map((row) => this.scene.nodes[row].id);
    Object.assign(this.root.dataset, {
      selected: selected >= 0 ? this.scene.nodes[selected].id : "",
      pins: names.join(" "),
    });
  }
}
