// Finding nodes by what a person types: `L2`, `217`, `L2 217`, `L2/217`, a token, a label, the name of a group.

/** Rows of the nodes that fit every word of `text`, in reading order; none for an empty text. */
function findNodes(scene, text) {
  const words = text.toLowerCase().split(/[\s/·]+/).filter(Boolean);
  if (!words.length) return [];
  const fits = (node) => node.kept && words.every((word) => fitsWord(scene, node, word));
  return scene.nodes.flatMap((node, row) => (fits(node) ? [row] : []));
}

/** One word: a layer, a feature's number, the beginning of its token, or a part of what is written on it. */
function fitsWord(scene, node, word) {
  const layer = /^l(\d+)$/.exec(word);
  if (layer && node.kind !== "logit" && node.kind !== "output" && node.layer === Number(layer[1])) return true;
  if (/^\d+$/.test(word) && node.kind === "feature" && node.index === Number(word)) return true;
  if (node.token.toLowerCase().startsWith(word) || node.alias === word) return true;
  const written = [node.note, ...node.groups.map((place) => scene.groups[place].name)];
  if (node.shape === "box") written.push(node.label);
  return word === node.kind || written.some((part) => part.toLowerCase().includes(word));
}

/** The match after `row` (before it, with `back`), around the end; -1 without matches. */
function nextMatch(found, row, back) {
  if (!found.length) return -1;
  const place = found.indexOf(row);
  if (place < 0) return back ? found[found.length - 1] : found[0];
  return found[(place + (back ? found.length - 1 : 1)) % found.length];
}
