// Which edges are drawn, how, and which of them lies under a pixel.

const STRONGEST_FILTERED = 150; // drawn without being asked for where a filter is set in the overlay
const CURVE_STEPS = 14;

/** Rows whose edges are asked for. */
function focusRows(marks) {
  return [...new Set([...marks.pins, marks.selected, marks.hover])].filter((row) => row >= 0);
}

function filtered(marks) {
  return marks.statuses.size > 0 || marks.minChange > 0;
}

/** Does an edge pass the overlay's filter? */
function passes(scene, e, marks) {
  const { status, change } = scene.edges;
  return (
    (!marks.statuses.size || marks.statuses.has(scene.statuses[status[e]])) && Math.abs(change[e]) >= marks.minChange
  );
}

/** Edges drawn without being asked for, the strongest first. */
function strongestEdges(scene, side, marks) {
  if (side !== null) return side === 0 ? scene.strongest.a : scene.strongest.b;
  return filtered(marks) ? passing(scene, marks).slice(0, STRONGEST_FILTERED) : scene.strongest.overlay;
}

/** Every edge that passes the filter, the largest change first. Kept until the filter is another. */
function passing(scene, marks) {
  const key = `${[...marks.statuses].sort()} ${marks.minChange}`;
  if (scene.passing?.key !== key) {
    const { change } = scene.edges;
    const rows = [...change.keys()].filter((e) => passes(scene, e, marks));
    rows.sort((p, q) => Math.abs(change[q]) - Math.abs(change[p]));
    scene.passing = { key, rows, nodes: new Set(rows.flatMap((e) => [scene.edges.from[e], scene.edges.to[e]])) };
  }
  return scene.passing.rows;
}

/** Edges at a node, by mode: what runs into it, what runs out of it, or both. */
function edgesAt(scene, row, show) {
  const { from } = scene.edges;
  if (show === "both") return scene.atNode[row];
  return scene.atNode[row].filter((e) => (from[e] === row) === (show === "output"));
}

/** What one panel draws, the weakest first: { e, alpha, scale }. */
function shownEdges(scene, side, marks) {
  const focus = focusRows(marks);
  const quiet = focus.length || marks.edge ? 0.12 : 0.55;
  const asked = new Set(focus.flatMap((row) => edgesAt(scene, row, marks.show)));
  const drawn = strongestEdges(scene, side, marks)
    .filter((e) => !asked.has(e))
    .reverse()
    .map((e) => ({ e, alpha: quiet, scale: 0.85 }));
  const here = [...asked].filter((e) => (side === null ? passes(scene, e, marks) : scene.edges.kept[e] & IN_SIDE[side]));
  const sized = side === null ? scene.edges.change : side === 0 ? scene.edges.flow_a : scene.edges.flow_b;
  const size = (e) => Math.abs(sized[e]);
  here.sort((p, q) => size(p) - size(q));
  const most = here.length ? size(here[here.length - 1]) || 1 : 1;
  return drawn.concat(here.map((e) => ({ e, alpha: 0.35 + 0.6 * Math.sqrt(size(e) / most), scale: 1 })));
}

/** Draws them; between two steps of a time-lapse each one on its way from what it was to what it is. */
function drawEdges(ctx, picture) {
  const { scene, side, marks, fade } = picture;
  const shown = shownEdges(scene, side, marks);
  const strokes = shown.map((item) => strokeOf(scene, side, item, picture.colours));
  ctx.lineCap = "round";
  if (!fade) {
    for (const stroke of strokes) drawStroke(ctx, picture, stroke);
    return shown;
  }
  const before = new Map(
    shownEdges(fade.from, side, marks).map((item) => {
      const stroke = strokeOf(fade.from, side, item, picture.colours);
      return [`${stroke.from} ${stroke.to}`, stroke];
    }),
  );
  for (const stroke of strokes) {
    const key = `${stroke.from} ${stroke.to}`;
    const was = before.get(key) ?? { alpha: 0, width: stroke.width };
    before.delete(key);
    const between = (p, q) => p + (q - p) * fade.t;
    drawStroke(ctx, picture, { ...stroke, alpha: between(was.alpha, stroke.alpha), width: between(was.width, stroke.width) });
  }
  for (const gone of before.values()) drawStroke(ctx, picture, { ...gone, alpha: gone.alpha * (1 - fade.t) });
  return shown;
}

function strokeOf(scene, side, { e, alpha, scale }, colours) {
  return {
    from: scene.edges.from[e],
    to: scene.edges.to[e],
    alpha,
    width: edgeWidth(scene, side, e) * scale,
    colour: edgeColour(scene, side, e, colours),
  };
}

function drawStroke(ctx, picture, { from, to, alpha, width, colour }) {
  const curve = curveBetween(picture, from, to);
  ctx.globalAlpha = alpha;
  ctx.strokeStyle = colour;
  ctx.lineWidth = width;
  ctx.beginPath();
  ctx.moveTo(curve.x1, curve.y1);
  const [x1, x2] = [curve.x1 + curve.bow, curve.x2 + curve.bow];
  ctx.bezierCurveTo(x1, curve.y1 - curve.bend, x2, curve.y2 + curve.bend, curve.x2, curve.y2);
  ctx.stroke();
  ctx.globalAlpha = 1;
}

function curveBetween({ scene, to }, fromRow, toRow) {
  const [from, target] = [scene.nodes[fromRow], scene.nodes[toRow]];
  const [x1, y1, x2, y2] = [to.x(from.x), to.y(from.y), to.x(target.x), to.y(target.y)];
  return { x1, y1, x2, y2, bend: (y1 - y2) * 0.5, bow: scene.wording ? bowOf(from, target, to.sx) : 0 };
}

/** Straight up one column an edge would run through the heads or MLPs between: the more of them, the farther around. */
function bowOf(from, target, pitch) {
  if (Math.abs(from.x - target.x) > 0.01) return 0;
  return pitch * Math.min(0.75, 0.22 * (target.layer - from.layer - 1));
}

/** On a side by the sign of the flow, grey where there is none; in the overlay by what was gained or lost. */
function edgeColour(scene, side, e, colours) {
  const { edges } = scene;
  if (side !== null) {
    const flow = side === 0 ? edges.flow_a[e] : edges.flow_b[e];
    if (!flow) return colours.same;
    return flow > 0 ? colours.positive : colours.negative;
  }
  const status = scene.statuses[edges.status[e]];
  if (SAME.has(status)) return colours.same;
  if (status === "flipped") return colours.flipped;
  return edges.change[e] > 0 ? colours.gained : colours.lost;
}

/** Three pixels at most, by the square root of the share (of the change, in the overlay). */
function edgeWidth(scene, side, e) {
  const { edges } = scene;
  const part =
    side === null
      ? Math.abs(edges.change[e]) / scene.largestChange
      : Math.abs(side === 0 ? edges.share_a[e] : edges.share_b[e]);
  return Math.max(0.9, 3 * Math.sqrt(Math.min(1, part)));
}

/** One edge brought forward: whole where this side keeps it, thin and dashed where it does not. */
function drawMarkedEdge(ctx, picture, ends, strong) {
  const { scene, side, colours } = picture;
  const e = edgeBetween(scene, ends);
  const kept = e !== undefined && (side === null || scene.edges.kept[e] & IN_SIDE[side]);
  if (kept) {
    const width = Math.max(2.2, edgeWidth(scene, side, e));
    if (strong) drawStroke(ctx, picture, { ...ends, alpha: 0.9, width: width + 3.5, colour: colours.ring });
    drawStroke(ctx, picture, { ...ends, alpha: 1, width: width + (strong ? 0 : 0.8), colour: edgeColour(scene, side, e, colours) });
  } else if (strong) {
    ctx.setLineDash([4, 4]);
    drawStroke(ctx, picture, { ...ends, alpha: 0.9, width: 1.3, colour: colours.ring });
    ctx.setLineDash([]);
  }
}

/** The drawn edge nearest to a pixel, as { from, to } rows, or null. `shown`: what shownEdges gave. */
function edgeAt(picture, shown, px, py, reach = 5) {
  const { from, to } = picture.scene.edges;
  const chosen = picture.marks.edge ? [picture.marks.edge] : [];
  const drawn = shown.map(({ e }) => ({ from: from[e], to: to[e] }));
  let best = null;
  let nearest = reach;
  for (const ends of drawn.concat(chosen)) {
    const curve = curveBetween(picture, ends.from, ends.to);
    if (py > Math.max(curve.y1, curve.y2) + reach || py < Math.min(curve.y1, curve.y2) - reach) continue;
    const distance = curveDistance(curve, px, py);
    if (distance <= nearest) [best, nearest] = [ends, distance]; // of equals the one drawn last, on top
  }
  return best;
}

/** Pixels from a point to the curve, taken as short straight pieces. */
function curveDistance({ x1, y1, x2, y2, bend, bow }, px, py) {
  let least = Infinity;
  let [ax, ay] = [x1, y1];
  for (let i = 1; i <= CURVE_STEPS; i++) {
    const t = i / CURVE_STEPS;
    const u = 1 - t;
    const bx = u * u * (u + 3 * t) * x1 + t * t * (t + 3 * u) * x2 + 3 * u * t * bow;
    const by = u * u * u * y1 + 3 * u * u * t * (y1 - bend) + 3 * u * t * t * (y2 + bend) + t * t * t * y2;
    const [dx, dy] = [bx - ax, by - ay];
    const along = Math.max(0, Math.min(1, ((px - ax) * dx + (py - ay) * dy) / (dx * dx + dy * dy || 1)));
    least = Math.min(least, Math.hypot(ax + along * dx - px, ay + along * dy - py));
    [ax, ay] = [bx, by];
  }
  return least;
}

/** An edge in a few plain lines. */
function edgeTip(scene, ends) {
  const lines = [`${nameOf(scene.nodes[ends.from])}  →  ${nameOf(scene.nodes[ends.to])}`];
  const e = edgeBetween(scene, ends);
  if (e === undefined) return [...lines, "not among the edges shown here"].join("\n");
  const { edges } = scene;
  if (edges.tip) return edges.tip[e];
  for (const side of ["a", "b"]) lines.push(sideLine(edges, e, side));
  const words = scene.words[scene.statuses[edges.status[e]]];
  const spread = edges.spread_change ? ` ± ${decimal(edges.spread_change[e], 3)}` : "";
  const known = edges.flow_a[e] !== null && edges.flow_b[e] !== null;
  lines.push(known ? `effect of the change ${signed(edges.effect[e], 3)}${spread} · ${words}` : words);
  if (spread) lines.push(`mean over the prompts ± spread; kept in ${edges.n[e]} of them`);
  return lines.join("\n");
}

/** Weight, share and flow of an edge on one side; the flow is in logits. */
function sideLine(edges, e, side) {
  const name = side.toUpperCase();
  const [weight, share, flow] = ["weight", "share", "flow"].map((measure) => edges[`${measure}_${side}`][e]);
  if (flow === null) return `${name}: not kept here`;
  if (weight === 0 && flow === 0) return `${name}: not there`;
  const spread = edges.spread_a ? ` ± ${decimal(edges[`spread_${side}`][e], 3)}` : "";
  const pruned = edges.kept[e] & IN_SIDE[side === "a" ? 0 : 1] ? "" : " · pruned: too small";
  return `${name}: weight ${signed(weight)} · share ${signed(share)} · flow ${signed(flow, 3)}${spread}${pruned}`;
}
