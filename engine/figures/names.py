"""How nodes are called in text: `L3 · and · blarf → happy (490)`, `token <bos>`, `output smiles`."""

from collections import Counter
from collections.abc import Sequence

from engine.domain.feature_names import FeatureNames
from engine.domain.graphs import NodeKind
from engine.domain.words import with_edges

SUPERNODE = "supernode"  # the kind of a row that stands for a group of features: `supernode/LAYER/POSITION/NAME`


def node_name(kind: str, layer: int, token: str, index: int, names: FeatureNames | None = None) -> str:
    """A node in words; `token` is the prompt token at its position, or the output token of a logit.

    `names`: of the transcoder set; without them a feature is called by its number.
    """
    shown = visible(token)
    if kind == NodeKind.TOKEN.name.lower():
        return f"token {shown}"
    if kind == NodeKind.LOGIT.name.lower():
        return f"output {shown}"
    if kind == NodeKind.ERROR.name.lower():
        return f"L{layer} · {shown} · error"
    return f"L{layer} · {shown} · {feature_name(names, layer, index)}"


def feature_name(names: FeatureNames | None, layer: int, index: int) -> str:
    """A feature in running text and tables: `“joy” (490)` where a person called it so, else `blarf → happy (490)` by
    its automatic label, else `feature 490`. The number stays: several features may have one label."""
    label = names.label(layer, index) if names else None
    if label is None:
        return f"feature {index}"
    return f"{label.text} ({index})" if label.automatic else f"“{label.text}” ({index})"


def supernode_name(node_id: str) -> str:
    """The name that a group was given; a name may hold slashes."""
    return node_id.split("/", 3)[3]


def visible(token: str) -> str:
    """A token without the marks of its tokenizer; white space alone is written as ␣ and ↵."""
    text = token.removeprefix("Ġ").removeprefix("▁") or token
    text = text.replace("\n", "↵").replace("\t", "⇥")
    return text.strip() or "␣" * max(len(text), 1)


def told_apart(tokens: Sequence[str]) -> list[str]:
    """`visible` of each; where several would read alike, with the blanks that tell them apart, else numbered."""
    bare = [visible(token) for token in tokens]
    alike, seen, found = Counter(bare), Counter[str](), []
    for token, name in zip(tokens, bare, strict=True):
        shown = name if alike[name] == 1 else with_edges(token)
        seen[shown] += 1
        found.append(shown if seen[shown] == 1 else f"{shown} ({seen[shown]})")
    return found
