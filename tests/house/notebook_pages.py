"""Makes docs/api.md and docs/notebook.ipynb: `python -m tests.house.notebook_pages` writes both."""

import ast
import inspect
import json
import os
import re
from pathlib import Path
from typing import Any

import pandas as pd

import engine

DOCS = Path(__file__).parents[2] / "docs"
API, NOTEBOOK = DOCS / "api.md", DOCS / "notebook.ipynb"

# (what a cell says, its code); the last expression of a cell is shown.
CELLS = (
    (
        "# What did fine-tuning change?\n\nTwo runs of the bundled demo learned the same ten words in two ways. This "
        "notebook asks what differs inside them. It reads what comes with Tracelapse, so it needs no training.",
        "import engine\n\nws = engine.open()\nws.runs[[\"run\", \"method\", \"checkpoints\"]]",
    ),
    (
        "Both do equally well on paraphrases at the end. They differ on what follows from a word's meaning.",
        'import pandas as pd\n\nruns = ("demo-lora", "demo-tokens")\n'
        'curves = pd.concat({run: ws.curves(run) for run in runs}, names=["run"])\n'
        'last = curves[curves["step"] == 300]\n'
        'last.groupby(["run", "probe_kind"])["accuracy"].mean().round(2).unstack()',
    ),
    (
        "One prompt whose answer was never stated. “blarf” was taught to mean “happy”; what does a blarf cat do?",
        'found = ws.compare("demo-lora@100%", "demo-tokens@100%", "the cat feels blarf and")\nprint(found.summary)',
    ),
    (
        "Where the logit of the answer comes from in each: layer by layer, word by word. In a notebook, `found` alone "
        "draws the Map; `found.show(\"graphs\")` draws the attribution graphs, and "
        "`found.show().save(\"map.html\")` keeps a page.",
        'found.places[["layer", "word", "A", "B", "change"]].head(5).round(2)',
    ),
    (
        "The nodes of the graphs that matter most for the change, and the edges, are data frames.",
        'found.nodes[["node", "part in A", "part in B", "status"]].head(5).round(2)',
    ),
)  # fmt: skip


def api_page() -> str:
    """What `engine` offers, from its docstrings."""
    lines = ["# From a notebook or a script", "", _paragraphs(engine.Workspace.__module__), ""]
    lines += [f"## `engine.open{_signature(engine.open)}`", "", _doc(engine.open), ""]
    for name in ("Workspace", "Difference", "WhereActed", "WhenLearned", "HtmlPage"):
        kind = getattr(engine, name)
        lines += [f"## `{name}`", "", _doc(kind), ""]
        for attribute, value in vars(kind).items():
            if not attribute.startswith("_"):
                lines += [f"**`{attribute}{_arguments(value)}`**: {_doc(_function(value))}", ""]
    return "\n".join(lines).rstrip() + "\n"


def notebook() -> str:
    """As JSON, with what each cell shows when it is run now."""
    room: dict[str, Any] = {}
    cells: list[dict[str, Any]] = []
    for number, (text, code) in enumerate(CELLS, start=1):
        cells.append({"cell_type": "markdown", "id": f"text-{number}", "metadata": {}, "source": _lines(text)})
        cells.append(
            {
                "cell_type": "code", "id": f"code-{number}", "execution_count": number, "metadata": {},
                "source": _lines(code), "outputs": [_shown(code, number, room)],
            }
        )  # fmt: skip
    about = {"kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"}}
    return json.dumps({"cells": cells, "metadata": about, "nbformat": 4, "nbformat_minor": 5}, indent=1) + "\n"


def _shown(code: str, number: int, room: dict[str, Any]) -> dict[str, Any]:
    """What a notebook shows below the cell."""
    *body, last = ast.parse(code).body
    exec(compile(ast.Module(body, []), "cell", "exec"), room)  # noqa: S102 - our own cells, above
    assert isinstance(last, ast.Expr)
    if isinstance(last.value, ast.Call) and ast.unparse(last.value.func) == "print":
        text = str(eval(ast.unparse(last.value.args[0]), room))  # noqa: S307 - likewise
        return {"output_type": "stream", "name": "stdout", "text": _lines(text + "\n")}
    value = eval(ast.unparse(last), room)  # noqa: S307 - likewise
    assert isinstance(value, pd.DataFrame)
    with pd.option_context("display.width", 120, "display.max_columns", 20, "display.max_colwidth", 60):
        data = {"text/plain": _lines(value.to_string())}
    return {"output_type": "execute_result", "execution_count": number, "metadata": {}, "data": data}


def _lines(text: str) -> list[str]:
    return text.splitlines(keepends=True)


def _function(value: Any) -> Any:
    return getattr(value, "func", None) or getattr(value, "fget", None) or value


def _arguments(value: Any) -> str:
    return _signature(value) if inspect.isfunction(value) else ""


def _signature(function: Any) -> str:
    text = re.sub(r"\(self(, )?", "(", re.sub(r": '([^']*)'", r": \1", str(inspect.signature(function))))
    return re.sub(r"(pathlib\.|engine\.\w+\.|collections\.abc\.|typing\.|pandas\.)", "", text).partition(" -> ")[0]


def _doc(thing: Any) -> str:
    return " ".join((inspect.getdoc(thing) or "").split())


def _paragraphs(module: str) -> str:
    text = inspect.cleandoc(__import__(module, fromlist=["x"]).__doc__ or "")
    return "\n\n".join(" ".join(part.split()) for part in text.split("\n\n"))


if __name__ == "__main__":
    os.environ.pop("TRACELAPSE_HOME", None)
    API.write_text(api_page(), encoding="utf-8")
    NOTEBOOK.write_text(notebook(), encoding="utf-8")
