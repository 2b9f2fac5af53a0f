"""Which columns of a person's file are which, where it has other names than a corpus: guessed, then chosen."""

import streamlit as st

from engine.corpus import Columns, Table
from engine.corpus.columns import half_problem, value_problem
from engine.corpus.format import FIELDS, FORMS
from engine.corpus.guesses import guessed, guessed_columns
from engine.corpus.plain import PLAIN_TYPE
from engine.domain.corpus import PROBE_KINDS
from engine.domain.words import listed
from pages._ui.text import plain

FIRST_ROWS = 5  # that are shown
_JOINED = ("prompt", "text")  # several columns make one of them
_NAMES = {
    "prompt": "Prompt", "completion": "Completion", "text": "Text", "messages": "Messages", "answer": "Right answer",
    "foils": "Foils", "clean": "Clean prompt", "corrupted": "Corrupted prompt", "corrupted_answer": "Its right answer",
    "constraint": "Word", "meaning": "Meaning", "constraint_type": "Constraint type", "kind": "Probe kind",
    "known_text": "Prompt with a known word",
}  # fmt: skip
_SET = {"kind": next(iter(PROBE_KINDS)), "constraint_type": PLAIN_TYPE}  # may be the same for every row
_NOT_ASKED = ("template", "blank")


def columns_form(table: Table, name: str, file: str) -> Columns | None:
    """`name`: of the file; `file`: whose widgets these are. None as long as something that is needed is not chosen."""
    st.markdown(f"**Which column is which?** {plain(name)} has other names than a corpus. How it begins:")
    st.dataframe(
        [{column: _cell(fields.get(column)) for column in table.columns} for _, fields in table.rows[:FIRST_ROWS]],
        hide_index=True, height="content",
    )  # fmt: skip
    likely, _ = guessed(table)
    form = st.segmented_control(
        "Its rows are", list(FORMS), default=likely, required=True, key=f"form {file}",
        format_func=lambda name: FORMS[name].title,
    )  # fmt: skip
    columns = _choices(table, form, file)
    missing = [name for name in FORMS[form].needs if name not in {*columns.of, *columns.values}]
    if missing:
        st.info(
            f"Choose the column for {listed([_title(name, form).lower() for name in missing])}.",
            icon=":material/arrow_upward:",
        )
        return None
    if half_problem({*columns.of, *columns.values}):
        there, other = ("meaning", "constraint") if "meaning" in columns.of else ("constraint", "meaning")
        st.info(
            f"{_NAMES[there]} needs {_NAMES[other]}: choose the column for it, too, or none for either.",
            icon=":material/arrow_upward:",
        )
        return None
    if any(value_problem(name, said) for name, said in columns.values.items()):  # told at its field
        return None
    if left := columns.left_out(table):
        st.caption(f"Left out: {plain(listed(left))}.")
    return columns


def _choices(table: Table, form: str, file: str) -> Columns:
    guess = guessed_columns(table, form)
    fields = [name for name in (*FORMS[form].needs, *FORMS[form].takes) if name not in _NOT_ASKED]
    of: dict[str, tuple[str, ...]] = {}
    values: dict[str, str] = {}
    places = st.columns(3)
    for number, name in enumerate(fields):
        with places[number % 3]:
            chosen = _choice(table, name, _title(name, form), guess.get(name, ()), f"{name} of {form} in {file}")
            if chosen:
                of[name] = chosen
            elif name in _SET:
                values |= _same(name, f"{name} of all, {form} in {file}")
    return Columns(of, values)


def _title(name: str, form: str) -> str:
    return "Prompt" if (name, form) == ("text", "probe") else _NAMES[name]


def _choice(table: Table, name: str, title: str, guess: tuple[str, ...], key: str) -> tuple[str, ...]:
    help_text = FIELDS[name].help[:1].upper() + FIELDS[name].help[1:] + "."
    if name in _JOINED:
        return tuple(
            st.multiselect(
                title, table.columns, default=guess, key=key, placeholder="Choose a column",
                help=f"{help_text} Several columns are joined by ends of lines.",
            )
        )  # fmt: skip
    index = table.columns.index(guess[0]) if guess else None
    column = st.selectbox(
        title, table.columns, index=index, key=key, help=help_text,
        placeholder="The same for all" if name in _SET else "None",
    )  # fmt: skip
    return (column,) if column is not None else ()


def _same(name: str, key: str) -> dict[str, str]:
    """What every row gets where no column says it."""
    label = f"{_NAMES[name]} of all rows"
    if name == "kind":
        return {name: st.selectbox(label, list(PROBE_KINDS), key=key, format_func=lambda kind: PROBE_KINDS[kind].title)}
    value = st.text_input(label, value=_SET[name], key=key).strip()
    if value and (reason := value_problem(name, value)):
        st.error(plain(reason))
    return {name: value} if value else {}


def _cell(value: object) -> str:
    return "" if value is None else str(value)[:500]
