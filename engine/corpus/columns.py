"""Which columns of a file are which fields, where it has other names: guessed, said by a person, applied."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from engine.corpus.csv_rows import typed_fields
from engine.corpus.format import FIELDS, FORMS
from engine.corpus.rows import Row
from engine.corpus.tables import Table
from engine.domain.errors import BadLine, InputError
from engine.domain.words import listed

_JOINED = "\n"  # between several columns that are one text
_JOINABLE = ("prompt", "text", "completion")
_ROLES = {"human": "user", "gpt": "assistant", "bot": "assistant", "model": "assistant"}  # of ShareGPT's chats


@dataclass(frozen=True)
class Columns:
    """What a file's columns are. Those that are not named are left out."""

    of: Mapping[str, tuple[str, ...]]  # field → column; several are joined by ends of lines
    values: Mapping[str, str] = field(default_factory=dict)  # field → the same for every row

    def left_out(self, table: Table) -> tuple[str, ...]:
        """The columns that nothing is taken from."""
        used = {column for columns in self.of.values() for column in columns}
        return tuple(column for column in table.columns if column not in used)

    def applied(self, table: Table) -> tuple[list[Row], list[BadLine]]:
        """The table's rows with the format's fields, and those without what they need. Raises InputError for fields
        and columns that there are not."""
        self._check(table)
        needed = [name for name in self.of if any(name in form.needs for form in self._forms())]
        rows, bad = [], []
        for number, cells in table.rows:
            fields = {name: _cell(name, columns, cells) for name, columns in self.of.items()}
            fields = {**self.values} | {name: value for name, value in fields.items() if value not in (None, "")}
            if missing := [name for name in needed if name not in fields]:
                bad.append(BadLine(number, f"has nothing in {listed([_quoted(self.of[name]) for name in missing])}"))
            else:
                rows.append((number, typed_fields(fields)))
        return rows, bad

    def _forms(self) -> list[Any]:
        there = {*self.of, *self.values}
        return [form for form in FORMS.values() if there.issuperset(form.needs)]

    def _check(self, table: Table) -> None:
        for name in (*self.of, *self.values):
            if name not in FIELDS:
                raise InputError(f"“{name[:40]}” is not a field of a corpus. The fields are {', '.join(FIELDS)}.")
        for name, columns in self.of.items():
            if name in self.values:
                raise InputError(f"“{name}” is given both as a column and as a value. Give one of them.")
            if len(columns) > 1 and name not in _JOINABLE:
                raise InputError(f"“{name}” is one column; several are joined only of {', '.join(_JOINABLE)}.")
            for column in columns:
                if column not in table.columns:
                    raise InputError(
                        f"The file has no column “{column[:40]}”. Its columns are {', '.join(table.columns)[:300]}."
                    )
        if not self._forms():
            forms = "; ".join(f"{', '.join(form.needs)} ({form.title.lower()})" for form in FORMS.values())
            raise InputError(f"These columns make no row. Name those of one kind: {forms}.")


def columns_of(text: str, values: str = "") -> Columns:
    """From `prompt=instruction+input,completion=output` and `kind=recall`. Raises InputError."""
    return Columns({name: tuple(said.split("+")) for name, said in _assigned(text)}, dict(_assigned(values)))


def columns_text(columns: Columns) -> str:
    """The same as it is written: `prompt=instruction+input,completion=output`."""
    return ",".join(f"{name}={'+'.join(said)}" for name, said in columns.of.items())


def guessed(table: Table) -> tuple[str, Columns]:
    """The form that a file's columns most likely have, and which are which; those of no likely name are left out.

    The first form of which every needed field is found by a usual name; `text` with nothing where none is.
    """
    for name, form in FORMS.items():
        found = guessed_columns(table.columns, name)
        if all(needed in found for needed in form.needs if needed != "kind"):
            return name, Columns(found)
    return "text", Columns({})


def guessed_columns(columns: Sequence[str], form: str) -> dict[str, tuple[str, ...]]:
    """By field of the form, the column whose name is the field's, or usual for it. No column twice."""
    left = {column.strip().lower(): column for column in columns}
    found: dict[str, tuple[str, ...]] = {}
    wanted = (*FORMS[form].needs, *FORMS[form].takes)
    for names in (_own, _usual):
        for one in (one for one in wanted if one not in found):
            if (column := next((name for name in names(one) if name in left), None)) is not None:
                found[one] = (left.pop(column),)
    for one in _JOINABLE:
        if [name.lower() for name in found.get(one, ())] == ["instruction"] and "input" in left:  # as Alpaca has it
            found[one] += (left.pop("input"),)
    return {one: found[one] for one in wanted if one in found}


def _own(name: str) -> Iterable[str]:
    return (name, name.replace("_", " "))


def _usual(name: str) -> Iterable[str]:
    return FIELDS[name].usual


def _cell(name: str, columns: Sequence[str], cells: Mapping[str, Any]) -> Any:
    if len(columns) > 1:
        parts = [_as_text(cells.get(column)) for column in columns]
        return _JOINED.join(part for part in parts if isinstance(part, str) and part.strip())
    value = _as_text(cells.get(columns[0]))
    if name == "constraint_type" and isinstance(value, str):
        return _as_type(value)
    return _messages(value) if name == "messages" else value


def _as_type(value: str) -> str:
    """`General QA` → general_qa, `3` → type_3"""
    slug = "_".join("".join(sign if sign.isalnum() else " " for sign in value.lower()).split())
    return f"type_{slug}" if slug[:1].isdigit() else slug


def _as_text(value: Any) -> Any:
    return str(value) if type(value) is int else value


def _messages(value: Any) -> Any:
    """Turns of `from` and `value`, as ShareGPT has them, as those of `role` and `content`."""
    if isinstance(value, list) and all(isinstance(turn, dict) and turn.keys() == {"from", "value"} for turn in value):
        return [{"role": _ROLES.get(turn["from"], turn["from"]), "content": turn["value"]} for turn in value]
    return value


def _assigned(text: str) -> list[tuple[str, str]]:
    pairs = [part.partition("=") for part in text.split(",") if part.strip()]
    for name, sign, said in pairs:
        if not sign or not name.strip() or not said.strip():
            raise InputError(f"“{text[:80]}” does not say what is what. Write field=column, with commas between.")
    return [(name.strip(), said.strip()) for name, _, said in pairs]


def _quoted(columns: Sequence[str]) -> str:
    return listed([f"“{column[:40]}”" for column in columns])
