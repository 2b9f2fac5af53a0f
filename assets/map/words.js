// What the map says: tooltips, the legend, the status line.

function placeTitle({ rows, columns }, { row, column }) {
  return `${rows[row]} · ${columns[column].label}`;
}

/** A place's figures. `place` is null where nothing there is large enough to be seen. */
function placeTip(payload, scene, cell, place) {
  const { picture, words, columns } = payload;
  const lines = [placeTitle(payload, cell)];
  if (picture === "acted") {
    if (place) lines.push(`${signed(place.values[0])} of the change of ${words}`);
    const { totals, spreads } = scene.frame;
    const spread = spreads[cell.column] ? ` (${spreads[cell.column]})` : "";
    lines.push(`${signed(totals[cell.column])}${spread} in all layers of ${columns[cell.column].label}`);
  } else if (place) lines.push(...sideLines(scene.frame, place.values));
  if (!place) lines.push("Here: too small to be drawn.");
  return lines.join("\n");
}

function moveTip(payload, scene, move) {
  return [moveTitle(payload, move), ...sideLines(scene.frame, move.values)].join("\n");
}

function moveTitle({ columns }, { source, target }) {
  return `${columns[source].label} → ${columns[target].label}`;
}

function sideLines(frame, [a, b, change]) {
  return [`A ${signed(a)}`, `B ${signed(b)}`, `${frame.titles[2]} ${signed(change)}`];
}

/** Of what is drawn; where other steps go further, with what all are drawn by. */
function sizeKey(here, all) {
  return `is ${decimal(here)}${decimal(here) === decimal(all) ? "" : ` (of all steps ${decimal(all)})`}`;
}

/** [class of a mark, text] */
function mapKeys({ picture, by_training: trained, words, unit, largest }, frame) {
  const what = shortened(words, 20);
  const [size, thickness] = frame.largest.map((here, place) => sizeKey(here, largest[place]));
  if (picture === "acted") {
    return [
      ["tm-key tm-raises", trained ? `raised ${what}` : `${what} higher in B`],
      ["tm-key tm-lowers", trained ? `lowered ${what}` : `${what} lower in B`],
      ["", `area: part of the change, in logits; the largest ${size}`],
    ];
  }
  const isHeads = picture === "heads";
  const moves = frame.moves.source.length;
  return [
    ["tm-key tm-up", isHeads ? `helps ${what}` : `pushes ${what} up`],
    ["tm-key tm-down", isHeads ? "works against it" : "pushes it down"],
    ["tm-key tm-raises", "more in B"],
    ["tm-key tm-lowers", "less in B"],
    ["", `area: ${isHeads ? "effect" : "part of the logit"}; the largest ${size}`],
    ...(moves ? [["tl-line tl-same", `moves from ${unit} to ${unit}; the thickest ${thickness}`]] : []),
  ];
}
