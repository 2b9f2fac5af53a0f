// Pointer, wheel and keys of one panel.

function listen(graphs, panel) {
  const { stage } = panel;
  let drag = null;
  const at = (event) => {
    const box = stage.getBoundingClientRect();
    const zoom = zoomOf(stage);
    return [(event.clientX - box.left) / zoom, (event.clientY - box.top) / zoom];
  };

  stage.addEventListener("pointerdown", (event) => {
    if (event.button !== 0) return;
    drag = { start: at(event), view: graphs.view, moved: false, map: onMapOf(graphs, panel, at(event)) };
    stage.setPointerCapture(event.pointerId);
    if (drag.map) graphs.look({ ...graphs.view, ...drag.map });
  });
  stage.addEventListener("pointermove", (event) => {
    const [px, py] = at(event);
    const there = onMapOf(graphs, panel, [px, py]);
    if (drag?.map) return there && graphs.look({ ...graphs.view, ...there });
    if (drag && (drag.moved || Math.hypot(px - drag.start[0], py - drag.start[1]) > 4)) {
      drag.moved = true;
      hideTip(panel);
      const { sx, sy } = graphs.project(panel);
      graphs.look({
        ...drag.view,
        cx: drag.view.cx - (px - drag.start[0]) / sx,
        cy: drag.view.cy + (py - drag.start[1]) / sy,
      });
      return;
    }
    const { row, edge } = there ? { row: -1, edge: null } : under(graphs, panel, px, py);
    graphs.hover(row, edge);
    if (row >= 0) showTip(panel, nodeTip(graphs.scene, row), px, py);
    else if (edge) showTip(panel, edgeTip(graphs.scene, edge), px, py);
    else hideTip(panel);
    stage.style.cursor = row < 0 && !edge && !there ? "" : "pointer";
  });
  stage.addEventListener("pointerup", (event) => {
    const clicked = drag && !drag.moved && !drag.map;
    drag = null;
    if (!clicked) return;
    const { row, edge } = under(graphs, panel, ...at(event));
    if (event.ctrlKey || event.metaKey) graphs.pin(row);
    else if (edge) graphs.selectEdge(edge);
    else graphs.select(row);
  });
  stage.addEventListener("pointercancel", () => (drag = null));
  stage.addEventListener("pointerleave", () => leave(graphs, panel));
  stage.addEventListener("contextmenu", (event) => event.ctrlKey && event.preventDefault()); // ctrl-click on a Mac
  stage.addEventListener("dblclick", () => graphs.look(wholeView(graphs.scene.places)));
  stage.addEventListener(
    "wheel",
    (event) => {
      const { scene, view } = graphs;
      if (scene.places.tall > 1 && !event.ctrlKey) return scrollBy(graphs, panel, event);
      const factor = Math.exp(-Math.max(-120, Math.min(120, event.deltaY)) * 0.0022);
      // Nothing to zoom out of: the wheel scrolls the page, as everywhere else.
      if (factor < 1 && view.k <= 1) return;
      event.preventDefault();
      hideTip(panel);
      graphs.look(zoomedAt(scene.places, view, panel.width, panel.height, ...at(event), factor));
    },
    { passive: false },
  );
  stage.addEventListener("keydown", (event) => onKey(graphs, panel, event));
  stage.addEventListener("blur", () => leave(graphs, panel));
}

/** A graph that is higher than its frame is scrolled (Ctrl and the wheel zoom); at its end the page goes on. */
function scrollBy(graphs, panel, event) {
  const before = graphs.view.cy;
  graphs.look({ ...graphs.view, cy: before - event.deltaY / graphs.project(panel).sy });
  if (graphs.view.cy === before) return;
  event.preventDefault();
  hideTip(panel);
}

function leave(graphs, panel) {
  hideTip(panel);
  graphs.hover(-1, null);
}

function onMapOf({ scene }, panel, [px, py]) {
  return onMap(scene.places, panel.width, panel.height, px, py);
}

/** The node under a pixel, else the drawn edge under it. */
function under(graphs, panel, px, py) {
  const row = nodeAt(graphs.scene, graphs.project(panel), panel.side, px, py);
  const edge = row < 0 ? edgeAt(graphs.picture(panel), panel.shown, px, py) : null;
  return { row, edge };
}

/** Arrows go from node to node, Enter selects, P pins, + - 0 zoom; Escape clears anywhere, see below. */
function onKey(graphs, panel, event) {
  const { marks, scene } = graphs;
  const here = marks.hover >= 0 ? marks.hover : marks.selected;
  const actions = {
    Enter: () => graphs.select(here),
    " ": () => graphs.select(here),
    p: () => graphs.pin(here),
    "+": () => graphs.zoomBy(1.4),
    "-": () => graphs.zoomBy(1 / 1.4),
    0: () => graphs.look(wholeView(scene.places)),
  };
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.key.startsWith("Arrow")) {
    const row = nodeBeside(scene, panel.side, here, event.key);
    if (row >= 0) {
      graphs.show(row);
      graphs.hover(row, null);
      const [node, to] = [scene.nodes[row], graphs.project(panel)];
      showTip(panel, nodeTip(scene, row), to.x(node.x), to.y(node.y));
      graphs.legend.status.textContent = nameOf(node);
    }
  } else if (actions[event.key]) actions[event.key]();
  else return;
  event.preventDefault();
}

/** Keys that work anywhere in the component; in its text box Escape alone, and only once the box is empty. */
function onComponentKey(graphs, event) {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  const field = event.composedPath()[0];
  if (field.type === "search" && (event.key !== "Escape" || field.value)) return;
  if (event.key === "f" || event.key === "F") toggleFull(graphs);
  else if (event.key === "/") graphs.toolbar.input.focus();
  else if (event.key === "Escape" && graphs.root.classList.contains("tl-full")) toggleFull(graphs);
  else if (event.key === "Escape" && !isAnythingOpen()) graphs.clear();
  else return;
  event.preventDefault();
  event.stopPropagation(); // a key that was used here is used up: Escape leaves the marks, Streamlit has keys of its own
}
