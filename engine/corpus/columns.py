"""Which columns of a file are which fields, where it has other names: said by a person, written, applied."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from pydantic import TypeAdapter, ValidationError

from engine.corpus.csv_rows import typed_fields
from engine.corpus.format import FIELDS, FORMS
from engine.corpus.rows import Row
from engine.corpus.tables import Table
from engine.domain.corpus import PROBE_KINDS, Slug
from engine.domain.errors import BadLine, InputError
from engine.domain.words import listed

_JOINED = "\n"  # between several columns that are one text
_MEANING = ',+="'  # signs that are not of a name where it is written without quotes
JOINABLE = ("prompt", "text", "completion")
_TYPE = TypeAdapter(Slug)
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
        same = {name: _value(name, said) for name, said in self.values.items()}
        rows, bad = [], []
        for number, cells in table.rows:
            fields = {name: _cell(name, columns, cells) for name, columns in self.of.items()}
            fields = same | {name: value for name, value in fields.items() if value not in (None, "")}
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
            if len(columns) > 1 and name not in JOINABLE:
                raise InputError(f"“{name}” is one column; several are joined only of {', '.join(JOINABLE)}.")
            for column in columns:
                _refuse_unknown(column, table)
        if not self._forms():
            forms = "; ".join(f"{', '.join(form.needs)} ({form.title.lower()})" for form in FORMS.values())
            raise InputError(f"These columns make no row. Name those of one kind: {forms}.")
        problems = [half_problem({*self.of, *self.values}), *(value_problem(*same) for same in self.values.items())]
        if said := next(filter(None, problems), ""):
            raise InputError(said)


def _refuse_unknown(column: str, table: Table) -> None:
    """Raises InputError for a column that is not there, or of which nobody knows which is meant."""
    n = table.columns.count(column)
    if not n:
        there = ", ".join(map(_written, table.columns))[:300]
        raise InputError(f"The file has no column “{column[:40]}”. Its columns are {there}.")
    if n > 1:
        raise InputError(f"The file has “{column[:40]}” more than once. Give each of these columns a name of its own.")


def value_problem(name: str, said: str) -> str:
    """Why a field cannot be this in every row; empty where it can."""
    if name == "kind" and as_kind(said) not in PROBE_KINDS:
        return f"“{said[:80]}” is not a probe kind. Use {', '.join(PROBE_KINDS)}."
    if name == "constraint_type" and not is_type(as_type(said)):
        return f"“{said[:80]}” is no constraint type. Use words of a–z and digits, at most 40 characters."
    return ""


def half_problem(fields: Collection[str]) -> str:
    """Why these fields make no rows of words: each of a word and its meaning needs the other. Else empty."""
    there = [name for name in ("constraint", "meaning") if name in fields]
    if len(there) != 1 or not {"completion", "messages"}.isdisjoint(fields):
        return ""
    return "A word is taught with its meaning. Give the columns of both, constraint and meaning, or of neither."


def columns_of(text: str, values: str = "") -> Columns:
    """From `prompt=instruction+input,completion=output` and `kind=recall`; a name with a sign that means something
    stands in double quotes, as in CSV: `text="question, asked"`. Raises InputError."""
    columns = {name: tuple(_unquoted(column) for column in _divided(said, "+")) for name, said in _assigned(text)}
    return Columns(columns, {name: _unquoted(said) for name, said in _assigned(values)})


def columns_text(columns: Columns) -> str:
    """What `columns_of` reads as the same columns."""
    return ",".join(f"{name}={'+'.join(map(_written, said))}" for name, said in columns.of.items())


def values_text(columns: Columns) -> str:
    """What `columns_of` reads as the same values."""
    return ",".join(f"{name}={_written(said)}" for name, said in columns.values.items())


def _cell(name: str, columns: Sequence[str], cells: Mapping[str, Any]) -> Any:
    if len(columns) > 1:
        parts = [_as_text(cells.get(column)) for column in columns]
        return _JOINED.join(part for part in parts if isinstance(part, str) and part.strip())
    value = _value(name, _as_text(cells.get(columns[0])))
    return _messages(value) if name == "messages" else value


def _value(name: str, value: Any) -> Any:
    """As the format writes it."""
    if name == "constraint_type" and isinstance(value, str):
        return as_type(value)
    return as_kind(value) if name == "kind" and isinstance(value, str) else value


def as_kind(value: str) -> str:
    """`Recall` → recall; what is no kind as it is."""
    return kind if (kind := value.strip().lower()) in PROBE_KINDS else value


def as_type(value: str) -> str:
    """`General QA` → general_qa, `3` → type_3"""
    slug = "_".join("".join(sign if sign.isalnum() else " " for sign in value.lower()).split())
    return f"type_{slug}" if slug[:1].isdigit() else slug


def is_type(slug: str) -> bool:
    """Whether a constraint type may be called so."""
    try:
        _TYPE.validate_python(slug)
    except ValidationError:
        return False
    return True


def _as_text(value: Any) -> Any:
    return str(value) if type(value) is int else value


def _messages(value: Any) -> Any:
    """Turns of `from` and `value`, as ShareGPT has them, as those of `role` and `content`."""
    if isinstance(value, list) and all(isinstance(turn, dict) and turn.keys() == {"from", "value"} for turn in value):
        return [{"role": _ROLES.get(turn["from"], turn["from"]), "content": turn["value"]} for turn in value]
    return value


def _assigned(text: str) -> list[tuple[str, str]]:
    pairs = [part.partition("=") for part in _divided(text, ",") if part.strip()]
    if text.count('"') % 2 or any(not sign or not name.strip() or not said.strip() for name, sign, said in pairs):
        raise InputError(
            f"“{text[:80]}” does not say what is what. Write field=column, with commas between; a column’s name that "
            'holds a comma, a plus sign or a quote stands in double quotes: field="a, b".'
        )
    return [(name.strip(), said.strip()) for name, _, said in pairs]


def _divided(text: str, sign: str) -> list[str]:
    """Where the sign stands outside of double quotes."""
    parts, is_quoted = [""], False
    for one in text:
        is_quoted ^= one == '"'  # a doubled one ends the quotes and begins them again
        if one == sign and not is_quoted:
            parts.append("")
        else:
            parts[-1] += one
    return parts


def _written(name: str) -> str:
    if name == name.strip() and name and not set(name) & set(_MEANING):
        return name
    return '"' + name.replace('"', '""') + '"'


def _unquoted(said: str) -> str:
    said = said.strip()
    return said[1:-1].replace('""', '"') if len(said) > 1 and said[0] == said[-1] == '"' else said


def _quoted(columns: Sequence[str]) -> str:
    return listed([f"“{column[:40]}”" for column in columns])
