"""The form of a new run."""

from dataclasses import dataclass

import streamlit as st

from engine.corpus.english import NAME as ENGLISH
from engine.domain.jobs import Train
from engine.domain.methods import METHOD_INFOS
from engine.domain.models import DEMO_MODEL
from engine.domain.real_model import NAME as REAL
from engine.domain.runs import RunConfig
from engine.store.infos import CorpusInfo
from pages._ui import url
from pages._ui.decision_fields import Decided, cost, more_fields, policy_fields
from pages._ui.errors import guarded
from pages._ui.forms import checked, fractions, free_name
from pages._ui.jobs.state import start_job
from pages._ui.session import store
from pages._ui.text import plain
from pages._ui.train.corpora import corpora_for
from pages._ui.train.method_fields import method_fields

_STEPS, _STEPS_REAL = 300, 60  # about a minute with the demo's model, two to three with the real one
_EVERY = 25  # steps between checkpoints, so that one can watch a short run
MODEL_HELP = (
    "The model before fine-tuning. `demo` comes with Tracelapse. Add your own under Models & runs: it is then listed "
    "here."
)


@dataclass(frozen=True)
class _More:
    """What is behind “More settings”, as typed."""

    capture: str  # percentages
    every: int  # 0: only at the percentages
    rank: int
    rate: float | None  # None: the method's own
    batch: int
    seed: int
    decided: Decided


@guarded()
def train_form(page: str, *, taken: list[str]) -> None:
    """Which model is trained, on what, how, and how long; the rest behind “More settings”."""
    models = {spec.name: spec for spec in store().models()}
    model = _model(page, list(models))
    corpora = corpora_for(models[model])
    if not corpora:
        return
    names = list(corpora)
    first = _first_corpus(model, corpora)
    corpus = st.selectbox("Corpus", names, index=names.index(first), key=f"corpus of {model} {first}")
    method = st.selectbox("Method", list(METHOD_INFOS), format_func=lambda key: METHOD_INFOS[key].title)
    st.caption(METHOD_INFOS[method].description)
    own = method_fields(method, names)
    usual = _STEPS_REAL if model == REAL else _STEPS
    left, right = st.columns([2, 3])  # so that the button is in sight where the window is 720 pixels high
    n_steps = left.number_input("Steps", min_value=1, max_value=1_000_000, value=usual, step=50, key=f"{usual} steps")
    suggestion = free_name(f"{corpus}-{method}".replace("_", "-"), taken)
    name = right.text_input("Run name", value=suggestion, key=f"run name {suggestion}")
    stopping, curriculum = policy_fields()
    tell_cost = st.empty()
    with st.expander("More settings"):
        more = _more(method, stopping, curriculum)
    if more.decided.watched:
        tell_cost.caption(cost(store().corpus(corpus), more.decided.settings))
    if st.button("Start training", type="primary", icon=":material/play_arrow:", width="stretch"):
        config = checked(
            lambda: RunConfig(
                name=name, corpus=corpus, method=method, n_steps=n_steps, model=models[model],
                capture=fractions(more.capture), capture_every=more.every or None, rank=more.rank,
                alpha=2 * more.rank, learning_rate=more.rate, batch_size=more.batch, seed=more.seed,
                stopping=stopping, curriculum=curriculum, watch=more.decided.watch, decisions=more.decided.settings,
                method_settings=own,
            )
        )  # fmt: skip
        if name in taken:
            st.error(plain(f"There is already a run named “{name}”. Choose another name."))
            return
        start(page, config)
        st.rerun()


def _model(page: str, names: list[str]) -> str:
    """The one in the address, such as that of the link that led here."""
    key = f"{page} model"
    st.session_state[key] = url.allowed(page, "model", names, names[0], "model")
    st.selectbox("Base model", names, key=key, help=MODEL_HELP, on_change=url.changed, args=(page, "model", key))
    return str(st.session_state[key])


def _first_corpus(model: str, corpora: dict[str, CorpusInfo]) -> str:
    """The address's, else the one that comes with the model, else one of the person's own."""
    with_model = {DEMO_MODEL.name: "demo", REAL: ENGLISH}
    own = [name for name, info in corpora.items() if not info.bundled and name != ENGLISH]
    wanted = (st.query_params.get("corpus"), with_model.get(model), *own, *corpora)
    return next(name for name in wanted if name in corpora)


def start(page: str, config: RunConfig) -> None:
    """Submit the run and select it."""
    start_job(Train(config=config))
    url.write(page, run=config.name)


def _more(method: str, stopping: str, curriculum: str) -> _More:
    info = METHOD_INFOS[method]
    capture = st.text_input("Checkpoints at (% of the run)", value="25, 50, 75, 100")
    every = st.number_input(
        "Extra checkpoint every (steps)", min_value=0, value=_EVERY,
        help="With 0, only the checkpoints above are kept.",
    )  # fmt: skip
    rank = st.number_input(
        "Rank", min_value=1, max_value=4096, value=RunConfig.model_fields["rank"].default, disabled=not info.uses_rank,
        help="Rank of LoRA's matrices. Their scale (alpha) is twice as large.",
    )  # fmt: skip
    rate = st.number_input(
        "Learning rate", min_value=0.0, max_value=10.0, value=None, format="%g", step=1e-4,
        help="Left empty: the method's default, shown in gray.",
        placeholder=f"{info.default_learning_rate:g}",
    )  # fmt: skip
    left, right = st.columns(2)
    batch = left.number_input("Batch size", min_value=1, max_value=4096, value=10)
    seed = right.number_input("Seed", min_value=0, value=0, help="The same seed and settings give the same run.")
    decided = more_fields(stopping, curriculum)
    return _More(capture, every, rank, rate, batch, seed, decided)
