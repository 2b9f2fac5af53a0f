"""The seven steps of the tour: each is its words, one figure, and where to look further.

A is demo-lora and B demo-tokens, both at their last checkpoint, from the first step to the last.
"""

import html
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import streamlit as st

from engine.domain.graphs import AttributionGraph
from engine.domain.interventions import Intervention
from engine.domain.methods import METHOD_INFOS
from engine.domain.numbers import decimal, percent
from engine.figures import palette, tour_charts
from engine.figures.names import visible
from engine.figures.tour_charts import BEFORE, Group, TourBar
from pages._ui.graphs.linked_graphs import Marks
from pages._ui.tour.ablation import ablation
from pages._ui.tour.facts import (
    Compared,
    Controls,
    Guess,
    Tour,
    ablations,
    accuracy,
    before_and_after,
    controls,
    held_out_loss,
    inference_by_word,
    n_probes,
    probability,
    route,
    says,
    taught_prompts,
    telling,
    told_apart,
)
from pages._ui.tour.pictures import answer_map, circuit, ink, theme
from pages._ui.tour.words import (
    Words,
    answers_words,
    checkpoints_words,
    circuit_words,
    consequence_words,
    loss_words,
    path_words,
    word_words,
)

HEIGHT = 446  # of a figure, in pixels, where the window is 1280 × 720; larger windows give it more
_KINDS_TOLD = {"paraphrase": "in new phrasings", "inference": "of what follows from a word’s meaning"}
_HELD_OUT = tuple(_KINDS_TOLD)
_N_WORDS = 4  # next words that are shown


@dataclass(frozen=True)
class Step:
    """`page` and `params`: the same selection where it can be explored."""

    words: Words
    figure: Callable[[], None]
    page: str = "curves"
    params: Mapping[str, str] = field(default_factory=dict)


def checkpoints_step(tour: Tour) -> Step:
    trained = {side: checkpoint.state.n_trainable for side, checkpoint in tour.sides.items()}
    words = checkpoints_words(
        len({example.constraint for example in tour.corpus.examples}), len(tour.corpus.examples), trained,
        word=tour.probe.constraint, new=_trains_new_words_only(tour),
    )  # fmt: skip
    runs = {side: (tour.store.losses(c.run), tour.store.checkpoints(c.run)) for side, c in tour.sides.items()}

    def figure() -> None:
        curves = tour_charts.loss_curves(runs, ink=ink())
        _figure(tour, tour_charts.picture(curves, alt="Training loss of A and B, with a dot at every checkpoint."))

    return Step(words, figure, params=_both(tour))


def word_step(tour: Tour) -> Step:
    rows, meaning = taught_prompts(tour), tour.probe.meaning
    groups = [
        Group(
            f"{row.prompt} …", "",
            (_guess(BEFORE, "before", row.before, meaning), _guess("A", "A", row.a, meaning),
             _guess("B", "B", row.b, meaning)),
        )
        for row in rows
    ]  # fmt: skip
    return Step(
        word_words(tour.probe.constraint, meaning, rows),
        lambda: _figure(tour, f'<div class="tour-wide">{tour_charts.bar_groups(groups)}</div>', before=True),
        params=_both(tour),
    )


def path_step(tour: Tour) -> Step:
    found = before_and_after(tour)
    if found is None:
        return Step(
            Words("Where the answer comes from", ("The bundled comparison of base and trained model is not here.",)),
            _none,
        )
    probe, moved = found.probe, route(found)
    answer = probe.answer.strip()
    p = [probability(graph, answer) or 0.0 for graph in (found.diff.a, found.diff.b)]
    words = path_words(
        moved, word=probe.constraint, meaning=probe.meaning, prompt=probe.text, answer=answer, p=(p[0], p[1])
    )

    def figure() -> None:
        sides = "".join(
            f"<div><b>{name}: {_expects(found, side)}</b>{_map_of(found, side, name)}</div>"
            for side, name in (("A", "Before training"), ("B", f"After training, {tour.a.run}"))
        )
        notes = (
            f"Across: the words of the prompt, after {visible(found.diff.a.tokens[0])}, its beginning.",
            f"Up: the model’s layers, L0 to L{found.diff.a.n_layers - 1}. Emb is the word itself, before any layer.",
            f"A mark is what of the score of “{answer}” runs through a layer at a word, directly or by "
            "later layers. Marks overlap.",
            "An arc is what moves from a word to a later one; a thicker one moves more.",
            "Both Maps have one scale.",
        )
        items = "".join(f"<li>{html.escape(note)}</li>" for note in notes)
        keys = {"positive": f"pushes “{answer}” up", "negative": "pushes it down"}
        main = f'<div class="tour-pair">{sides}</div><div class="tour-note"><ul>{items}</ul></div>'
        _framed(tour_charts.key_line(keys, palette.GRAPH[theme()]), main)

    marks = Marks(edge=moved.ends if moved else None)
    return Step(words, figure, page="compare", params=_compare(found, marks, view="map"))


def _map_of(found: Compared, side: str, name: str) -> str:
    alt = (
        f"{name}: what of “{found.probe.answer.strip()}” runs through each layer at each word of “{found.probe.text}”."
    )
    return answer_map(found, side, alt=alt, width=350, height=300)


def answers_step(tour: Tour) -> Step:
    recall, paraphrase = _shares(tour, "recall"), _shares(tour, "paraphrase")
    retention = _shares(tour, "retention")
    groups = [
        _share_group("Recall", "probes in a trained phrasing, with a new noun", recall),
        _share_group("Paraphrase", "probes in phrasings never trained on", paraphrase),
        _share_group("Retention", "probes of what the model knew before", retention),
    ]
    return Step(
        answers_words(paraphrase, retention),
        lambda: _figure(tour, tour_charts.bar_groups(groups)),
        params=_both(tour),
    )


def loss_step(tour: Tour) -> Step:
    training = {side: checkpoint.state.smoothed_loss or 0.0 for side, checkpoint in tour.sides.items()}
    held_out = {kind: _losses(tour, kind) for kind in _HELD_OUT}
    both = _losses(tour, *_HELD_OUT)
    top = max(*training.values(), *(value for side in held_out.values() for value in side.values()), 1e-9)
    groups = [
        _loss_group("Training loss", "over every word of the training sentences", training, top),
        *(
            _loss_group(
                f"Loss on {kind} probes",
                f"over the right next words of {n_probes(tour, kind)} probes {_KINDS_TOLD[kind]}",
                values, top,
            )
            for kind, values in held_out.items()
        ),
    ]  # fmt: skip
    return Step(
        loss_words(training, both, new=_trains_new_words_only(tour)),
        lambda: _figure(tour, tour_charts.bar_groups(groups)),
        params=_both(tour),
    )


def consequence_step(tour: Tour) -> Step:
    found = told_apart(tour)
    if found is None:
        return Step(Words("A consequence", ("The bundled comparison of the two runs is not here.",)), _none)
    probe, rows = found.probe, inference_by_word(tour)
    answer = probe.answer.strip()
    words = consequence_words(
        word=probe.constraint,
        answer=answer,
        premise=probe.known_text,
        taught=says((example.text for example in tour.corpus.examples), probe.constraint, answer),
        rows=rows,
    )
    groups = [
        Group(f"{side} after “{probe.text} …”", "", tuple(_likeliest(found, side, answer))) for side in tour.sides
    ]
    table = tour_charts.word_dots(
        [(row.word, f"({row.meaning})", row.a, row.b) for row in rows],
        title="Inference probes answered right: all (full), some (part) or none (empty)",
    )
    return Step(
        words,
        lambda: _figure(tour, f'<div class="tour-stacked">{tour_charts.bar_groups(groups)}</div><div>{table}</div>'),
        page="compare",
        params=_compare(found, Marks(), view="graphs"),
    )


def circuit_step(tour: Tour) -> Step:
    found = told_apart(tour)
    if found is None:
        return Step(Words("The circuit", ("The bundled comparison of the two runs is not here.",)), _none)
    features, effects, random = telling(found), ablations(tour, found), controls(tour, found)
    answer = found.probe.answer.strip()
    marks = Marks(pins=features, show="output")

    def figure() -> None:
        sides = "".join(
            f"<div><b>{side}: {_expects(found, side)}</b>{circuit(found, side, features, width=440, height=400)}</div>"
            for side in tour.sides
        )
        evidence = "" if effects is None else _evidence(effects[1], answer, len(features), random)
        _figure(tour, f'<div class="tour-pair">{sides}</div>{evidence}')

    return Step(
        circuit_words(len(features), answer, effects, random),
        figure if effects is not None or not features else lambda: _measure(found, features),
        page="compare",
        params=_compare(found, marks, view="graphs"),
    )


STEPS: tuple[Callable[[Tour], Step], ...] = (
    checkpoints_step, word_step, path_step, answers_step, loss_step, consequence_step, circuit_step,
)  # fmt: skip


def _figure(tour: Tour, main: str, *, before: bool = False) -> None:
    """The key to the colors, at the same place on every step, and the figure below it."""
    names = {
        side: f"{side} · {checkpoint.run} ({METHOD_INFOS[tour.store.run(checkpoint.run).method].title})"
        for side, checkpoint in tour.sides.items()
    }
    _framed(tour_charts.key_line(({BEFORE: "before training"} if before else {}) | names), main)


def _framed(key: str, main: str) -> None:
    st.html(f'<div class="tour-figure">{key}<div class="tour-main">{main}</div></div>')


def _measure(found: Compared, features: tuple[str, ...]) -> None:
    ablation(found, features)


def _guess(side: str, label: str, guess: Guess, meaning: str) -> TourBar:
    other = "" if guess.likeliest == meaning else f", but likeliest is “{guess.likeliest}”"
    return TourBar(side, label, guess.p, f"“{meaning}” {percent(guess.p)}{other}")


def _likeliest(found: Compared, side: str, answer: str) -> list[TourBar]:
    """The likeliest next words, the right one always among them."""
    graph = found.diff.a if side == "A" else found.diff.b
    ranked = sorted(_outputs(graph), reverse=True)
    shown = ranked[:_N_WORDS]
    if all(word != answer for _, word in shown):
        shown = [*ranked[: _N_WORDS - 1], *(item for item in ranked if item[1] == answer)]
    right = " ← right answer"
    return [TourBar(side, word, p, f"{percent(p)}{right if word == answer else ''}") for p, word in shown]


def _expects(found: Compared, side: str) -> str:
    """As HTML."""
    graph = found.diff.a if side == "A" else found.diff.b
    p, word = max(_outputs(graph))
    return html.escape(f"expects “{word}” ({percent(p)})")


def _outputs(graph: AttributionGraph) -> list[tuple[float, str]]:
    return list(zip(graph.target_probability.tolist(), map(visible, graph.target_tokens), strict=True))


def _evidence(effect: Intervention, answer: str, n: int, random: Controls | None) -> str:
    """How likely the answer stays in B, without its features and without others."""
    place = [visible(token) for token in effect.tokens].index(answer)
    before, after = effect.p_before[place], effect.p_after[place]
    bars = [
        TourBar("B", "as trained", before, percent(before)),
        TourBar("B", f"these {n} off", after, percent(after)),
    ]
    if random is not None:
        bars.append(TourBar("B", f"{n} random off", random.median_p, percent(random.median_p)))
    note = "" if random is None else f"Random: the median of {random.n_draws} tries."
    group = Group(f"Probability of “{answer}” in B", note, tuple(bars), top=0.8)
    return f'<div class="tour-stacked tour-even">{tour_charts.bar_groups([group])}</div>'


def _compare(found: Compared, marks: Marks, *, view: str) -> dict[str, str]:
    selection = found.selection
    params = {"a": selection.a.ref, "b": selection.b.ref, "prompt": selection.prompt, "view": view}
    return params | ({"marks": marks.to_text()} if marks.to_text() else {})


def _both(tour: Tour) -> dict[str, str]:
    return {"runs": f"{tour.a.run},{tour.b.run}"}


def _trains_new_words_only(tour: Tour) -> bool:
    return tour.store.run(tour.b.run).method == "tokens"


def _shares(tour: Tour, kind: str) -> dict[str, float]:
    return {side: accuracy(tour.store, checkpoint, kind) or 0.0 for side, checkpoint in tour.sides.items()}


def _losses(tour: Tour, *kinds: str) -> dict[str, float]:
    return {side: held_out_loss(tour, checkpoint, *kinds) or 0.0 for side, checkpoint in tour.sides.items()}


def _share_group(title: str, note: str, values: Mapping[str, float]) -> Group:
    return Group(title, note, tuple(TourBar(side, side, value, percent(value)) for side, value in values.items()))


def _loss_group(title: str, note: str, values: Mapping[str, float], top: float) -> Group:
    return Group(title, note, tuple(TourBar(side, side, value, decimal(value)) for side, value in values.items()), top)


def _none() -> None:
    st.page_link("pages/compare.py", label="Trace a comparison", icon=":material/compare_arrows:")
