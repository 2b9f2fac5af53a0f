"""What is killed: every kind of job, and what the store does without one, each with the state that it begins with.

A study is no job: tests/cli/test_cli_study.py kills one.
"""

import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any, get_args

import torch
from transformers import AutoModelForCausalLM

from engine.domain.components import ScoreSettings
from engine.domain.corpus import CorpusSpec, TaskSpec
from engine.domain.decisions import DecisionSettings
from engine.domain.graphs import NodeKind, TraceSettings
from engine.domain.jobs import (
    AddModel,
    AddRealModel,
    AnalyseRun,
    AskedPrompt,
    Beside,
    CheckRobustness,
    Compare,
    DescribeFeatures,
    FindCircuits,
    FindExamples,
    ImportCheckpoints,
    Intervene,
    LabelFeatures,
    MakeCorpus,
    MeasureProbes,
    Request,
    SubtaskCircuit,
    Timelapse,
    Trace,
    Train,
    TrainTranscoders,
    UniteCircuits,
    Where,
    WhereProbes,
)
from engine.domain.methods import MethodSettings
from engine.domain.models import ModelSpec, TranscoderTraining
from engine.domain.record import Record
from engine.domain.runs import RunConfig
from engine.store import Store
from tests import gguf_files
from tests.tiny import tiny_llama

PROMPT = "the cat feels blarf and"
SIDES = {"a": "one@base", "b": "one@100%"}
TRACING = TraceSettings(n_logits=3)
SCORING = ScoreSettings(n_pairs=8, n_steps=2, n_groups=2, metric="kl")
KINDS: tuple[type[Record], ...] = get_args(get_args(Request)[0])
# Kinds of jobs that are not killed here, and why.
WITHOUT: dict[type[Record], str] = {
    AddRealModel: "it unpacks 540 MB of a package that need not be there, into a folder that is renamed when it is "
    "whole, as that of a GGUF file is, and then adds the model and a corpus as AddModel and MakeCorpus do",
}
ALL_DONE = "probe"  # the case after which there is one of everything
# More of a kind that there is already, seconds each.
LONG = {"train full", "train tuning", "train probing", "train watched", "train beside", "add gguf"}


@dataclass(frozen=True)
class Call:
    """A method of the store and its arguments: what pages and the command line do without a job."""

    method: str
    arguments: tuple[Any, ...]


@dataclass(frozen=True)
class World:
    """What lies outside of the workspace."""

    folder: Path

    @property
    def model(self) -> ModelSpec:
        return ModelSpec(name="tiny", source="folder", location=str(self.folder / "tiny"))

    @property
    def adapters(self) -> Path:
        """The checkpoints of the run `one`, as a trainer elsewhere would have left them."""
        return self.folder / "adapters"

    @property
    def tuned(self) -> Path:
        """Full fine-tunes: one that differs in a layer, which is kept as what differs, and one kept by reference."""
        return self.folder / "tuned"


@dataclass(frozen=True)
class Case:
    """One thing to kill. `after`: the case whose end it begins with; empty: the one before it."""

    name: str
    kind: type[Record | Call]
    does: Callable[[Store], Record | Call]  # of the workspace that it begins with
    after: str = ""


def world(folder: Path) -> World:
    made = World(folder)
    tiny_llama(folder / "tiny")
    for step, name in ((2, ".layers.1."), (4, "")):
        tuned = AutoModelForCausalLM.from_pretrained(made.model.location)
        with torch.no_grad():
            for own, parameter in tuned.named_parameters():
                parameter.add_(0.1 * (name in own))
        tuned.save_pretrained(made.tuned / f"checkpoint-{step}")
    return made


def cases(made: World) -> tuple[Case, ...]:
    """In this order; each kind of job has at least one."""
    return (*_training(made), *_gguf(made), *_tracing(), *_components(), *_on_features(), *_calls())


def _case(name: str, does: Record | Call, after: str = "") -> Case:
    return Case(name, type(does), lambda _store: does, after)


def _run(made: World, name: str, **changes: Any) -> RunConfig:
    asked: dict[str, Any] = {"n_steps": 12, "batch_size": 4, "rank": 2, "alpha": 4, "capture_every": 3}
    return RunConfig(name=name, model=made.model, corpus="tiny", **{**asked, **changes})


def _training(made: World) -> tuple[Case, ...]:
    tuning = MethodSettings(n_edges=20, discover_every=4, scoring=SCORING)
    probing = MethodSettings(probe_steps=2, scoring=SCORING)
    training = TranscoderTraining(n_features=16, top_k=4, n_steps=10, batch_tokens=64, n_texts=12)
    seen = tuple(f"one@{label}" for label in ("base", "25%", "50%", "75%", "100%"))
    short = {"n_steps": 4, "capture_every": 2}
    watching = DecisionSettings(n_prompts=1, refresh_steps=4)

    def adapters(store: Store) -> Record:
        shutil.copytree(store.run_folder("one") / "checkpoints", made.adapters)
        return _importing(made, "adapters", made.adapters, corpus="tiny")

    return (
        _case("make corpus", MakeCorpus(spec=CorpusSpec(name="made", n_probes=2))),
        _case(
            "make task", MakeCorpus(spec=TaskSpec(name="sums", task="addition_subtraction", n_rows=10, n_retention=2))
        ),
        _case("add model", AddModel(model=made.model)),
        _case("train", Train(config=_run(made, "one"))),
        _case("train full", Train(config=_run(made, "full", method="full", **short))),
        _case("train tuning", Train(config=_run(made, "tuning", method="circuit_tuning", method_settings=tuning))),
        _case(
            "train probing",
            Train(config=_run(made, "probing", method="circuit_lora", method_settings=probing, **short)),
        ),
        Case("import adapters", ImportCheckpoints, adapters),
        _case("import tuned", _importing(made, "tuned", made.tuned)),
        _case("train transcoders", TrainTranscoders(name="shared", checkpoints=seen, training=training)),
        _case("train watched", Train(config=_run(made, "watched", watch=True, decisions=watching, **short))),
        _case(
            "train beside",
            Train(config=_run(made, "second", seed=1, **short), beside=Beside(run="one", prompt=PROMPT)),
        ),
    )


def _gguf(made: World) -> tuple[Case, ...]:
    """A file of another format that is written anew; none without the package that reads it."""
    if find_spec("gguf") is None:
        return ()

    def add(_store: Store) -> Record:
        file = made.folder / "one.gguf"
        gguf_files.write_gguf(file, gguf_files.made("llama"), "llama", kind="Q8_0")
        return AddModel(model=ModelSpec(name="one", source="folder", location=str(file)))

    return (Case("add gguf", AddModel, add),)


def _importing(made: World, name: str, folder: Path, **more: Any) -> ImportCheckpoints:
    return ImportCheckpoints(name=name, folders=(str(folder),), model=made.model, **more)


def _tracing() -> tuple[Case, ...]:
    prompts = (PROMPT, "the dog feels blarf and")
    asked = tuple(AskedPrompt(prompt=prompt, answer="smiles") for prompt in prompts)
    return (
        _case("compare", Compare(**SIDES, prompts=prompts, transcoders="shared", settings=TRACING)),
        _case("trace", Trace(checkpoint="one@50%", prompts=prompts, transcoders="shared", settings=TRACING)),
        _case("where", Where(**SIDES, prompt=PROMPT)),
        _case("where probes", WhereProbes(**SIDES, asked=asked)),
        _case("find examples", FindExamples(checkpoint="one@100%", prompt=PROMPT, answer="smiles")),
        _case("timelapse", Timelapse(**SIDES, prompt=PROMPT, checkpoints=("one@25%", "one@50%", "one@75%"))),
        _case("label features", LabelFeatures(checkpoints=("one@base", "one@100%"), transcoders="shared")),
        _case("analyse", AnalyseRun(run="one", n_prompts=1, transcoders="shared")),
    )


def _components() -> tuple[Case, ...]:
    parts = tuple(SubtaskCircuit(checkpoint=ref) for ref in ("one@50%", "one@100%"))
    return (
        _case("circuits", FindCircuits(checkpoints=("one@base", "one@100%"), settings=SCORING, shares=(0.5, 1.0))),
        _case("robustness", CheckRobustness(checkpoint="one@100%", settings=SCORING, share=0.5, levels=(0.9,))),
        _case("union", UniteCircuits(checkpoint="one@100%", parts=parts, settings=SCORING, shares=(1.0,))),
    )


def _on_features() -> tuple[Case, ...]:
    """Of features that the graphs of the workspace have."""

    def intervene(store: Store) -> Record:
        made_by = next(key for key in store.graph_keys("one@100%") if key.prompt == PROMPT)
        graph = store.graph(made_by)
        row = int((graph.kind == NodeKind.FEATURE).nonzero()[0][0])
        return Intervene(**SIDES, prompt=PROMPT, transcoders="shared", features=(graph.node_id(row),))

    describe = DescribeFeatures(
        checkpoints=("one@base", "one@100%"), transcoders="shared", features=((0, 1), (0, 2), (1, 3))
    )
    return (
        Case("intervene", Intervene, intervene),
        _case("describe features", describe),
        _case(ALL_DONE, MeasureProbes(run="one")),
    )


def _calls() -> tuple[Case, ...]:
    calls = (
        Call("rename_run", ("one", "uno")),
        Call("delete_run", ("one",)),
        Call("delete_run", ("tuned",)),
        Call("delete_transcoder_set", ("shared",)),
        Call("delete_corpus", ("made",)),
        Call("delete_model", ("tiny",)),
        Call("free", (["graphs", "measures"],)),
    )
    return tuple(_case(f"{call.method} {call.arguments[0]}", call, ALL_DONE) for call in calls)


def written(does: Record | Call) -> dict[str, Any]:
    """As an order to the warm process."""
    if isinstance(does, Call):
        return {"call": [does.method, *does.arguments]}
    return {"request": json.loads(does.model_dump_json())}
