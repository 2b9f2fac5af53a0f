"""The tasks by name. A task is one file here and one line in `TASKS`."""

from engine.corpus.tasks.addition_subtraction import ADDITION_SUBTRACTION
from engine.corpus.tasks.composition import COMPOSITION
from engine.corpus.tasks.constraints import CONSTRAINTS
from engine.corpus.tasks.least_common_multiple import LEAST_COMMON_MULTIPLE
from engine.corpus.tasks.linear_functions import LINEAR_FUNCTIONS
from engine.corpus.tasks.multiplication_division import MULTIPLICATION_DIVISION
from engine.corpus.tasks.problems import Defaults, Task
from engine.corpus.tasks.sequences import SEQUENCES
from engine.domain.corpus import Corpus, TaskSpec
from engine.domain.errors import NotFound

TASKS: dict[str, Task] = {
    task.name: task
    for task in (
        ADDITION_SUBTRACTION,
        MULTIPLICATION_DIVISION,
        SEQUENCES,
        LEAST_COMMON_MULTIPLE,
        LINEAR_FUNCTIONS,
        COMPOSITION,
        CONSTRAINTS,
    )
}


def make_task(spec: TaskSpec) -> Corpus:
    """80 % of the problems as examples, 20 % held out as probes and pairs; the same spec gives the same corpus.

    The wording “demo” adds retention probes of the bundled model's world. Raises NotFound for an unknown task, and
    InputError for a limit or a number of rows that the task cannot give.
    """
    if spec.task not in TASKS:
        raise NotFound("task", spec.task, tuple(TASKS))
    return TASKS[spec.task].make(spec)


__all__ = ["TASKS", "Defaults", "Task", "make_task"]
