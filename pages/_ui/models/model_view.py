"""The base models there are, and one of them: what it is, what can be done with it and why not, its transcoder sets."""

import pandas as pd
import streamlit as st

from engine.domain.models import Converted, ModelSpec, TranscoderMeta
from engine.domain.numbers import MISSING, count, decimal, memory, plural
from engine.store.memory import free_here
from engine.workflows.model_facts import ModelFacts, model_facts
from engine.workflows.model_memory import N_TOKENS, ComparisonMemory
from pages._ui import url
from pages._ui.errors import guarded
from pages._ui.opening import newest_own
from pages._ui.session import store
from pages._ui.text import plain

_SOURCES = {"bundled": "comes with Tracelapse", "folder": "a folder", "hub": "from the hub"}


def choose_model(page: str) -> ModelFacts:
    """The list; the chosen one is in the address."""
    facts = {spec.name: model_facts(store(), spec) for spec in store().models()}
    key, own = f"{page} model", newest_own()
    first = own.config.model.name if own and own.config.model.name in facts else next(iter(facts))
    st.session_state[key] = url.allowed(page, "model", list(facts), first, "model")
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
    if facts.comparing:
        st.caption(plain(_comparing(facts.comparing, spec.device)))
    if facts.reads_pictures:
        st.caption("It reads pictures, too. Its language model alone is loaded; on words it answers as the whole does.")
    if facts.converted:
        st.caption(plain(_rounded(facts.converted)))
    if facts.no_circuits and not facts.problem:
        st.caption(plain(f"No circuits: {facts.no_circuits}. Training, probes and where training acted work."))
    if sets:
        with st.expander(plural(len(sets), "transcoder set"), icon=":material/hub:"):
            _sets(sets)
    elif not facts.no_circuits:
        st.caption(_no_set(spec))
    _published(page, facts)
    if spec.source != "bundled":
        st.button(
            "Remove from the list", icon=":material/remove:", type="tertiary", key=f"remove {spec.name}",
            help="Its files and its runs stay. A folder that was written of its GGUF file goes, unless a run needs it."
            if facts.converted else "Its files and its runs stay.", on_click=_remove, args=(page, spec),
        )  # fmt: skip


def _no_set(spec: ModelSpec) -> str:
    if spec.transcoders:
        return f"It is traced with the published set {plain(spec.transcoders)}, read when the first graph is made."
    return "It has no transcoder set yet. The first graphs train one, unless a published set is chosen."


def _published(page: str, facts: ModelFacts) -> None:
    """Sets that fit its family and shape; one becomes the model's own."""
    if facts.problem or facts.no_circuits or not facts.published:
        return
    n = plural(len(facts.published), "published transcoder set")
    with st.expander(f"{n} for a model of this shape", icon=":material/public:"):
        st.caption(
            "Named by circuit-tracer. A set is downloaded when it is first used (several GB to hundreds of GB), and "
            "describes best the model that it was trained on. It is used where no set that was trained here has seen "
            "both checkpoints."
        )
        for one in facts.published:
            with st.container(horizontal=True, vertical_alignment="center"):
                kind = "across layers" if one.cross_layer else "one a layer"
                st.markdown(
                    f"[{plain(one.hub_id)}](https://huggingface.co/{one.hub_id}) · {kind} · trained on "
                    f"{plain(one.trained_on)}"
                )
                if facts.spec.transcoders == one.hub_id:
                    st.markdown(":green-badge[in use]")
                st.button(
                    "Use no published set" if facts.spec.transcoders == one.hub_id else "Use this set",
                    key=f"{page} set {one.hub_id}", type="tertiary", on_click=_use, args=(facts.spec, one.hub_id),
                )  # fmt: skip


def _use(spec: ModelSpec, hub_id: str) -> None:
    """Or no longer, where it is in use."""
    store().save_model(spec.model_copy(update={"transcoders": "" if spec.transcoders == hub_id else hub_id}))


def _comparing(needed: ComparisonMemory, device: str) -> str:
    free = f" {memory(free_here())} are free." if device == "cpu" else ""
    parts = (
        f"weights {memory(needed.weights)}, both checkpoints {memory(needed.checkpoints)}, a transcoder set trained "
        f"here {memory(needed.transcoders)}, both graphs of a prompt of {N_TOKENS} tokens {memory(needed.tracing)}"
    )
    return (
        f"Comparing two LoRA checkpoints takes about {memory(needed.n_bytes)}: {parts}.{free} A full fine-tune takes "
        "the weights once more for each checkpoint. A published set may wake more features; then a graph takes more."
    )


def _remove(page: str, spec: ModelSpec) -> None:
    store().delete_model(spec.name)
    url.forget(page, "model")


def _doors(facts: ModelFacts, sets: list[TranscoderMeta]) -> str:
    """Badges: green where it can be done now."""
    if facts.problem:
        return ":gray-badge[not usable now]"
    circuits = "orange" if facts.no_circuits else "green"
    trace = (
        ":green-badge[trace]"
        if sets or facts.spec.transcoders
        else ":orange-badge[trace: trains a transcoder set first]"
    )
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
        f"Written from {made_of.file} ({made_of.stored_as}): its weights are those of the quantized file, and what was "
        "rounded off is not in them."
    )


def _sets(sets: list[TranscoderMeta]) -> None:
    rows = [
        {
            "set": meta.name,
            "seen": "published" if meta.scan else plural(len(meta.checkpoints), "checkpoint"),
            "features a layer": None if meta.scan else meta.training.n_features,
            "texts read": meta.texts_read or MISSING,
            "not explained": _unexplained(meta),
            "size": memory(store().room_of("transcoders", meta.name)),
        }
        for meta in sets
    ]
    texts = (
        "Of all checkpoints together. Fewer than were asked for where the corpus has no more, or where the activations "
        "of more would not fit into 2 GB, as of large models. What a set has not read it explains worse."
    )
    help_ = "The share of the variance of the MLPs' outputs that the set leaves out; mean of layers."
    st.dataframe(
        pd.DataFrame(rows), hide_index=True,
        column_config={
            "not explained": st.column_config.TextColumn(help=help_),
            "texts read": st.column_config.TextColumn(help=texts),
        },
    )  # fmt: skip


def _unexplained(meta: TranscoderMeta) -> str:
    if not meta.unexplained_variance:
        return MISSING
    return decimal(sum(meta.unexplained_variance) / len(meta.unexplained_variance), 3)
