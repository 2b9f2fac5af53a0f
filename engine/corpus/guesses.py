"""Which columns of a file most likely are which fields: by their names, and by what stands in them."""

import re
from collections.abc import Iterator

from engine.corpus.columns import JOINABLE, Columns, as_kind, as_type, is_type
from engine.corpus.format import FIELDS, FORMS
from engine.corpus.tables import Table
from engine.domain.corpus import PROBE_KINDS

_OF_PROBES = ("kind", "foils", "known_text")  # no other row has them
_KIND_NAMES = ("kind", "probe_kind", "probe_type")
_TASKS = {"paraphrase", "inference"}  # of instruction data, too
_ASKED = ("prompt", "question", "probe", "query", "instruction", "input")  # of a probe: rather than what it is about


def guessed(table: Table) -> tuple[str, Columns]:
    """The form that a file's columns most likely have, and which are which; those of no likely name are left out.

    A column of probe kinds or of wrong answers makes probes of the rows, whatever the others are named. Of a form that
    is certain, needed fields may be missing; `text` with nothing where none is likely.
    """
    form = _form(table)
    columns = guessed_columns(table, form)
    is_same = form == "probe" and "kind" not in columns
    return form, Columns(columns, {"kind": next(iter(PROBE_KINDS))} if is_same else {})


def guessed_columns(table: Table, form: str) -> dict[str, tuple[str, ...]]:
    """By field of the form, the column whose name is the field's, or usual for it. No column twice."""
    left = {_plain(column): column for column in table.columns if table.columns.count(column) == 1}
    found: dict[str, tuple[str, ...]] = {}
    wanted = (*FORMS[form].needs, *FORMS[form].takes)
    if "kind" in wanted and (kind := _kind_column(table)):
        found["kind"] = (kind,)
        left.pop(_plain(kind))
    for usual in (False, True):
        for one in (one for one in wanted if one not in found and one != "kind"):
            names = _usual(one, form) if usual else (one,)
            if name := next((name for name in names if name in left and _may_be(table, one, left[name])), None):
                found[one] = (left.pop(name),)
    for one in JOINABLE:
        if [_plain(name) for name in found.get(one, ())] == ["instruction"] and "input" in left:  # as Alpaca has it
            found[one] += (left.pop("input"),)
    if form in ("text", "probe") and len(found.keys() & {"constraint", "meaning"}) == 1:  # each needs the other
        found = {one: columns for one, columns in found.items() if one not in ("constraint", "meaning")}
    return {one: found[one] for one in wanted if one in found}


def _form(table: Table) -> str:
    found = {form: guessed_columns(table, form) for form in FORMS}
    whole = {form for form, columns in found.items() if set(FORMS[form].needs) - {"kind"} <= columns.keys()}
    names = {_plain(column) for column in table.columns}
    if "messages" in whole:
        return "messages"
    if "pair" in whole or ("corrupted" in found["pair"] and "corrupt" in _plain(found["pair"]["corrupted"][0])):
        return "pair"
    if found["probe"].keys() & set(_OF_PROBES):
        return "probe"
    if "completion" in whole:
        return "completion"
    return "probe" if names >= {"text", "answer"} else "text"


def _plain(column: str) -> str:
    """`Probe Kind` → probe_kind"""
    return re.sub(r"[\s_-]+", "_", column.strip().lower())


def _usual(field: str, form: str) -> tuple[str, ...]:
    return (*_ASKED, *FIELDS[field].usual) if (field, form) == ("text", "probe") else FIELDS[field].usual


def _kind_column(table: Table) -> str | None:
    """The one named so that holds a kind; else the first that holds nothing else, and no task that is so called."""
    named = [column for column in table.columns if _plain(column) in _KIND_NAMES]
    for column in named:
        if any(as_kind(value) in PROBE_KINDS for value in _texts(table, column)):
            return column
    for column in table.columns:
        kinds = {as_kind(value) for value in _texts(table, column)}
        is_task = len(kinds) == 1 and kinds <= _TASKS and not any(word in _plain(column) for word in ("type", "probe"))
        if kinds and kinds <= PROBE_KINDS.keys() and not is_task:
            return column
    return None


def _may_be(table: Table, field: str, column: str) -> bool:
    """Whether what stands in a column can be what it is named for. Types are short."""
    if field != "constraint_type":
        return True
    return all(is_type(as_type(value)) for value in set(_texts(table, column)))


def _texts(table: Table, column: str) -> Iterator[str]:
    return (value for _, cells in table.rows if isinstance(value := cells.get(column), str) and value.strip())
