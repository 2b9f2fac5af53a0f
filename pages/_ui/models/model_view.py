"""The base models there are, and one of them: what it is, what can be done with it and why not, its transcoder sets."""

import pandas as pd
import streamlit as st

from engine.domain.models import Converted, ModelSpec, TranscoderMeta
from engine.domain.numbers import MISSING, count, decimal, memory, plural
from engine.workflows.model_facts import ModelFacts, model_facts
from pages._ui import url
from pages._ui.errors import guarded
from pages._ui.session import store
from pages._ui.text import plain

_SOURCES = {"bundled": "comes with Tracelapse", "folder": "a folder", "hub": "from the hub"}


def choose_model(page: str) -> ModelFacts:
    """The list; the chosen one is in the address."""
    facts = {spec.name: model_facts(store(), spec) for spec in store().models()}
    key = f"{page} model"
    st.session_state[key] = url.allowed(page, "model", list(facts), next(iter(facts)), "model")
    st.radio(
        "Base models", list(facts), key=key, captions=[_caption(one) for one in facts.values()],
        on_change=url.changed, args=(page, "model", key),
    )  # fmt: skip
    return facts[str(st.session_state[key])]


def _caption(facts: ModelFacts) -> str:
    if facts.problem:
        return plain(facts.problem)
    return plain(f"{facts.family} · {_parameters(facts.n_parameters)} · {facts.spec.dtype}")


def _parameters(n: int) -> str:
    """`1.0 M`, `2.6 B`, of parameters as they are stored (tied ends once)."""
    return f"{n / 1e9:.1f} B" if n >= 0.95e9 else f"{n / 1e6:.1f} M" if n >= 0.95e6 else f"{n / 1e3:.0f} k"


@guarded()
def model_view(page: str, facts: ModelFacts) -> None:
    """What it is, and what one can do with it."""
    spec = facts.spec
    st.subheader(plain(spec.name), anchor=False)
    sets = store().transcoder_sets(spec.name)
    st.markdown(_doors(facts, sets))
    if facts.problem:
        st.warning(plain(facts.problem), icon=":material/warning:")
    else:
        st.caption(plain(_facts(facts)))
    if facts.converted:
        st.caption(plain(_rounded(facts.converted)))
    if facts.no_circuits and not facts.problem:
        st.caption(plain(f"No circuits: {facts.no_circuits}. Training, probes and where training acted work."))
    if sets:
        with st.expander(plural(len(sets), "transcoder set"), icon=":material/hub:"):
            _sets(sets)
    elif not facts.no_circuits:
        st.caption(
            "It has no transcoder set yet. The first graphs train one, unless the model was added with a published set."
        )
    if spec.source != "bundled":
        st.button(
            "Remove from the list", icon=":material/remove:", type="tertiary", key=f"remove {spec.name}",
            help="Its files and its runs stay. A folder that was written of its GGUF file goes, unless a run needs it."
            if facts.converted else "Its files and its runs stay.", on_click=_remove, args=(page, spec),
        )  # fmt: skip


def _remove(page: str, spec: ModelSpec) -> None:
    store().delete_model(spec.name)
    url.forget(page, "model")


def _doors(facts: ModelFacts, sets: list[TranscoderMeta]) -> str:
    """Badges: green where it can be done now."""
    if facts.problem:
        return ":gray-badge[not usable now]"
    circuits = "orange" if facts.no_circuits else "green"
    trace = ":green-badge[trace]" if sets else ":orange-badge[trace: trains a transcoder set first]"
    if facts.no_circuits:
        trace = ":orange-badge[no graphs]"
    door = "no circuits" if facts.no_circuits else "circuits"
    return f":green-badge[train] :green-badge[where training acted] {trace} :{circuits}-badge[{door}]"


def _facts(facts: ModelFacts) -> str:
    spec = facts.spec
    where = f"{_SOURCES[spec.source]}{f': {spec.location}' if spec.location else ''}"
    return (
        f"{facts.family}, {plural(facts.n_layers, 'layer')} of width {count(facts.d_model)}, "
        f"{count(facts.n_parameters)} parameters, stored as {facts.written_as}. Loaded as {spec.dtype} on "
        f"{spec.device} its weights take {memory(facts.weight_bytes)}. {where[0].upper()}{where[1:]}."
    )


def _rounded(made_of: Converted) -> str:
    return (
        f"Written from {made_of.file} ({made_of.stored_as}): its weights are those of the quantised file, and what was "
        "rounded off is not in them."
    )


def _sets(sets: list[TranscoderMeta]) -> None:
    rows = [
        {
            "set": meta.name,
            "seen": "published" if meta.scan else plural(len(meta.checkpoints), "checkpoint"),
            "features a layer": None if meta.scan else meta.training.n_features,
            "not explained": _unexplained(meta),
            "size": memory(store().room_of("transcoders", meta.name)),
        }
        for meta in sets
    ]
    help_ = "The share of the variance of the MLPs' outputs that the set leaves out; mean of layers."
    st.dataframe(
        pd.DataFrame(rows), hide_index=True,
        column_config={"not explained": st.column_config.TextColumn(help=help_)},
    )  # fmt: skip


def _unexplained(meta: TranscoderMeta) -> str:
    if not meta.unexplained_variance:
        return MISSING
    return decimal(sum(meta.unexplained_variance) / len(meta.unexplained_variance), 3)
