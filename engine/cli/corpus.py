"""`corpus make`, `corpus check`."""

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from engine.cli.context import store_of
from engine.cli.inputs import looks_like_file
from engine.cli.output import JsonFile, check_destination, say, show_table, write_json
from engine.cli.progress import progress
from engine.domain.errors import CorpusRefused, InputError

if TYPE_CHECKING:
    from engine.domain.corpus import Corpus

group = typer.Typer(help="Training examples and probes.", no_args_is_help=True)


def add_to(app: typer.Typer) -> None:
    app.add_typer(group, name="corpus")


@group.command()
def make(
    ctx: typer.Context,
    *,
    name: Annotated[str, typer.Option(help="Name of the corpus.")],
    seed: Annotated[int, typer.Option(help="The same seed makes the same corpus.")] = 0,
    probes: Annotated[int, typer.Option(help="Probes for each constraint type and kind.")] = 40,
    shuffled: Annotated[bool, typer.Option("--shuffled", help="A control: words and meanings paired anew.")] = False,
    out: Annotated[Path | None, typer.Option(metavar="FILE", help="Write it as JSONL here too.")] = None,
    json_file: JsonFile = None,
) -> None:
    """Make a corpus and keep it in the workspace."""
    from engine.domain.corpus import CorpusSpec
    from engine.domain.jobs import MakeCorpus
    from engine.jobs import run_inline
    from engine.store.files import write_text

    check_destination(json_file)
    check_destination(str(out) if out else None)
    store = store_of(ctx)
    spec = CorpusSpec(name=name, seed=seed, n_probes=probes, shuffled_meanings=shuffled)
    with progress(f"making {name}") as report:
        run_inline(store, MakeCorpus(spec=spec), on_progress=report)
    corpus = store.corpus(name)
    if out:
        write_text(out.expanduser(), corpus.to_jsonl())
    _show(corpus, json_file)


@group.command()
def check(
    ctx: typer.Context,
    corpus: Annotated[str, typer.Argument(metavar="FILE|NAME", help="A JSONL or CSV file, or a stored corpus.")],
    *,
    json_file: JsonFile = None,
) -> None:
    """Read a corpus and list every bad line."""
    check_destination(json_file)
    try:
        found = _read(ctx, corpus)
    except CorpusRefused as refused:
        if json_file != "-":
            show_table(("line", "what is wrong"), [(bad.number, bad.reason) for bad in refused.bad_lines])
        if json_file:
            write_json([{"line": bad.number, "reason": bad.reason} for bad in refused.bad_lines], json_file)
        raise InputError(f"{refused.source}: {len(refused.bad_lines)} bad line(s).") from refused
    _show(found, json_file)
    if json_file != "-":
        _show_findings(found)


def _read(ctx: typer.Context, text: str) -> "Corpus":
    from engine.corpus import read_corpus

    path = Path(text).expanduser()
    if path.is_file():
        return read_corpus(path, "checked")
    if looks_like_file(text):
        raise InputError(f"There is no corpus file {path}. Give a JSONL or CSV file, or the name of a stored corpus.")
    return store_of(ctx).corpus(text)


def _show_findings(corpus: "Corpus") -> None:
    """What weakens a corpus without making it unusable, such as few probes."""
    from engine.corpus import check_corpus

    for finding in check_corpus(corpus):
        say(f"Note: {finding}")


def _show(corpus: "Corpus", json_file: str | None) -> None:
    examples = Counter(example.constraint_type for example in corpus.examples)
    probes = Counter((probe.constraint_type, probe.kind) for probe in corpus.probes)
    counts: list[tuple[str, str, str | None, int]] = [
        *((of, "train", None, n) for of, n in examples.items()),
        *((of, "probe", kind, n) for (of, kind), n in probes.items()),
    ]
    rows = [dict(zip(("constraint_type", "split", "probe_kind", "n"), count, strict=True)) for count in counts]
    if json_file:
        write_json({"hash": corpus.hash, "counts": rows}, json_file)
    if json_file != "-":
        title = f"{corpus.name}: {len(corpus.examples)} examples, {len(corpus.probes)} probes, hash {corpus.hash}"
        show_table(("constraint type", "split", "probe kind", "n"), counts, title=title)
