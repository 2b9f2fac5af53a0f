"""What a node of a graph is called, and what is told where the pointer rests on it."""

from collections.abc import Mapping
from typing import Any, Final

from engine.domain.diffs import PART, Status
from engine.domain.feature_names import FeatureLabel, FeatureNames
from engine.domain.numbers import decimal, signed
from engine.figures.names import SUPERNODE, node_name, supernode_name, visible

STATUS_WORDS: Final[Mapping[Status, str]] = {
    "appeared": "only in B",
    "vanished": "only in A",
    "strengthened": "stronger in B",
    "weakened": "weaker in B",
    "flipped": "opposite sign in B",
    "unchanged": "about the same in both",
    "not kept": "not kept on one side: nothing is known of its change",
}


AUTOMATIC: Final = "automatic (tokens it is most active on → tokens it promotes):"


def node_label(row: Any) -> str:
    """`row`: of the node table of a difference."""
    if row.kind == SUPERNODE:
        return supernode_name(row.id)
    return node_name(row.kind, row.layer, row.token, row.index)


def node_tooltip(row: Any) -> str:
    """A few plain lines; users know the logit's from circuit-tracer's own view."""
    if row.kind == "logit":
        lines = [f"Output “{visible(row.token)}”", f"probability: A {decimal(row.a, 3)} · B {decimal(row.b, 3)}"]
        return "\n".join([*lines, *_part(row), *_spread(row)])
    lines = [node_label(row), *_part(row), f"influence: A {decimal(row.a, 3)} · B {decimal(row.b, 3)}"]
    if row.kind == SUPERNODE:
        lines[0] += f"\na group of features in layer {row.layer} at “{visible(row.token)}”"
    if row.kind == "feature":
        lines.append(f"activation: A {decimal(row.activation_a)} · B {decimal(row.activation_b)}")
    lines.append(STATUS_WORDS[row.status])
    lines += _spread(row)
    for name, kept, value in (("A", row.kept_a, row.a), ("B", row.kept_b, row.b)):
        if not kept:
            lines.append(f"pruned in {name}: too small" if value > 0 else f"not in {name}")
    return "\n".join(lines)


def labelled_tooltip(node: Mapping[str, Any], names: FeatureNames | None) -> str:
    """The tooltip of a node of a view, as `node_tooltip` made it, with what its feature is called in the first line."""
    label = names.label(node["layer"], node["index"]) if names and node["kind"] == "feature" else None
    if label is None:
        return str(node["tooltip"])
    _, _, rest = node["tooltip"].partition("\n")
    named = node_name(node["kind"], node["layer"], node["token"], node["index"], names)
    return "\n".join([named, *([label_note(label)] if label.automatic else []), *([rest] if rest else [])])


def label_note(label: FeatureLabel) -> str:
    """What an automatic label means."""
    return f"{AUTOMATIC} {label.more}"


def _part(row: Any) -> list[str]:
    """In logits; nothing of an output that is not explained."""
    a, b = (getattr(row, PART[side]) for side in "ab")
    return [] if row.kind == "logit" and a == b == 0 else [f"part: A {signed(a)} · B {signed(b)} logits"]


def _spread(row: Any) -> list[str]:
    """Of a mean circuit: over how many prompts, and how far they differ (standard deviation)."""
    if not hasattr(row, "spread_a"):
        return []
    spread = f"A ± {decimal(row.spread_a)} · B ± {decimal(row.spread_b)}"
    return [f"mean over the prompts, kept in {int(row.n)} of them; spread of the part: {spread}"]
