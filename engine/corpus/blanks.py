"""Whether a blank stands between prompt and answer: as the corpus's own training texts have it."""

from collections.abc import Sequence

from engine.domain.continuation import continued
from engine.domain.corpus import Example, Pair, Probe

Line = Example | Probe | Pair


def with_blanks(lines: Sequence[Line]) -> list[Line]:
    """The lines; probes and pairs say it where the training texts of their type all go one way and writing another."""
    seen: dict[str, set[bool]] = {}
    for line in lines:
        if isinstance(line, Example) and line.prompt and not line.prompt[-1].isspace():
            follows = line.text[len(line.prompt) :]
            seen.setdefault(line.constraint_type, set()).add(follows[:1].isspace())
    return [_with_blank(line, seen.get(line.constraint_type, set())) for line in lines]


def _with_blank(line: Line, seen: set[bool]) -> Line:
    if isinstance(line, Example) or line.blank is not None or len(seen) != 1:
        return line
    prompt, (blank,) = line.text if isinstance(line, Probe) else line.clean, seen
    if prompt[-1:].isspace() or line.answer[:1].isspace():  # the blank is written out
        return line
    differs = continued(prompt, line.answer) != continued(prompt, line.answer, blank=blank)
    return line.model_copy(update={"blank": blank}) if differs else line
