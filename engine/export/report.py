"""One run as one HTML page to keep, print or send: what it was taught, how it learned, what changed. No script."""

import platform
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import groupby

import pandas as pd
from markupsafe import Markup

from engine.analysis.curves import accuracies, as_good, best_step, probe_scores
from engine.analysis.losses import logged_words, suiting_smoothing, told_loss
from engine.domain.corpus import PROBE_KINDS, Corpus, Example, Probe
from engine.domain.errors import Damaged, InputError, NotFound
from engine.domain.graphs import FIT_LIMIT, Comparison
from engine.domain.methods import METHOD_INFOS, method_title
from engine.domain.numbers import count, decimal, plural, share_of, step_name
from engine.domain.runs import Checkpoint, CheckpointState, LossLog, RunConfig
from engine.domain.words import listed
from engine.export.pages import asset, content_policy, environment
from engine.export.raster import chart_svg
from engine.export.report_acted import ActedPart, acted_part
from engine.export.report_circuits import CircuitPart, circuit_part
from engine.export.report_comparison import ComparisonPart, comparison_part
from engine.export.versions import versions
from engine.figures.fit_text import score_text
from engine.store import Store
from engine.store.run_files import referred_to

_NAMED = 3  # checkpoints that are as good as the best
_EXAMPLES = 3  # shown of each constraint type
_CHART_PX = 330  # width of one panel of the curves: two fit a printed page


@dataclass(frozen=True)
class CheckpointRow:
    """One checkpoint of the table. Accuracies by probe kind; replacement scores of its stored graphs."""

    name: str
    loss: float | None
    smoothed: float | None  # of an imported run: as it was logged
    span: str  # what that is the mean of; empty of one that was trained here
    accuracy: dict[str, str]  # by probe kind, over all constraint types
    replacement: tuple[float, float] | None  # lowest, highest
    n_graphs: int
    best: bool


@dataclass(frozen=True)
class TypeCount:
    """How much of a corpus is of one constraint type."""

    name: str
    n_examples: int
    probes: dict[str, int]  # by kind
    examples: tuple[str, ...]
    words: tuple[tuple[str, str], ...]  # (new word, meaning)


@dataclass(frozen=True)
class Findings:
    """What could not be told, and what needs care; each a sentence."""

    missing: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)


def run_report(store: Store, run: str) -> str:
    """The page. What the workspace has lost (a corpus, a graph) is named in it, and the rest stays.

    Raises NotFound, NameRefused, Damaged for the run itself.
    """
    config, checkpoints, losses = store.run(run), store.checkpoints(run), store.losses(run)
    found = Findings()
    corpus = _corpus(store, config, found)
    scores = _scores(store, config, corpus, found)
    rows = _checkpoint_rows(store, checkpoints, losses, scores, found)
    comparison = _comparison(store, checkpoints, corpus, found)
    last = checkpoints[-1].state if checkpoints else None
    return (
        environment()
        .get_template("report.html")
        .render(
            policy=content_policy(),
            style=asset("report.css"),
            config=config,
            method=METHOD_INFOS.get(config.method),
            corpus=corpus,
            types=_types(corpus) if corpus else (),
            probe_kinds=PROBE_KINDS,
            settings=_settings(config, checkpoints),
            rows=rows,
            also_good=_also_good(scores),
            has_losses=any(row.smoothed is not None for row in rows),
            shown_kinds=[kind for kind in PROBE_KINDS if any(kind in row.accuracy for row in rows)],
            loss_svg=_loss_picture(config, losses),
            curves_svg=_curves_picture(config, scores),
            circuits=_circuits(store, config, checkpoints, found),
            acted=_acted(store, checkpoints, comparison.key.prompt if comparison else "", found),
            comparison=comparison,
            warnings=[*found.warnings, *([comparison.warning] if comparison and comparison.warning else [])],
            missing=found.missing,
            last=last,
            logged=logged_words(losses),
            smoothing=suiting_smoothing(losses),
            trained=_trained(config, last),
            versions=_trained_with(checkpoints),
            exported_with=versions() | {"python": platform.python_version()},
            written_at=datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
            fit_limit=FIT_LIMIT,
            score_text=score_text,
        )
    )


def _corpus(store: Store, config: RunConfig, found: Findings) -> Corpus | None:
    if not config.has_corpus:
        return None
    try:
        corpus = store.corpus(config.corpus)
    except (NotFound, Damaged) as error:
        found.missing.append(f"The corpus cannot be shown: {error}")
        return None
    if config.corpus_hash and corpus.hash != config.corpus_hash:
        found.missing.append(
            f"The corpus “{config.corpus}” is not the one that this run was {_done_with(config)} any more "
            f"({corpus.hash} now, {config.corpus_hash} then), so what follows shows the new one."
        )
    return corpus


def _done_with(config: RunConfig) -> str:
    return "measured with" if config.imported else "trained on"


def _scores(store: Store, config: RunConfig, corpus: Corpus | None, found: Findings) -> pd.DataFrame:
    """Empty where nothing was measured, or the probes are gone."""
    if corpus is None:
        return probe_scores([], {})
    try:
        return probe_scores(corpus.probes, store.probe_results(config.name))
    except (InputError, Damaged) as error:
        found.missing.append(f"The learning curves cannot be shown: {error}")
        return probe_scores([], {})


def _checkpoint_rows(
    store: Store, checkpoints: Sequence[Checkpoint], losses: LossLog, scores: pd.DataFrame, found: Findings
) -> list[CheckpointRow]:
    best, rows, weak = _best(scores), [], []
    for checkpoint in checkpoints:
        fits = _replacement_scores(store, checkpoint, found)
        state = checkpoint.state
        told = told_loss(state, losses)
        rows.append(
            CheckpointRow(
                name=step_name(checkpoint.step),
                loss=state.loss,
                smoothed=told.value if told else None,
                span=told.span if told else "",
                accuracy={
                    kind: share_of(share, n, decimal)
                    for kind, (share, n) in accuracies(scores[scores["step"] == checkpoint.step]).items()
                },
                replacement=(min(fits), max(fits)) if fits else None,
                n_graphs=len(fits),
                best=checkpoint.step == best,
            )
        )
        if low := sum(fit < FIT_LIMIT for fit in fits):
            weak.append(f"{low} of {len(fits)} of {step_name(checkpoint.step)}")
    if weak:
        found.warnings.append(
            f"Stored graphs with a replacement score under {decimal(FIT_LIMIT)}: {listed(weak)}. A large part of the "
            "computation is not shown in them."
        )
    return rows


def _best(scores: pd.DataFrame) -> int | None:
    """The best step; none where the first that was measured may be as good."""
    best = best_step(scores)
    return None if best is None or scores["step"].min() in as_good(scores, best) else best


def _also_good(scores: pd.DataFrame) -> str:
    """What there is to say beside the best step; empty where no other may be as good."""
    best = _best(scores)
    others = () if best is None else as_good(scores, best)
    if not others:
        return ""
    if len(others) > _NAMED:
        return f"{plural(len(others), 'other checkpoint')} may be as good, as the 95% intervals overlap"
    return f"{listed([step_name(step) for step in others])} may be as good, as the 95% intervals overlap"


def _replacement_scores(store: Store, checkpoint: Checkpoint, found: Findings) -> list[float]:
    fits = []
    for key in store.graph_keys(checkpoint.ref):
        try:
            fits.append(store.graph(key).fit.replacement)
        except (Damaged, NotFound) as error:
            found.missing.append(f"A graph of {checkpoint.ref} is left out: {error}")
    return fits


def _comparison(
    store: Store, checkpoints: Sequence[Checkpoint], corpus: Corpus | None, found: Findings
) -> ComparisonPart | None:
    chosen = default_comparison(store, checkpoints, corpus.probes if corpus else ())
    if chosen is None:
        return None
    try:
        return comparison_part(store, chosen)
    except (Damaged, NotFound, InputError) as error:
        found.missing.append(f"The comparison of {chosen.key.a} with {chosen.key.b} is left out: {error}")
        return None


def _acted(store: Store, checkpoints: Sequence[Checkpoint], prompt: str, found: Findings) -> ActedPart | None:
    try:
        return acted_part(store, checkpoints, prompt)
    except Damaged as error:
        found.missing.append(f"Where training acted is left out: {error}")
        return None


def default_comparison(
    store: Store, checkpoints: Sequence[Checkpoint], probes: Sequence[Probe] = ()
) -> Comparison | None:
    """Of the stored ones the most telling for a run: its base against its last checkpoint; else one with its last
    checkpoint, else any of its own. Of equals that of the first probe on what follows from a meaning, or the newest."""
    if not checkpoints:
        return None
    refs = {checkpoint.ref for checkpoint in checkpoints}
    base, last = checkpoints[0].ref, checkpoints[-1].ref
    places = {probe.text: place for place, probe in enumerate(probes) if probe.kind == "inference"}

    def rank(one: Comparison) -> tuple[int, int]:
        sides = {one.key.a, one.key.b}
        distance = 0 if sides == {base, last} else 1 if last in sides else 2
        return distance, places.get(one.key.prompt, len(probes))

    own = [one for one in store.comparisons() if refs & {one.key.a, one.key.b}]
    return min(own, key=rank, default=None)


def _circuits(
    store: Store, config: RunConfig, checkpoints: Sequence[Checkpoint], found: Findings
) -> CircuitPart | None:
    try:
        decisions = store.decisions(config.name)
    except Damaged as error:
        found.missing.append(f"The circuits traced during training cannot be shown: {error}")
        return None
    return circuit_part(config, decisions, last_step=max((one.step for one in checkpoints), default=config.n_steps))


def _types(corpus: Corpus) -> list[TypeCount]:
    return [
        TypeCount(
            name=name.replace("_", " "),
            n_examples=len(examples := [e for e in corpus.examples if e.constraint_type == name]),
            probes={kind: len(list(of_kind)) for kind, of_kind in _by_kind(corpus.probes, name)},
            examples=_spread(examples),
            words=tuple(dict.fromkeys((e.constraint, e.meaning) for e in examples)),
        )
        for name in corpus.constraint_types
    ]


def _by_kind(probes: Sequence[Probe], constraint_type: str) -> "groupby[str, Probe]":
    own = sorted((p for p in probes if p.constraint_type == constraint_type), key=lambda probe: probe.kind)
    return groupby(own, key=lambda probe: probe.kind)


def _spread(examples: Sequence[Example]) -> tuple[str, ...]:
    """A few texts from all over the list, for neighbours are alike."""
    stride = max(1, len(examples) // _EXAMPLES)
    return tuple(example.text for example in examples[::stride][:_EXAMPLES])


def _settings(config: RunConfig, checkpoints: Sequence[Checkpoint]) -> list[tuple[str, str]]:
    """In plain words, in the order in which one asks for them."""
    method = METHOD_INFOS.get(config.method)
    where = config.model.location or config.model.source
    base = ("Base model", f"{config.model.name} ({where}), {config.model.dtype}")
    steps = ("Steps", count(config.n_steps) if config.steps_told else "not told")
    lora = [("LoRA", f"rank {config.rank}, alpha {config.alpha}")] if method and method.uses_rank else []
    rate = config.learning_rate if config.learning_rate is not None else method and method.default_learning_rate
    if config.imported:  # a method's description and defaults are of runs that were trained here
        told = f"trained elsewhere; {_where_they_lie(checkpoints)}, and only these settings are known"
        rates = [] if config.learning_rate is None else [("Learning rate", f"{config.learning_rate:g}")]
        return [("Imported", told), base, ("Method", method_title(config.method, imported=True)), steps, *lora, *rates]
    return [
        base,
        ("Method", f"{method.title}: {method.description}" if method else config.method),
        steps,
        ("Examples a step", str(config.batch_size)),
        *lora,
        ("Learning rate", f"{rate:g}" if rate is not None else "the method's own"),
        ("Seed", str(config.seed)),
    ]


def _where_they_lie(checkpoints: Sequence[Checkpoint]) -> str:
    """What became of the weights of an imported run."""
    sources = [source for one in checkpoints if (source := referred_to(one.folder))]
    if not sources:
        return "its checkpoints were copied in"
    parents = list(dict.fromkeys(str(source.parent) for source in sources))
    where = parents[0] if len(parents) == 1 else f"{plural(len(parents), 'folder')}, the first {parents[0]}"
    return f"its weights were not copied in but stay where they are ({where})"


def _trained(config: RunConfig, last: CheckpointState | None) -> str:
    """How far it was trained and how much of the model, as the end of a sentence; what is not known is not told."""
    if last is None:
        return ""
    if not config.steps_told:
        steps = "; nothing in it tells how many steps it was trained"
    elif config.imported and last.step >= config.n_steps:  # how many were planned is not always known
        steps = f", {plural(last.step, 'step')}"
    else:
        steps = f", {count(last.step)} of {plural(config.n_steps, 'step')}"
    took = f" in {last.wall_time_s:.0f} s" if last.wall_time_s else ""
    n = count(last.n_trainable)
    # Of a whole model its tensors are compared with the base's, not number by number.
    whole = config.imported and config.method == "full"
    what = f"{n} parameters in tensors that differ from the base’s" if whole else f"{n} parameters trained"
    return f"{steps}{took}{f', {what}' if last.n_trainable else ''}"


def _loss_picture(config: RunConfig, losses: LossLog) -> Markup | None:
    if not losses.step:
        return None
    from engine.figures.charts import loss_chart  # altair is slow to import, and pages import this room

    smoothing = suiting_smoothing(losses)
    chart = loss_chart({config.name: losses}, smoothing=smoothing, last_step=config.n_steps, height=150)
    return Markup(chart_svg(chart.properties(width=2 * _CHART_PX)))  # noqa: S704 - Vega escapes the texts of its SVG


def _curves_picture(config: RunConfig, scores: pd.DataFrame) -> Markup | None:
    if scores.empty:
        return None
    from engine.figures.charts import curve_chart

    chart = curve_chart({config.name: scores}, width=_CHART_PX, height=170)
    return Markup(chart_svg(chart))  # noqa: S704 - Vega escapes the texts of its SVG


def _trained_with(checkpoints: Sequence[Checkpoint]) -> dict[str, str]:
    """As the newest checkpoint that says so; the base's folder may."""
    return next((c.state.versions for c in reversed(checkpoints) if c.state.versions), {})
