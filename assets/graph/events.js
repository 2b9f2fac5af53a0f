// Pointer, wheel and keys of one panel.

function listen(graphs, panel) {
  const { stage } = panel;
  let drag = null;
  const at = (event) => {
    const box = stage.getBoundingClientRect();
    return [event.clientX - box.left, event.clientY - box.top];
  };
  const to = () => graphs.project(panel);

  stage.addEventListener("pointerdown", (event) => {
    if (event.button !== 0) return;
    drag = { start: at(event), view: graphs.view, moved: false };
    stage.setPointerCapture(event.pointerId);
  });
  stage.addEventListener("pointermove", (event) => {
    const [px, py] = at(event);
    if (drag && (drag.moved || Math.hypot(px - drag.start[0], py - drag.start[1]) > 4)) {
      drag.moved = true;
      hideTip(panel);
      const { sx, sy } = to();
      graphs.look({
        ...drag.view,
        cx: drag.view.cx - (px - drag.start[0]) / sx,
        cy: drag.view.cy + (py - drag.start[1]) / sy,
      });
      return;
    }
    const row = nodeAt(graphs.scene, to(), panel.side, px, py);
    graphs.hover(row);
    if (row < 0) hideTip(panel);
    else showTip(panel, graphs.scene.nodes[row].tooltip, px, py);
    stage.style.cursor = row < 0 ? "" : "pointer";
  });
  stage.addEventListener("pointerup", (event) => {
    const clicked = drag && !drag.moved;
    drag = null;
    if (!clicked) return;
    const row = nodeAt(graphs.scene, to(), panel.side, ...at(event));
    if (event.ctrlKey || event.metaKey) graphs.pin(row);
    else graphs.select(row);
  });
  stage.addEventListener("pointercancel", () => (drag = null));
  stage.addEventListener("pointerleave", () => {
    hideTip(panel);
    graphs.hover(-1);
  });
  stage.addEventListener("contextmenu", (event) => event.ctrlKey && event.preventDefault()); // ctrl-click on a Mac
  stage.addEventListener("dblclick", () => graphs.look(wholeView(graphs.scene.places)));
  stage.addEventListener(
    "wheel",
    (event) => {
      const factor = Math.exp(-Math.max(-120, Math.min(120, event.deltaY)) * 0.0022);
      // Nothing to zoom out of: the wheel scrolls the page, as everywhere else.
      if (factor < 1 && graphs.view.k <= 1) return;
      event.preventDefault();
      hideTip(panel);
      const { scene, view } = graphs;
      graphs.look(zoomedAt(scene.places, view, panel.width, panel.height, ...at(event), factor));
    },
    { passive: false },
  );
  stage.addEventListener("keydown", (event) => onKey(graphs, panel, to, event));
  stage.addEventListener("blur", () => {
    hideTip(panel);
    graphs.hover(-1);
  });
}

/** Arrows go from node to node, Enter selects, P pins, Escape clears, + - 0 zoom. */
function onKey(graphs, panel, to, event) {
  const { marks, scene } = graphs;
  const here = marks.hover >= 0 ? marks.hover : marks.selected;
  const actions = {
    Enter: () => graphs.select(here),
    " ": () => graphs.select(here),
    p: () => graphs.pin(here),
    Escape: () => graphs.clear(),
    "+": () => graphs.zoomBy(1.4),
    "-": () => graphs.zoomBy(1 / 1.4),
    0: () => graphs.look(wholeView(scene.places)),
  };
  if (event.key.startsWith("Arrow")) {
    const row = nodeBeside(scene, panel.side, here, event.key);
    if (row >= 0) {
      graphs.hover(row);
      const node = scene.nodes[row];
      showTip(panel, node.tooltip, to().x(node.x), to().y(node.y));
      graphs.legend.status.textContent = node.label;
    }
  } else if (actions[event.key] && !event.ctrlKey && !event.metaKey && !event.altKey) actions[event.key]();
  else return;
  event.preventDefault();
}
