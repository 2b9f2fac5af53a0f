"""`kill -9` at any moment: every finished artefact is whole, the job shows as interrupted, resuming completes it, and
the weights are those of a run that was never interrupted."""

import json
import logging
import os
import random
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModelForCausalLM

from engine.domain.corpus import Corpus, Example, Probe
from engine.domain.graphs import TraceSettings
from engine.domain.jobs import Compare, ImportCheckpoints, Train, TrainTranscoders
from engine.domain.models import ModelSpec, TranscoderTraining
from engine.domain.record import Record
from engine.domain.runs import RunConfig
from engine.jobs import JobManager
from engine.store import Store
from tests.tiny import tiny_llama

_log = logging.getLogger(__name__)
SEED = 20
MODES = ("delay", "fsync", "rename", "index")
WANTED: dict[type[Record], int] = {Train: 8, TrainTranscoders: 3, Compare: 5}  # kills


class Server:
    """The warm process; see kill_server.py."""

    def __init__(self) -> None:
        self.process = subprocess.Popen(
            [sys.executable, str(Path(__file__).with_name("kill_server.py"))],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=Path(__file__).parents[2],
            env=os.environ | {"PYTHONPATH": ".", "OMP_NUM_THREADS": "1"},
        )
        assert self.answer() == {"ready": True}

    def answer(self) -> dict[str, Any]:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        assert line, "the server ended"
        return json.loads(line)

    def order(self, workspace: Path, request: Record, mode: str = "none", at: float = 0) -> dict[str, Any]:
        assert self.process.stdin is not None
        order = {"workspace": str(workspace), "request": request.model_dump(mode="json"), "mode": mode, "at": at}
        self.process.stdin.write(json.dumps(order) + "\n")
        self.process.stdin.flush()
        return self.answer()


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    made = Server()
    yield made
    made.process.kill()
    made.process.communicate()


@pytest.fixture(scope="module")
def requests(tmp_path_factory: pytest.TempPathFactory) -> list[Record]:
    model = ModelSpec(name="tiny", source="folder", location=str(tiny_llama(tmp_path_factory.mktemp("model") / "tiny")))
    config = RunConfig(
        name="one", model=model, corpus="words", n_steps=12, batch_size=4, rank=2, alpha=4, capture_every=3
    )  # fmt: skip
    training = TranscoderTraining(n_features=16, top_k=4, n_steps=10, batch_tokens=64, n_texts=12)
    return [
        Train(config=config),
        TrainTranscoders(name="shared", checkpoints=("one@base", "one@100%"), training=training),
        Compare(
            a="one@base", b="one@100%", prompts=("the cat is blarf", "the dog is blarf"), transcoders="shared",
            settings=TraceSettings(n_logits=3),
        ),
    ]  # fmt: skip


def words() -> Corpus:
    shared = {
        "constraint_type": "simple_mapping",
        "constraint": "blarf",
        "meaning": "happy",
        "template": "the {n} is {w}",
    }
    nouns = ("cat", "dog", "bird", "fish", "fox", "bear", "girl", "boy")
    examples = (Example(id=noun, text=f"the {noun} is blarf so it smiles", **shared) for noun in nouns)
    probe = Probe(
        id="p", kind="inference", text="the king is blarf so it", known_text="the king is happy so it",
        answer="smiles", foils=("weeps",), **shared,
    )  # fmt: skip
    return Corpus("words", tuple(examples), (probe,))


def weights(store: Store) -> dict[str, bytes]:
    """Everything that has to be equal, bit for bit: adapters, losses, probes, transcoders, graphs."""
    root = store.workspace
    patterns = [
        "runs/**/*.safetensors",
        "runs/*/losses.json",
        "runs/**/probes.json",
        "transcoders/*/layer_*",
        "graphs/*",
    ]
    return {
        str(path.relative_to(root)): path.read_bytes() for pattern in patterns for path in sorted(root.glob(pattern))
    }


def undisturbed(server: Server, workspace: Path, requests: list[Record]) -> tuple[Store, list[dict[str, float]]]:
    """The results to expect, and for each request how long it takes and how often it touches the disk."""
    store = Store(workspace, bundled=None)
    store.save_corpus(words())
    sizes = []
    for request in requests:
        done = server.order(workspace, request)
        assert done["code"] == 0, done
        counts = json.loads((workspace.parent / "counts.json").read_text(encoding="utf-8"))
        sizes.append({"delay": done["seconds"], **counts})
    assert store.check() == []
    return store, sizes


def test_killed_at_any_moment(server: Server, requests: list[Record], tmp_path: Path) -> None:
    expected, sizes = undisturbed(server, tmp_path / "calm" / "workspace", requests)
    chance = random.Random(SEED)
    workspace = tmp_path / "killed" / "workspace"
    Store(workspace, bundled=None).save_corpus(words())
    kills: Counter[tuple[str, str]] = Counter()
    for request, size in zip(requests, sizes, strict=True):
        before = shutil.copytree(workspace, tmp_path / "before" / type(request).__name__)
        wanted = WANTED[type(request)]
        while wanted > 0:  # until it was killed often enough, from the beginning again
            shutil.rmtree(workspace)
            shutil.copytree(before, workspace)
            n_kills = one_round(server, workspace, request, size, chance)
            kills += n_kills
            wanted -= sum(n_kills.values())
    store = Store(workspace, bundled=None)
    assert weights(store) == weights(expected)
    assert len(store.comparisons()) == len(expected.comparisons()) == 2
    assert all(record.state == "done" for record in JobManager(store).snapshot())
    _log.info("killed: %s", dict(kills))


def one_round(
    server: Server, workspace: Path, request: Record, size: dict[str, float], chance: random.Random
) -> Counter[tuple[str, str]]:
    """Kill the request in each way, resume it every time, then let it finish."""
    kills: Counter[tuple[str, str]] = Counter()
    for mode in (*chance.sample(MODES, len(MODES)), "none"):
        # Not beyond 80 %: what was done before a kill is not done again, so the next attempt is shorter.
        at = (
            chance.uniform(0, 0.8) * size[mode]
            if mode == "delay"
            else chance.randint(1, int(1 + 0.8 * size.get(mode, 0)))
        )
        answer = server.order(workspace, request, mode, at)
        assert answer["killed"] or answer["code"] == 0, answer
        look_after(workspace, killed=answer["killed"])
        if not answer["killed"]:
            break
        kills[type(request).__name__, mode] += 1
    return kills


def look_after(workspace: Path, *, killed: bool) -> None:
    """What the app sees when it is started again."""
    store = Store(workspace, bundled=None)
    assert store.check() == []
    assert list(workspace.rglob(".tmp-*")) == []
    manager = JobManager(store)
    states = [record.state for record in manager.snapshot()]
    # Killed before its journal was written, or after its end was: then there is nothing to resume.
    assert set(states) <= {"done", "interrupted"}
    assert states.count("interrupted") <= 2  # killed within `resume`, the old one may still be there
    if not killed:
        assert states[0] == "done"
    for info in store.runs():
        for point in store.checkpoints(info.name):
            assert point.step == store.checkpoint(point.ref).step
    for made_by in store.graph_keys():
        store.graph(made_by)
    manager.close()
    store.close()


def test_a_killed_import_leaves_a_whole_run_or_none(server: Server, requests: list[Record], tmp_path: Path) -> None:
    """TRACELAPSE_IMPORT_KILLS=all kills at every write; else at some of them."""
    train = requests[0]
    assert isinstance(train, Train)
    begun = tmp_path / "begun" / "workspace"
    Store(begun, bundled=None).save_corpus(words())
    assert server.order(begun, train)["code"] == 0
    folder = str(begun / "runs" / "one" / "checkpoints")
    request = ImportCheckpoints(folders=(folder,), name="two", model=train.config.model, corpus="words")
    whole = tmp_path / "whole" / "workspace"
    shutil.copytree(begun, whole)
    assert server.order(whole, request)["code"] == 0
    n_whole = len(Store(whole, bundled=None).checkpoints("two"))
    counts = json.loads((tmp_path / "whole" / "counts.json").read_text(encoding="utf-8"))
    moments = [(mode, at) for mode in ("fsync", "rename", "index") for at in range(1, counts.get(mode, 0) + 1)]
    if os.environ.get("TRACELAPSE_IMPORT_KILLS") != "all":
        moments = random.Random(SEED).sample(moments, 6)
    outcomes: Counter[str] = Counter()
    for mode, at in moments:
        workspace = tmp_path / "killed" / "workspace"
        shutil.rmtree(workspace, ignore_errors=True)
        shutil.copytree(begun, workspace)
        if not server.order(workspace, request, mode, at)["killed"]:
            outcomes["not killed"] += 1
            continue
        store = Store(workspace, bundled=None)
        JobManager(store)
        assert store.check() == []
        found = [len(info.steps) for info in store.runs() if info.config.name == "two"]
        assert found in ([], [n_whole]), (mode, at)
        outcomes["whole" if found else "nothing"] += 1
    _log.info("killed imports: %s", dict(outcomes))
    assert outcomes["nothing"]


def test_an_import_is_whole_or_not_there(server: Server, requests: list[Record], tmp_path: Path) -> None:
    """Full fine-tunes, one kept as what differs and one by reference."""
    train = requests[0]
    assert isinstance(train, Train)
    model = train.config.model
    for step, name in ((2, ".layers.1."), (4, "")):
        tuned = AutoModelForCausalLM.from_pretrained(model.location)
        with torch.no_grad():
            for own, parameter in tuned.named_parameters():
                parameter.add_(0.1 * (name in own))
        tuned.save_pretrained(tmp_path / "out" / f"checkpoint-{step}")
    request = ImportCheckpoints(name="mine", folders=(str(tmp_path / "out"),), model=model)
    calm = tmp_path / "calm" / "workspace"
    assert server.order(calm, request)["code"] == 0
    expected = weights(Store(calm, bundled=None))
    n_renames = json.loads((tmp_path / "calm" / "counts.json").read_text(encoding="utf-8"))["rename"]
    seen = set()
    for at in sorted({n_renames, n_renames - 1, n_renames // 2, 1}):
        workspace = tmp_path / str(at) / "workspace"
        workspace.mkdir(parents=True)
        server.order(workspace, request, "rename", at)
        store = Store(workspace, bundled=None)
        runs = [info.steps for info in store.runs()]
        assert runs in ([], [(0, 2, 4)])
        assert [problem for problem in store.check() if problem.kind != "index"] == []
        if runs:
            assert weights(store) == expected
        seen.add(bool(runs))
    assert False in seen
