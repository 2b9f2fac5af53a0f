"""Do the controls hold? Shuffled meanings cannot be learned, and without learning no circuit changes."""

from engine.corpus import make_corpus
from engine.domain.corpus import CorpusSpec
from engine.domain.numbers import decimal
from engine.domain.studies import FindingFigure, StudySpec, StudyTables
from engine.studies.findings.answer import INCONCLUSIVE, Answer, Missing, Verdict, asks, with_null
from engine.studies.findings.select import at_end, captures_of, need, shuffled_corpora
from engine.studies.findings.words import constraint_type, interval
from engine.studies.statistics import LEAST_N, mean_interval, proportion, side

_FAR = 0.5  # what stays below has not learned: 0.9 counts as learned
_CHANGED = "share, of measurements called a change"


@asks("controls", "Do the controls hold: is nothing found where there is nothing to learn?")
def find(tables: StudyTables, spec: StudySpec) -> Answer:
    """Two controls. Shuffled meanings: final paraphrase accuracy of each constraint type stays at chance where its
    interval reaches down to chance and ends below 0.5. It is a mean over corpora and seeds, each first meaned over its
    methods, which share what luck gave its words. Chance is one over the number of meanings of the type, counted in the
    corpora as the study makes them. Learning rate 0: no circuit may be called changed.

    Yes: both hold; no: none does; partly: one does and the other does not, or was not done; else, and where neither
    was done, it is inconclusive.
    """
    figures: list[FindingFigure] = []
    results: list[bool | None] = []
    details, reasons = [], []
    for control in (_shuffled, _no_learning):
        try:
            found, holds, sentence = control(tables, spec)
        except Missing as missing:
            reasons.append(str(missing))
            results.append(None)
            continue
        figures += found
        results.append(holds)
        details.append(sentence)
    if not details:
        raise Missing(reasons[0])
    return Answer(
        _verdict(results),
        " ".join([_sentence(results), *reasons]),
        figures,
        axis=figures[0].unit.partition(",")[0],
        line="chance (shuffled meanings), no change (learning rate 0)",
        details=details,
        evidence=_evidence(spec),
    )


def _sentence(results: list[bool | None]) -> str:
    shuffled, still = results
    words = {True: "stays at chance", False: "rises above chance", None: "was not clearly tested"}[shuffled]
    circuits = {True: "no circuit is called changed", False: "some circuits are called changed", None: "not tested"}
    return f"With shuffled meanings accuracy {words}; with learning rate 0: {circuits[still]}."


def _evidence(spec: StudySpec) -> list[str]:
    n = len(shuffled_corpora(spec))
    shared = (
        "All shuffled runs share one shuffling: by luck some word may meet its own meaning more often than others."
        if n == 1
        else f"There are {n} shuffled corpora, each counted once, with ten words each: by luck some word meets its own "
        "meaning more often than others."
    )
    return [
        shared,
        "With learning rate 0 the weights never move, so nothing can change: this tests the program, not how well the "
        "noise floor tells changes from noise.",
    ]


def _verdict(results: list[bool | None]) -> Verdict:
    if all(results):
        return "yes"
    if any(results):
        return "partly"
    return "no" if False in results else INCONCLUSIVE


def _chances(spec: StudySpec) -> dict[str, float]:
    """By constraint type: 1 / number of its meanings, counted in the shuffled corpora."""
    meanings: dict[str, set[str]] = {}
    for corpus in spec.make:
        if isinstance(corpus, CorpusSpec) and corpus.shuffled_meanings:
            for example in make_corpus(corpus).examples:
                meanings.setdefault(example.constraint_type, set()).add(example.meaning)
    return {kind: 1 / len(names) for kind, names in meanings.items()}


def _shuffled(tables: StudyTables, spec: StudySpec) -> tuple[list[FindingFigure], bool | None, str]:
    runs = need(tables.runs, ["run", "corpus", "seed"])
    runs = runs[runs["corpus"].isin(shuffled_corpora(spec))]
    if runs.empty:
        raise Missing(
            "No corpus with shuffled meanings was trained on: add one under “make” with “shuffled_meanings: true”, and "
            "a grid that names it."
        )
    captures = captures_of(tables, runs, ["paraphrase"])
    chances = _chances(spec)
    figures, held = [], []
    for kind in dict.fromkeys(captures["constraint_type"]):
        by_run = at_end(captures[captures["constraint_type"] == kind], "paraphrase")
        ends = runs.assign(right=runs["run"].map(by_run)).groupby(["corpus", "seed"])["right"].mean()
        name = f"shuffled, {constraint_type(kind)}"
        figure = mean_interval(name, ends, unit="paraphrase accuracy, meanings shuffled", bounds=(0.0, 1.0))
        figures += with_null(chances[kind], [figure])
        held.append(_stays(figure, chances[kind]))
    holds = all(held) if None not in held else False if False in held else None
    each = ", ".join(f"{figure.name.partition(', ')[2]} {interval(figure)}" for figure in figures)
    return (
        figures,
        holds,
        f"Shuffled meanings, paraphrase accuracy: {each}; chance is {decimal(min(chances.values()))}.",
    )


def _stays(figure: FindingFigure, chance: float) -> bool | None:
    """None: the interval says neither."""
    if side(figure, null=chance) == "above":
        return False
    return True if side(figure, null=_FAR) == "below" else None


def _no_learning(tables: StudyTables, spec: StudySpec) -> tuple[list[FindingFigure], bool | None, str]:
    runs = need(tables.runs, ["run", "learning_rate"])
    runs = runs[runs["learning_rate"] == 0]
    if runs.empty:
        raise Missing(
            "No run was trained with learning rate 0: add a grid with “learning_rates: [0]” and “watch: true”."
        )
    called = captures_of(tables, runs, ["said"])["said"].dropna()
    n_changed = int((called == "change").sum())
    figures = with_null(0.0, [proportion("learning rate 0", n_changed, len(called), unit=_CHANGED)])
    holds = n_changed == 0 if n_changed or len(called) >= LEAST_N else None
    return figures, holds, f"Learning rate 0: {n_changed} of {len(called)} measurements were called a change."
