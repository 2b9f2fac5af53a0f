"""What a person writes on a feature: its label, and the groups that it belongs to."""

from collections.abc import Callable

import streamlit as st

from engine.domain.annotations import LABEL_LIMIT, Annotations
from engine.domain.diffs import GraphDiff
from engine.domain.errors import InputError
from engine.domain.feature_names import FeatureNames
from engine.domain.jobs import LabelFeatures
from engine.domain.numbers import count, plural
from engine.domain.words import listed
from engine.workflows.features import n_to_search
from pages._ui.graphs.linked_graphs import Marks
from pages._ui.jobs.button import job_button
from pages._ui.session import again, store
from pages._ui.text import plain

_PROBLEM = "what could not be written"


def feature_of(node: str) -> str | None:
    """`LAYER/INDEX` of a node id `feature/LAYER/POSITION/INDEX`; None for any other."""
    kind, *rest = node.split("/")
    return f"{rest[0]}/{rest[2]}" if kind == "feature" and len(rest) == 3 else None


def label_form(diff: GraphDiff, at: Marks, names: FeatureNames) -> None:
    """Saved as soon as it is entered, for every place where the feature appears."""
    feature = feature_of(at.selected or "")
    if feature is None:
        return
    digest = diff.a.key.transcoders_hash
    key = f"label {digest} {feature}"
    st.session_state[key] = names.annotations.labels.get(feature, "")
    st.text_input(
        "Label", key=key, max_chars=LABEL_LIMIT, placeholder=_called(names, feature),
        on_change=_save_label, args=(digest, feature, key),
        help="Kept in the workspace and shown wherever this feature appears. Clear it for the automatic one.",
    )  # fmt: skip
    st.caption(plain(measured_words(names, feature)))
    if not names.automatic.has(*map(int, feature.split("/"))):  # traced before there were any
        refs = tuple(dict.fromkeys((diff.a.key.checkpoint, diff.b.key.checkpoint)))
        job_button(
            LabelFeatures(checkpoints=refs, transcoders=diff.a.key.transcoders), label="Label all features",
            key="label features", icon=":material/label:", primary=False,
            note=f"Reads {plural(n_to_search(store(), refs), 'text')}, once for this transcoder set.",
        )  # fmt: skip
    _groups(digest, feature, at, names.annotations)
    if problem := st.session_state.pop(_PROBLEM, ""):
        st.error(plain(problem), icon=":material/error:")


def _called(names: FeatureNames, feature: str) -> str:
    label = names.label(*map(int, feature.split("/")))
    return label.more if label else "What does this feature stand for?"


def measured_words(names: FeatureNames, feature: str) -> str:
    """Where its automatic label comes from, which it has or would have if a person had not written one."""
    layer, index = map(int, feature.split("/"))
    label = names.unwritten().label(layer, index)
    if label and label.measured:
        n, refs = count(label.measured.n_tokens), listed(label.measured.checkpoints)
        return f"Automatic: {label.more} (most active on → promotes), over {n} tokens in {refs}."
    if names.automatic.has(layer, index):
        return "It has no automatic label: no token stands out in what it is active on, and none in what it promotes."
    return "It has no automatic label yet."


def _save_label(digest: str, feature: str, key: str) -> None:
    _try(lambda: store().set_label(digest, feature, st.session_state[key]))


def _groups(digest: str, feature: str, at: Marks, annotations: Annotations) -> None:
    members = {group.name: group.features for group in annotations.supernodes}
    key = f"groups {digest} {feature}"
    st.session_state[key] = [name for name, features in members.items() if feature in features]
    st.multiselect(
        "Groups", list(members), key=key, accept_new_options=True, placeholder="None. Type a name to make one.",
        on_change=_save_groups, args=(digest, feature, key, members),
        help="Features that you treat as one. Settings can draw each group as one node.",
    )  # fmt: skip
    pinned = {name for name in map(feature_of, at.pins) if name} - {feature}
    if not pinned:
        st.caption("Ctrl-click nodes to pin them; pinned features can be grouped at once.")
        return
    name_box, button_box = st.columns([3, 2], vertical_alignment="bottom")
    name = name_box.text_input("Name of a group of this and the pinned features", key="group name")
    if button_box.button(f"Group {len(pinned) + 1} features", disabled=not name.strip(), key="group pinned"):
        old = members.get(" ".join(name.split()), ())
        _try(lambda: store().set_supernode(digest, name, [*old, feature, *sorted(pinned)]))
        again()


def _save_groups(digest: str, feature: str, key: str, members: dict[str, tuple[str, ...]]) -> None:
    chosen = set(st.session_state[key])
    for name in chosen | members.keys():
        features = set(members.get(name, ()))
        wanted = features | {feature} if name in chosen else features - {feature}
        if wanted != features:
            _try(lambda name=name, wanted=wanted: store().set_supernode(digest, name, sorted(wanted)))  # type: ignore[misc]


def _try(write: Callable[[], None]) -> None:
    """A callback has no page to show an error on yet."""
    try:
        write()
    except InputError as error:
        st.session_state[_PROBLEM] = str(error)
