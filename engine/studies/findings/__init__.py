"""What a study says to each question: one question a file, all of one shape.

Every rule for a verdict is stated in its `find`'s docstring and rests on 95 % intervals, which are not corrected for
the number of questions asked.
"""

from collections.abc import Mapping

from engine.domain.studies import Finding, Questions, StudySpec, StudyTables
from engine.studies.findings import (
    circuit_lora_gain,
    circuit_lora_layers,
    circuit_tuning_retained,
    circuit_tuning_task,
    controls,
    curriculum,
    edge_robustness,
    examples_taught,
    learning_speed,
    lookup_or_meaning,
    loss_or_word,
    nodes_stay,
    overlap_predicts,
    prediction,
    ranking_finds,
    saturation_stop,
    stopping_saves,
    types_differ,
    union_circuit,
    when_learned,
    where_acted,
)
from engine.studies.findings.answer import Find

# Those that rest on circuit change come last: it is coarse, and what answers gained is told by the study of measures.
QUESTIONS: tuple[Find, ...] = (
    learning_speed.find,
    lookup_or_meaning.find,
    loss_or_word.find,
    prediction.find,
    overlap_predicts.find,
    types_differ.find,
    saturation_stop.find,
    stopping_saves.find,
    curriculum.find,
    controls.find,
)
METHOD_QUESTIONS: tuple[Find, ...] = (
    nodes_stay.find,
    circuit_lora_gain.find,
    circuit_lora_layers.find,
    union_circuit.find,
    circuit_tuning_task.find,
    circuit_tuning_retained.find,
    edge_robustness.find,
)
MEASURE_QUESTIONS: tuple[Find, ...] = (where_acted.find, when_learned.find, ranking_finds.find, examples_taught.find)
_ASKED: Mapping[Questions, tuple[Find, ...]] = {
    "learning": QUESTIONS,
    "methods": METHOD_QUESTIONS,
    "measures": MEASURE_QUESTIONS,
}


def findings(tables: StudyTables, spec: StudySpec, *, command: str) -> tuple[Finding, ...]:
    """One finding a question of `spec.asks`, in the order of the page; what the study lacks is said in its answer.

    `command`: makes the study again.
    """
    return tuple(find(tables, spec, command) for find in _ASKED[spec.asks])


__all__ = ["MEASURE_QUESTIONS", "METHOD_QUESTIONS", "QUESTIONS", "findings"]
