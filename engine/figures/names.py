"""How nodes are called in text: `L3 · and · feature 490`, `token <bos>`, `output smiles`."""

from engine.domain.graphs import NodeKind

SUPERNODE = "supernode"  # the kind of a row that stands for a group of features: `supernode/LAYER/POSITION/NAME`


def node_name(kind: str, layer: int, token: str, index: int) -> str:
    """A node in words; `token` is the prompt token at its position, or the output token of a logit."""
    shown = visible(token)
    if kind == NodeKind.TOKEN.name.lower():
        return f"token {shown}"
    if kind == NodeKind.LOGIT.name.lower():
        return f"output {shown}"
    if kind == NodeKind.ERROR.name.lower():
        return f"L{layer} · {shown} · error"
    return f"L{layer} · {shown} · feature {index}"


def supernode_name(node_id: str) -> str:
    """The name that a group was given; a name may hold slashes."""
    return node_id.split("/", 3)[3]


def visible(token: str) -> str:
    """A token without the marks of its tokenizer; white space alone is written as ␣ and ↵."""
    text = token.removeprefix("Ġ").removeprefix("▁") or token
    text = text.replace("\n", "↵").replace("\t", "⇥")
    return text.strip() or "␣" * max(len(text), 1)
