"""Two corpora as one: what lies in several files, such as texts to train on, probes and pairs."""

import re
from collections.abc import Sequence
from typing import Final

from engine.corpus.blanks import with_blanks
from engine.corpus.checks import line_problems
from engine.domain.corpus import Corpus, Example, Pair, Probe
from engine.domain.errors import InputError
from engine.domain.numbers import plural

_MOST_TOLD: Final = 3
_MOST_ID: Final = 80  # characters

Line = Example | Probe | Pair


def joined(first: Corpus, second: Corpus, name: str) -> Corpus:
    """The lines of both, under a name of its own; neither is changed. What the second has of the first's is there once,
    and an id that is taken gets a number.

    Raises InputError where they are no corpus together, as where a probe of one stands in a training text of the other.
    """
    known: list[Line] = [*first.examples, *first.probes, *first.pairs]
    there, taken = {_said(line) for line in known}, {line.id for line in known}
    added: list[Line] = []
    others: list[Line] = [*second.examples, *second.probes, *second.pairs]
    for line in others:
        if _said(line) not in there:
            added.append(line.model_copy(update={"id": _free(line.id, taken)}))
            taken.add(added[-1].id)
    lines = with_blanks([*known, *added])
    if bad := line_problems(list(enumerate(lines, start=1))):
        told = "; ".join(f"{lines[one.number - 1].id}: {_by_id(one.reason, lines)}" for one in bad[:_MOST_TOLD])
        more = f"; and {len(bad) - _MOST_TOLD} more" if len(bad) > _MOST_TOLD else ""
        raise InputError(
            f"These are no corpus together: {plural(len(bad), 'problem')}. {told}{more}. Mend the file, or import it "
            "on its own."
        )
    return Corpus.of(name, lines)


def _said(line: Line) -> str:
    """All of it but its id, and what the other's training texts may have told of it."""
    unsaid = {"id": ""} if isinstance(line, Example) else {"id": "", "blank": None}
    return line.model_copy(update=unsaid).model_dump_json()


def _free(wanted: str, taken: set[str]) -> str:
    number, found = 2, wanted
    while found in taken:
        end = f"-{number}"
        found, number = wanted[: _MOST_ID - len(end)] + end, number + 1
    return found


def _by_id(reason: str, lines: Sequence[Line]) -> str:
    """`in line 3` as the id of the line, which is of neither file."""
    return re.sub(r"in line (\d+)$", lambda found: f"in {lines[int(found[1]) - 1].id}", reason)
