"""`corpus make`, `corpus task`, `corpus tasks`, `corpus english`, `corpus import`, `corpus example`,
`corpus check`."""

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from engine.cli.context import store_of
from engine.cli.inputs import CORPUS_FILE, corpus_in, looks_like_file, save_corpus_file
from engine.cli.output import JsonFile, check_destination, say, show_table, write_json
from engine.cli.progress import progress
from engine.domain.errors import N_SHOWN, CorpusRefused, InputError
from engine.domain.numbers import count, plural
from engine.domain.paths import person_path
from engine.workflows.model_specs import model_spec

if TYPE_CHECKING:
    from engine.corpus import Columns
    from engine.domain.continuation import Tokens
    from engine.domain.corpus import Corpus, CorpusSpec, Example, Pair, Probe, TaskSpec

group = typer.Typer(help="Training examples, probes and pairs.", no_args_is_help=True)


def add_to(app: typer.Typer) -> None:
    app.add_typer(group, name="corpus")


@group.command()
def make(
    ctx: typer.Context,
    *,
    name: Annotated[str, typer.Option(help="Name of the corpus.")],
    seed: Annotated[int, typer.Option(help="The same seed gives the same corpus.")] = 0,
    probes: Annotated[int, typer.Option(help="Probes for each constraint type and probe kind.")] = 40,
    shuffled: Annotated[bool, typer.Option("--shuffled", help="A control: random meanings.")] = False,
    out: Annotated[Path | None, typer.Option(metavar="FILE", help="Also write it here, as CSV or JSONL.")] = None,
    json_file: JsonFile = None,
) -> None:
    """Create a corpus and save it in the workspace."""
    from engine.domain.corpus import CorpusSpec

    spec = CorpusSpec(name=name, seed=seed, n_probes=probes, shuffled_meanings=shuffled)
    _make(ctx, spec, out, json_file)


@group.command()
def task(
    ctx: typer.Context,
    task_name: Annotated[str, typer.Argument(metavar="TASK", help="A task; `corpus tasks` lists them.")],
    *,
    name: Annotated[str, typer.Option(help="Name of the corpus.")],
    limit: Annotated[int | None, typer.Option(help="Largest number. Default: the task's own.")] = None,
    rows: Annotated[int | None, typer.Option(help="Problems, 80% to train on. Default: the task's own.")] = None,
    wording: Annotated[str, typer.Option(help="demo: for the bundled model; model: the published sentences.")] = "demo",
    retention: Annotated[int, typer.Option(help="Retention probes for each constraint type (demo wording).")] = 40,
    seed: Annotated[int, typer.Option(help="The same seed gives the same corpus.")] = 0,
    model: Annotated[str, typer.Option(help="Leave out held-out problems that do not fit its tokenizer.")] = "",
    out: Annotated[Path | None, typer.Option(metavar="FILE", help="Also write it here, as CSV or JSONL.")] = None,
    json_file: JsonFile = None,
) -> None:
    """Create a task's corpus: problems to train on, held-out problems, and prompt pairs."""
    from engine.domain.corpus import TaskSpec

    values = {"name": name, "task": task_name, "wording": wording, "limit": limit, "n_rows": rows}
    spec = TaskSpec.model_validate({**values, "n_retention": retention, "seed": seed})
    _make(ctx, spec, out, json_file, model)


@group.command()
def tasks(*, json_file: JsonFile = None) -> None:
    """List the tasks, with the limit and the number of problems of each wording."""
    from engine.corpus import TASKS

    check_destination(json_file)
    rows = []
    for one in TASKS.values():
        sizes = [one.defaults.get(wording) for wording in ("demo", "model")]
        said = [f"up to {size.limit}, {size.n_rows} problems" if size else "" for size in sizes]
        rows.append((one.name, one.description, *said))
    columns = ("task", "description", "demo", "model")
    if json_file:
        write_json([dict(zip(columns, row, strict=True)) for row in rows], json_file)
    if json_file != "-":
        show_table(columns, rows)


@group.command()
def english(
    ctx: typer.Context,
    *,
    name: Annotated[str, typer.Option(help="Name of the corpus.")],
    model: Annotated[str, typer.Option(metavar="MODEL", help="A real language model, given as for `train`.")],
    out: Annotated[Path | None, typer.Option(metavar="FILE", help="Also write it here, as CSV or JSONL.")] = None,
    json_file: JsonFile = None,
) -> None:
    """Save a corpus in plain English, with the probes that a model answers with known words and not with new ones.

    `--json` gives the measured floor and ceiling of each probe.
    """
    from engine.corpus.english import candidates
    from engine.workflows.corpora import probes_that_count
    from engine.workflows.loading import base_model

    check_destination(json_file)
    check_destination(str(out) if out else None)
    store = store_of(ctx)
    asked = candidates(name)
    with progress("measuring floor and ceiling of each probe"):
        corpus, gaps = probes_that_count(base_model(store, model_spec(model, tuple(store.models()))), asked)
    store.save_corpus(corpus)
    _write(corpus, out)
    if json_file:
        write_json(gaps.model_dump(), json_file)
    if json_file != "-":
        _show(corpus, None)
        say(f"{len(corpus.probes)} of {len(asked.probes)} probes count.")


def _write(corpus: "Corpus", out: Path | None) -> None:
    from engine.corpus import corpus_csv
    from engine.store.files import write_text

    if out:
        is_csv = out.suffix.lower() == ".csv"
        write_text(person_path(out), corpus_csv(corpus) if is_csv else corpus.to_jsonl())


def _make(
    ctx: typer.Context, spec: "CorpusSpec | TaskSpec", out: Path | None, json_file: str | None, model: str = ""
) -> None:
    from engine.corpus import fitting, make_any
    from engine.domain.jobs import MakeCorpus
    from engine.jobs import run_inline

    check_destination(json_file)
    check_destination(str(out) if out else None)
    store = store_of(ctx)
    if model:  # kept without its spec, which alone would make another corpus
        store.save_corpus(fitting(make_any(spec), _tokenizer(ctx, model)))
    else:
        with progress(f"creating {spec.name}") as report:
            run_inline(store, MakeCorpus(spec=spec), on_progress=report)
    corpus = store.corpus(spec.name)
    _write(corpus, out)
    _show(corpus, json_file)


ColumnsOption = Annotated[
    str,
    typer.Option(
        metavar="FIELD=COLUMN,…", help='Which columns are which, where they have other names; A+B joins, "A, B" is one.'
    ),
]
ValuesOption = Annotated[
    str, typer.Option(metavar="FIELD=TEXT,…", help="With --columns: what is the same for every row, as kind=recall.")
]


@group.command("import")
def import_(
    ctx: typer.Context,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A CSV, JSONL, JSON or Parquet file.")],
    *,
    name: Annotated[str, typer.Option(help="Name of the corpus. Default: the file's.")] = "",
    columns: ColumnsOption = "",
    values: ValuesOption = "",
    json_file: JsonFile = None,
) -> None:
    """Read a corpus from a file and keep it in the workspace; the whole file or nothing of it."""
    check_destination(json_file)
    found = save_corpus_file(store_of(ctx), person_path(file), name=name, columns=_columns(columns, values))
    _show(found, json_file)
    if json_file != "-":
        _show_findings(found, None)


@group.command()
def example(
    ctx: typer.Context, out: Annotated[Path, typer.Argument(metavar="FILE", help="Where to, as CSV or JSONL.")]
) -> None:
    """Write a small corpus file with a row of every kind, to start from."""
    from engine.corpus import parse_corpus
    from engine.corpus.format import EXAMPLE_CSV
    from engine.store.files import write_text

    store_of(ctx)  # refuses what it always refuses
    corpus = parse_corpus(EXAMPLE_CSV.encode(), "example.csv", "example")
    write_text(person_path(out), EXAMPLE_CSV if out.suffix.lower() == ".csv" else corpus.to_jsonl())


@group.command()
def check(
    ctx: typer.Context,
    corpus: Annotated[str, typer.Argument(metavar="FILE|NAME", help="A corpus file, or a stored corpus.")],
    *,
    model: Annotated[str, typer.Option(help="Read every line with this model's tokenizer, given as for `train`.")] = "",
    columns: ColumnsOption = "",
    values: ValuesOption = "",
    json_file: JsonFile = None,
) -> None:
    """Read a corpus and list its problems; with `--model` also what this model cannot read or answer."""
    check_destination(json_file)
    tokens = _tokenizer(ctx, model) if model else None
    try:
        found = _read(ctx, corpus, tokens, _columns(columns, values))
    except CorpusRefused as refused:
        _show_problems(refused, json_file)
        raise InputError(f"{refused.source} has {plural(len(refused.bad_lines), 'problem')}.") from refused
    _show(found, json_file)
    if json_file != "-":
        _show_findings(found, tokens)


def _columns(columns: str, values: str) -> "Columns | None":
    """None where nothing is said of them."""
    from engine.corpus import columns_of

    if values and not columns:
        raise InputError("--values goes with --columns: what is the same for every row, beside the columns.")
    return columns_of(columns, values) if columns else None


def _show_problems(refused: CorpusRefused, json_file: str | None) -> None:
    if json_file != "-":
        first = refused.bad_lines[:N_SHOWN]
        show_table(("line", "problem"), [(bad.number, bad.reason) for bad in first])
        if more := len(refused.bad_lines) - len(first):
            say(f"These are the first {N_SHOWN}; there are {count(more)} more. `--json FILE` has all of them.")
    if json_file:
        write_json([{"line": bad.number, "reason": bad.reason} for bad in refused.bad_lines], json_file)


def _read(ctx: typer.Context, text: str, tokens: "Tokens | None", columns: "Columns | None") -> "Corpus":
    from engine.corpus import line_problems

    path = person_path(text)
    if path.is_file():
        return corpus_in(path, "checked", tokens=tokens, columns=columns)
    if looks_like_file(text):
        raise InputError(f"There is no corpus file {path}. Give {CORPUS_FILE}, or the name of a stored corpus.")
    if columns is not None:
        raise InputError(f"--columns is for a file; “{text[:80]}” is the name of a stored corpus.")
    corpus = store_of(ctx).corpus(text)
    lines: list[Example | Probe | Pair] = [*corpus.examples, *corpus.probes, *corpus.pairs]
    if tokens and (bad := line_problems(list(enumerate(lines, start=1)), tokens=tokens)):
        raise CorpusRefused(text, bad)
    return corpus


def _tokenizer(ctx: typer.Context, model: str) -> "Tokens":
    from engine.models.base import load_tokenizer
    from engine.models.prompts import PromptReader

    store = store_of(ctx)
    spec = model_spec(model, tuple(store.models()))
    return PromptReader(load_tokenizer(spec, store.base_folder(spec)))


def _show_findings(corpus: "Corpus", tokens: "Tokens | None") -> None:
    """What weakens a corpus without making it unusable, such as few probes."""
    from engine.corpus import check_corpus

    for finding in check_corpus(corpus, tokens=tokens):
        say(f"Note: {finding}")


def _show(corpus: "Corpus", json_file: str | None) -> None:
    examples = Counter(example.constraint_type for example in corpus.examples)
    probes = Counter((probe.constraint_type, probe.kind) for probe in corpus.probes)
    pairs = Counter(pair.constraint_type for pair in corpus.pairs)
    counts: list[tuple[str, str, str | None, int]] = [
        *((of, "train", None, n) for of, n in examples.items()),
        *((of, "probe", kind, n) for (of, kind), n in probes.items()),
        *((of, "pair", None, n) for of, n in pairs.items()),
    ]
    rows = [dict(zip(("constraint_type", "split", "probe_kind", "n"), count, strict=True)) for count in counts]
    if json_file:
        write_json({"hash": corpus.hash, "counts": rows}, json_file)
    if json_file != "-":
        sizes = f"{plural(len(corpus.examples), 'example')}, {plural(len(corpus.probes), 'probe')}"
        sizes += f", {plural(len(corpus.pairs), 'pair')}" if corpus.pairs else ""
        title = f"{corpus.name}: {sizes}, hash {corpus.hash}"
        show_table(("constraint type", "split", "probe kind", "n"), counts, title=title)
