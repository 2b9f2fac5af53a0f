// Pointer and keys of a map.

function listenTo(map, panel) {
  const { stage } = panel;
  stage.addEventListener("pointermove", (event) => hoverAt(map, panel, event));
  stage.addEventListener("pointerleave", () => leaveMap(map));
  stage.addEventListener("blur", () => leaveMap(map));
  stage.addEventListener("click", (event) => {
    const found = under(map, panel, event);
    if (found.move) return map.selectMove(found.move);
    if (event.ctrlKey || event.metaKey) return map.pin(found.place);
    map.select(found.place);
  });
  stage.addEventListener("keydown", (event) => onMapKey(map, panel, event));
}

/** The move, the marked place, or the empty cell under the pointer, and where it is in the stage. */
function under(map, panel, event) {
  const [box, zoom] = [panel.stage.getBoundingClientRect(), zoomOf(panel.stage)];
  const [px, py] = [(event.clientX - box.left) / zoom, (event.clientY - box.top) / zoom];
  const number = event.composedPath()[0]?.dataset?.move;
  if (number !== undefined) return { move: map.scene.moves[number], place: null, cell: null, px, py };
  return { move: null, place: placeNear(panel.at, map.scene, px, py), cell: cellAt(panel.at, map.payload, px, py), px, py };
}

function hoverAt(map, panel, event) {
  const { move, place, cell, px, py } = under(map, panel, event);
  map.hover(place, move);
  if (move) showTip(panel, moveTip(map.payload, map.scene, move), px, py);
  else if (place) showTip(panel, placeTip(map.payload, map.scene, place, place), px, py);
  else if (cell) showTip(panel, placeTip(map.payload, map.scene, cell, null), px, py);
  else hideTip(panel);
  panel.stage.style.cursor = move || place ? "pointer" : "";
}

function leaveMap(map) {
  map.panels.forEach(hideTip);
  map.hover(null, null);
}

/** Arrows go from place to place and, below the last of them, along the moves; Enter selects, P pins. */
function onMapKey(map, panel, event) {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.key.startsWith("Arrow")) step(map, panel, event.key);
  else if (event.key === "Enter" || event.key === " ") {
    const { hover, hoverMove } = map.marks;
    if (hoverMove) map.selectMove(hoverMove);
    else map.select(hover ?? map.marks.selected);
  } else if (event.key === "p" || event.key === "P") map.pin(map.marks.hover ?? map.marks.selected);
  else return;
  event.preventDefault();
}

function step(map, panel, key) {
  const { marks, scene } = map;
  const moves = scene.moves.filter((move) => move.drawn[panel.number]);
  if (marks.hoverMove) {
    const place = moves.findIndex((move) => isMove(move, marks.hoverMove));
    if (key === "ArrowUp") return pointAt(map, panel, placeBeside(scene, null, key), null);
    const by = { ArrowRight: 1, ArrowLeft: -1 }[key] ?? 0;
    return pointAt(map, panel, null, moves[(place + by + moves.length) % moves.length]);
  }
  const here = marks.hover ?? marks.selected;
  const next = placeBeside(scene, here, key);
  if (next) pointAt(map, panel, next, null);
  else if (key === "ArrowDown" && moves.length) pointAt(map, panel, null, moves[0]);
}

/** As the pointer would, with the tooltip beside it. */
function pointAt(map, panel, place, move) {
  map.hover(place, move);
  const { x, y, below, arcs } = panel.at;
  if (move) showTip(panel, moveTip(map.payload, map.scene, move), (x(move.source) + x(move.target)) / 2, below + arcs / 2);
  else showTip(panel, placeTip(map.payload, map.scene, place, place), x(place.column), y(place.row));
}

/** Keys that work anywhere in the map. */
function onRootKey(map, event) {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.key === "f" || event.key === "F") toggleFull(map);
  else if (event.key === "Escape" && map.root.classList.contains("tl-full")) toggleFull(map);
  else if (event.key === "Escape" && !isAnythingOpen()) map.clear();
  else return;
  event.preventDefault();
  event.stopPropagation();
}
