"""A study file and the runs that it asks for."""

import hashlib
import json
import math
import re
from collections import defaultdict
from collections.abc import Hashable, Iterator, Mapping
from itertools import product
from pathlib import Path
from typing import Any

import yaml  # type: ignore[import-untyped]  # it comes without types
from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from engine.domain.components import ScoreSettings
from engine.domain.corpus import CorpusSpec, TaskSpec
from engine.domain.decisions import DecisionSettings
from engine.domain.errors import InputError
from engine.domain.methods import METHOD_INFOS, MethodSettings
from engine.domain.runs import MAX_SEED, RunConfig
from engine.domain.studies import MEASURED, Grid, Measured, RateSearch, StudyRun, StudySpec

MAX_BYTES = 100_000
MAX_DEPTH = 8  # of lists and mappings in each other; a study needs four
MAX_RUNS = 10_000
MAX_NAME = 64
_RANGE = re.compile(r"\s*(\d{1,10})\s*[-–]\s*(\d{1,10})\s*", re.ASCII)
_AXES = ("corpora", "methods", "seeds", "stopping", "curricula", "learning_rates")
_INNER: dict[int | str, type[BaseModel]] = {
    "grids": Grid,
    "settings": MethodSettings,
    "scoring": ScoreSettings,
    "corpus": CorpusSpec,  # tags of what `make` holds
    "task": TaskSpec,
    "decisions": DecisionSettings,
    "search": RateSearch,
}
_REMEDY = "Fix the file and run the command again."


class _Loader(yaml.SafeLoader):
    """YAML's safe types, numbers as 1e-3 too; a key stands once."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:  # noqa: FBT001, FBT002  (yaml's signature)
        seen: set[str] = set()
        for key, _ in node.value:
            if key.value in seen:
                raise yaml.constructor.ConstructorError(
                    None, None, f"the key “{str(key.value)[:40]}” appears twice", key.start_mark
                )
            seen.add(str(key.value))
        return super().construct_mapping(node, deep)


_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float", re.compile(r"[-+]?(\d+(\.\d*)?|\.\d+)[eE][-+]?\d+$"), list("-+0123456789.")
)


def read_study(path: Path) -> StudySpec:
    """The study that a YAML file describes. Seeds are a list, or a range as “0-9”.

    Raises InputError that names what is wrong: no such file, no YAML, unknown or doubled keys, wrong values, anchors,
    more than MAX_RUNS runs.
    """
    data = _parsed(_text(path), path)
    if not isinstance(data, dict):
        raise InputError(f"{path} holds no study: it must be a mapping with the keys {_keys(StudySpec)}. {_REMEDY}")
    for number, grid in enumerate(data["grids"] if isinstance(data.get("grids"), list) else []):
        if isinstance(grid, dict) and isinstance(grid.get("seeds"), str):
            grid["seeds"] = _seeds(grid["seeds"], f"{path}: grids[{number}].seeds")
    if isinstance(search := data.get("search"), dict) and isinstance(search.get("seeds"), str):
        search["seeds"] = _seeds(search["seeds"], f"{path}: search.seeds")
    try:
        # As JSON and strictly, so that neither “yes” nor "300" is taken for a number.
        spec = StudySpec.model_validate_json(json.dumps(data, default=str), strict=True)
    except ValidationError as error:
        raise InputError(f"{path}: {'; '.join(_problem(one) for one in error.errors()[:5])}. {_REMEDY}") from None
    _check(spec, path)
    return spec


def study_runs(spec: StudySpec, rates: Mapping[str, float] | None = None) -> tuple[StudyRun, ...]:
    """Every run that the study asks for, each once: those that search for learning rates first, then the grids in the
    order of the file.

    A run is CORPUS-METHOD[-VARIANT][-STOPPING][-CURRICULUM][-search][-lrRATE]-sSEED; a name that is too long, or that
    two runs would have, ends in six digits of its config's hash. Where any grid watches or measures a run, that is
    done: it changes nothing of what is learned. The method's own learning rate is the same run as null. rates: by
    `search_key`, what the searches found; where it is not known yet, a searched run's config has none.
    """
    asked: dict[StudyRun, tuple[bool, tuple[Measured, ...]]] = {}
    for run, grid in _asked(spec):
        watch, measure = asked.get(run, (False, ()))
        asked[run] = watch or grid.watch, tuple(one for one in MEASURED if one in (*measure, *grid.measure))
    by_name: dict[str, list[StudyRun]] = defaultdict(list)
    for run in asked:
        by_name[_long_name(run)].append(run)
    found = []
    for run, (watch, measure) in asked.items():
        changes: dict[str, Any] = {"name": _name(run, by_name)}
        if run.searched:
            changes["learning_rate"] = _unless_own(run.config.method, (rates or {}).get(search_key(run)))
        compared = run.stage == "grid"
        config = run.config.model_copy(update=changes | {"watch": watch and compared})
        found.append(run.model_copy(update={"config": config, "measure": measure if compared else ()}))
    return tuple(sorted(found, key=lambda run: run.stage != "search"))  # stable


def search_key(run: StudyRun) -> str:
    """The same for the runs of one search and those that train at the rate that it finds."""
    config = run.config.model_copy(update={"name": "run", "seed": 0, "learning_rate": None, "watch": False})
    return f"{run.variant} {config.model_copy(update={'corpus_hash': ''}).model_dump_json()}"


def _asked(spec: StudySpec) -> Iterator[tuple[StudyRun, Grid]]:
    """Without names, unwatched and unmeasured: what decides whether two are the same run."""
    for grid in spec.grids:
        variant, scoring = grid.variant, spec.scoring
        for config in _grid_configs(spec, grid, grid.learning_rates, grid.seeds):
            yield StudyRun(config=config, searched=grid.search, variant=variant, scoring=scoring), grid
        if grid.search and spec.search is not None:
            for method in grid.methods:
                own = METHOD_INFOS[method].default_learning_rate
                tried = tuple(float(f"{factor * own:.6g}") for factor in spec.search.factors)
                only = grid.model_copy(update={"methods": (method,)})
                for config in _grid_configs(spec, only, tried, spec.search.seeds):
                    yield StudyRun(config=config, stage="search", variant=variant, scoring=scoring), grid


def _grid_configs(
    spec: StudySpec, grid: Grid, rates: tuple[float | None, ...], seeds: tuple[int, ...]
) -> Iterator[RunConfig]:
    rank = spec.rank if grid.rank is None else grid.rank
    usual = 2 * grid.rank if grid.rank is not None else RunConfig.model_fields["alpha"].default
    axes = (grid.corpora, grid.methods, grid.stopping, grid.curricula, rates, seeds)
    for corpus, method, stopping, curriculum, rate, seed in product(*axes):
        yield RunConfig(
            name="run",
            corpus=corpus,
            method=method,
            n_steps=spec.n_steps if grid.n_steps is None else grid.n_steps,
            batch_size=spec.batch_size if grid.batch_size is None else grid.batch_size,
            learning_rate=_unless_own(method, rate),
            rank=rank,
            alpha=usual if grid.alpha is None else grid.alpha,
            method_settings=grid.settings or MethodSettings(),
            capture=(1.0,),
            capture_every=spec.capture_every if grid.capture_every is None else grid.capture_every,
            seed=seed,
            stopping=stopping,
            curriculum=curriculum,
            decisions=spec.decisions,
        )


def _unless_own(method: str, rate: float | None) -> float | None:
    return None if rate == METHOD_INFOS[method].default_learning_rate else rate


def _name(run: StudyRun, by_name: dict[str, list[StudyRun]]) -> str:
    name = _long_name(run)
    if len(name) <= MAX_NAME and len(by_name[name]) == 1:
        return name
    text = run.config.model_dump_json()
    if run.stage == "search" or run.searched or run.variant:
        text += f"{run.stage} {run.searched} {run.variant}"
    mark = hashlib.sha256(text.encode()).hexdigest()[:6]
    return f"{name[: MAX_NAME - 7].rstrip('.-_')}-{mark}"


def _long_name(run: StudyRun) -> str:
    config = run.config
    parts = [config.corpus, config.method]
    parts += [run.variant] if run.variant else []
    parts += [config.stopping] if config.stopping != "none" else []
    parts += [config.curriculum] if config.curriculum != "uniform" else []
    parts += ["search"] if run.stage == "search" else []
    rate = config.learning_rate
    if rate is None and run.stage == "search":
        rate = METHOD_INFOS[config.method].default_learning_rate
    if rate is not None:
        short = f"{rate:g}"
        parts.append(f"lr{short if float(short) == rate else repr(rate)}")
    # The corpus's own name stays as it is; names of methods and policies are slugs of ours.
    return "-".join((parts[0], *(part.replace("_", "-") for part in parts[1:]), f"s{config.seed}"))


def _text(path: Path) -> str:
    try:
        with path.open("rb") as file:
            raw = file.read(MAX_BYTES + 1)
    except FileNotFoundError:
        raise InputError(f"There is no study file {path}. Give a YAML file; data/study.yaml is one.") from None
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}. Give a YAML file.") from error
    if len(raw) > MAX_BYTES:
        raise InputError(f"{path} is larger than the {MAX_BYTES:,} bytes that a study file may have. Shorten it.")
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError(f"{path} is not UTF-8 (byte {error.start}). Save it as UTF-8.") from error


def _parsed(text: str, path: Path) -> Any:
    try:
        _refuse_tangles(text, path)
        loader = _Loader(text)
        try:
            return loader.get_single_data()
        finally:
            loader.dispose()
    except (yaml.YAMLError, ValueError, TypeError) as error:  # a date that is none; a key that is a list
        raise InputError(f"{path} is not valid YAML: {_reason(error)}. {_REMEDY}") from error


def _refuse_tangles(text: str, path: Path) -> None:
    """Before anything is built: a few lines of anchors can stand for gigabytes, and deep nesting for a full stack."""
    depth = 0
    for event in yaml.parse(text, Loader=_Loader):
        if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None):
            line = event.start_mark.line + 1
            raise InputError(f"{path}, line {line}: anchors (&, *) are not allowed in a study file. Write it out.")
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if depth > MAX_DEPTH:
            line = event.start_mark.line + 1
            raise InputError(f"{path}, line {line}: lists in lists more than {MAX_DEPTH} deep. {_REMEDY}")


def _reason(error: Exception) -> str:
    if isinstance(error, yaml.MarkedYAMLError) and error.problem_mark:
        mark = error.problem_mark
        return f"line {mark.line + 1}, column {mark.column + 1}: {error.problem}"
    return " ".join(str(error).split())[:200]


def _seeds(text: str, where: str) -> list[int]:
    match = _RANGE.fullmatch(text)
    first, last = (int(match[1]), int(match[2])) if match else (1, 0)
    if last < first:
        raise InputError(f"{where} is “{text[:40]}”. Give a list of whole numbers, or a range as 0-9. {_REMEDY}")
    if last - first >= MAX_RUNS:
        raise InputError(f"{where} is “{text[:40]}”: {last - first + 1:,} seeds; at most {MAX_RUNS:,} are allowed.")
    return list(range(first, last + 1))


def _problem(error: ErrorDetails) -> str:
    """One of pydantic's findings in words: where, what was given, what is allowed."""
    parts = [part for place, part in enumerate(error["loc"]) if not (place == 2 and error["loc"][0] == "make")]  # a tag
    where = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in parts).lstrip(".")
    if error["type"] == "extra_forbidden":
        return f"“{where}” is not a known key; allowed are {_keys(_record_at(error['loc']))}"
    if error["type"] == "missing":
        return f"“{where}” is missing"
    given = "" if error["type"] == "value_error" else f" (given: {json.dumps(error['input'], ensure_ascii=False)[:80]})"
    return f"{f'“{where}”: ' if where else ''}{error['msg'].removeprefix('Value error, ')}{given}"


def _record_at(loc: tuple[int | str, ...]) -> type[BaseModel]:
    """Of an unknown key: whose key it would be."""
    record: type[BaseModel] = StudySpec
    for part in loc[:-1]:
        record = _INNER.get(part, record)
    return record


def _keys(record: type[BaseModel]) -> str:
    return ", ".join(record.model_fields)


def _check(spec: StudySpec, path: Path) -> None:
    """What no single value says. Raises InputError."""
    made = [corpus.name for corpus in spec.make]
    if doubled := sorted({name for name in made if made.count(name) > 1}):
        raise InputError(f"{path}: “make” names {', '.join(doubled)} more than once. Give each corpus its own name.")
    n_runs = sum(_n_runs(spec, grid) for grid in spec.grids)
    if n_runs > MAX_RUNS:
        raise InputError(f"{path} asks for {n_runs:,} runs; at most {MAX_RUNS:,} are allowed. Split it.")
    seeds = {f"grids[{number}].seeds": grid.seeds for number, grid in enumerate(spec.grids)}
    if spec.search is not None:
        seeds["search.seeds"] = spec.search.seeds
    for where, given in seeds.items():
        for seed in given:
            if not 0 <= seed <= MAX_SEED:
                raise InputError(f"{path}: {where} has {seed}; allowed are 0 to {MAX_SEED}. {_REMEDY}")
    try:
        study_runs(spec)
    except ValidationError as error:  # a learning rate or a number of steps that no run may have
        raise InputError(f"{path}: {'; '.join(_problem(one) for one in error.errors()[:5])}. {_REMEDY}") from None


def _n_runs(spec: StudySpec, grid: Grid) -> int:
    n = math.prod(len(getattr(grid, axis)) for axis in _AXES)
    if spec.search is None or not grid.search:
        return n
    return n + n // len(grid.seeds) * len(spec.search.factors) * len(spec.search.seeds)
