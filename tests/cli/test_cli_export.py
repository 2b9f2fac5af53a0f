"""`export pair` and `export report` on the bundled demo."""

import io
import json
import struct
from pathlib import Path
from xml.etree import ElementTree as ET

import networkx as nx
import pandas as pd
import pytest

from engine.domain.errors import InputError
from engine.export.pair_formats import PAIR_FORMATS
from engine.store import Store
from engine.workflows import doubts
from engine.workspace import WhereActed
from tests.acted_means import but_rounding
from tests.cli.conftest import Cli

A, B, PROMPT = "demo-lora@100%", "demo-tokens@100%", "the cat feels blarf and"


@pytest.mark.parametrize("name", ["x.html", "x.svg", "x.png", "x.graphml", "x.json", "x.csv"])
def test_the_ending_decides_the_format(cli: Cli, tmp_path: Path, name: str) -> None:
    result = cli("export", "pair", A, B, PROMPT, "--out", tmp_path / name)
    assert result.exit_code == 0, result.output
    assert name in result.stdout
    content = (tmp_path / name).read_bytes()
    if name == "x.png":
        assert struct.unpack(">II", content[16:24]) == (2560, 880)
        return
    text = content.decode("utf-8")
    match name:
        case "x.html":
            assert "Only B expects the right answer" in text
        case "x.svg":
            assert ET.fromstring(text).get("viewBox") == "0 0 1280 440"  # noqa: S314 - our own
        case "x.graphml":
            assert nx.read_graphml(io.BytesIO(content)).graph["checkpoint_a"] == A
        case "x.json":
            assert json.loads(text)["metadata"]["info"]["description"].startswith(f"Checkpoint {B}")
        case "x.csv":
            assert list(pd.read_csv(io.StringIO(text)).columns[:2]) == ["from", "to"]


def test_to_stdout_with_options(cli: Cli) -> None:
    nodes = cli("export", "pair", A, B, PROMPT, "--format", "nodes", "--out", "-", "--node-threshold", 0.3)
    more = cli("export", "pair", A, B, PROMPT, "--format", "nodes", "--out", "-")
    assert 0 < len(pd.read_csv(io.StringIO(nodes.stdout))) < len(pd.read_csv(io.StringIO(more.stdout)))
    side = cli("export", "pair", A, B, PROMPT, "--format", "json", "--show", "a", "--out", "-")
    assert A in json.loads(side.stdout)["metadata"]["info"]["description"]
    dark = cli("export", "pair", A, B, PROMPT, "--format", "svg", "--show", "overlay", "--theme", "dark", "--out", "-")
    assert "#0e1117" in dark.stdout


def test_what_is_not_traced_says_how_to_trace_it(cli: Cli, tmp_path: Path) -> None:
    result = cli("export", "pair", A, B, "the [red]fox[/red]", "--out", tmp_path / "x.svg")
    assert result.exit_code == 2
    assert "have not been traced on “the [red]fox[/red]”" in result.stderr
    assert "python -m engine compare" in result.stderr
    assert not list(tmp_path.glob("x*"))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--out", "x.docx"), "Give --format"),
        (("--out", "-"), "Give --format"),
        (("--format", "png", "--out", "-"), "Give a file"),
        (("--format", "json", "--show", "pair", "--out", "-"), "takes --show a, b"),
        (("--format", "csv", "--show", "a", "--out", "-"), "always holds both sides"),
        (("--format", "svg", "--out", "no-such-folder/x.svg"), "cannot be written"),
    ],
)
def test_what_cannot_be_is_refused(cli: Cli, arguments: tuple[str, ...], message: str) -> None:
    result = cli("export", "pair", A, B, PROMPT, *arguments)
    assert result.exit_code == 2
    assert message in result.stderr


def test_the_command_line_offers_what_the_menu_offers(cli: Cli) -> None:
    names = [each.name for each in PAIR_FORMATS]
    assert len(set(names)) == len(names)
    answer = cli("export", "pair", A, B, PROMPT, "--format", "docx", "--out", "-")
    assert answer.exit_code == 2
    assert f"Choose one of {', '.join(names)}." in answer.stderr
    for each in PAIR_FORMATS:
        assert all(entry.side in ("", *each.sides) for entry in each.menu), each.name


def test_the_report(cli: Cli, tmp_path: Path) -> None:
    assert cli("export", "report", "demo-tokens", "--out", tmp_path / "r.html").exit_code == 0
    assert "What it was taught" in (tmp_path / "r.html").read_text(encoding="utf-8")
    unknown = cli("export", "report", "nobody", "--out", tmp_path / "n.html")
    assert unknown.exit_code == 2
    assert "nobody" in unknown.stderr


def test_the_map_of_a_stored_comparison(cli: Cli, tmp_path: Path) -> None:
    assert cli("export", "map", A, B, PROMPT, "--out", tmp_path / "map.html").exit_code == 0
    assert "among the layers most came through layer 0 at “and”: +8.83" in (tmp_path / "map.html").read_text(
        encoding="utf-8"
    )
    places = pd.read_csv(io.StringIO(cli("export", "map", A, B, PROMPT, "--format", "csv", "--out", "-").stdout))
    assert list(places.columns) == ["layer", "word", "A", "B", "change"]
    dark = cli("export", "map", A, B, PROMPT, "--format", "svg", "--theme", "dark", "--out", "-")
    assert "#0e1117" in dark.stdout
    early = "demo-lora@step10"
    missing = cli("export", "map", A, early, PROMPT, "--picture", "acted", "--out", tmp_path / "x.svg")
    assert missing.exit_code == 2
    assert "Measure it first: python -m engine where" in missing.stderr


def test_checkpoints_that_answer_alike_have_no_map(demo_store: Store) -> None:
    """Nor in a notebook, which is given the sentence instead."""
    found = next(one for key in demo_store.acted_keys() if (one := demo_store.acted(key)) is not None)
    assert "<svg" in WhereActed(demo_store, found).show().html
    equal = WhereActed(demo_store, but_rounding(found))
    with pytest.raises(InputError, match=r"give the same answer to this prompt.*So there is no map"):
        equal.show()
    assert equal._repr_html_() is None
    assert "give the same answer" in repr(equal)


FEW = "The transcoders have read little."


@pytest.mark.parametrize(
    "words", [("compare", A, B, PROMPT), ("export", "pair", A, B, PROMPT), ("export", "map", A, B, PROMPT)]
)
def test_what_the_transcoders_have_not_read_is_told(cli: Cli, monkeypatch: pytest.MonkeyPatch, words) -> None:
    """As on the page, in what is said and in files."""
    out = () if words[0] == "compare" else ("--format", "svg", "--out", "-")
    assert FEW not in cli(*words, *out).stdout
    monkeypatch.setattr(doubts, "few_read", lambda meta: FEW)
    said = cli(*words, *out).stdout
    if out:  # a picture wraps what it says
        said = " ".join(text.text or "" for text in ET.fromstring(said).iter("{http://www.w3.org/2000/svg}text"))  # noqa: S314
    assert FEW in said
