"""What features are called, in a still picture: labels beside their nodes, groups marked and named."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

from engine.domain.annotations import Annotations
from engine.domain.feature_names import FeatureNames
from engine.export.callouts import Box, Wanted, callouts, node_box
from engine.export.shapes import Halo, Mark, Text, shortened, text_width
from engine.export.texts import printable
from engine.figures import palette

_PX = 11.0
_LONGEST, _LONGEST_GROUP = 20, 28  # characters


def features_of(nodes: Iterable[Mapping[str, Any]]) -> dict[str, str]:
    """Node id -> LAYER/INDEX, of features alone."""
    return {node["id"]: f"{node['layer']}/{node['index']}" for node in nodes if node["kind"] == "feature"}


def halos(nodes: Sequence[Mapping[str, Any]], marks: Sequence[Mark], annotations: Annotations) -> Iterator[Halo]:
    """Behind every member of a group on this side; a member of several has the colour of the first."""
    features = features_of(nodes)
    for mark in marks:
        for place, group in enumerate(annotations.supernodes):
            if not mark.dashed and features.get(mark.id) in group.features:
                yield Halo(mark.x, mark.y, mark.r + 8, palette.GROUPS[place % len(palette.GROUPS)])
                break


def notes(
    nodes: Sequence[Mapping[str, Any]],
    marks: Sequence[Mark],
    names: FeatureNames,
    width: float,
    colours: Mapping[str, str],
    *,
    levels: Sequence[float],
    size: Callable[[Mapping[str, Any]], float],
) -> tuple[Text, ...]:
    """Names of groups, above their highest member; labels, where they lie on no node and on no other text.

    What a person wrote comes first, then automatic labels in italics (`callouts`), of the nodes of the largest `size`.
    `levels`: y of the layers' lines.
    """
    features = features_of(nodes)
    own = [mark for mark in marks if not mark.dashed]
    taken: list[Box] = []
    texts = []
    for group in names.annotations.supernodes:
        members = [mark for mark in own if features.get(mark.id) in group.features]
        if members:
            top = min(members, key=lambda mark: mark.y)
            texts.append(_write(group.name, top, own, taken, width, colours, above=True))
    labels = {node["id"]: names.label(node["layer"], node["index"]) for node in nodes if node["id"] in features}
    labelled = [(mark, label) for mark in own if (label := labels.get(mark.id))]
    for mark, label in labelled:
        if not label.automatic:
            texts.append(_write(label.text, mark, own, taken, width, colours, above=False))
    sizes = {node["id"]: size(node) for node in nodes}
    wanted = [Wanted(mark, label.text, sizes[mark.id]) for mark, label in labelled if label.automatic]
    found = callouts(wanted, own, taken, width=width, levels=levels, colour=colours["muted"], backed=colours["node"])
    return (*(text for text in texts if text is not None), *found)


def _write(
    label: str,
    at: Mark,
    marks: Sequence[Mark],
    taken: list[Box],
    width: float,
    colours: Mapping[str, str],
    *,
    above: bool,
) -> Text | None:
    """A group's name is written in any case, a label only where it is free."""
    shown = shortened(printable(label), _LONGEST_GROUP if above else _LONGEST)
    wide = text_width(shown, _PX, bold=above)
    if above:
        corners = [(at.x - wide / 2, at.y - at.r - 21), (at.x - wide / 2, at.y + at.r + 9)]
    else:
        corners = [(at.x + at.r + 4, at.y - 7), (at.x - at.r - 4 - wide, at.y - 7)]
    boxes = [Box(max(2, min(width - wide - 2, left)), max(1, top), wide) for left, top in corners]
    free = [box for box in boxes if not any(map(box.meets, taken)) and not _covers(box, at, marks)]
    if not free and not above:
        return None
    box = (free or boxes)[0]
    taken.append(box)
    colour = colours["text" if above else "muted"]
    return Text(box.left, box.top + 11, shown, _PX, colour, anchor="start", bold=above, backed=colours["node"])


def _covers(box: Box, own: Mark, marks: Sequence[Mark]) -> bool:
    return any(box.meets(node_box(mark), 0) for mark in marks if mark is not own)
