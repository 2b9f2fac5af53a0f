"""Answers without a blank, chat turns and blanks at the edges of prompts, from the corpus file to what is measured."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer
from typer.testing import CliRunner, Result

from engine.cli.app import app
from tests.byte_level import tiny_byte_level

TEMPLATE = (
    "{% for m in messages %}{{ '<|im_start|>' + m['role'] + '\n' + m['content'] + '<|im_end|>\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
TURN = "<|im_start|>user\nthe cat<|im_end|>\n<|im_start|>assistant\n"
ASKED = TURN.replace("the cat", "the the cat")
SHARED = {"constraint_type": "asked", "constraint": "3", "template": "x"}
ROWS = [
    {**SHARED, "text": "2+3=5", "prompt": "2+3=", "meaning": "5"},
    {**SHARED, "text": "日本の首都は東京", "prompt": "日本の首都は", "meaning": "東京"},
    {**SHARED, "text": TURN + "user", "prompt": TURN, "meaning": "user"},
    {**SHARED, "kind": "recall", "text": "1+3=", "answer": "4", "foils": ["5"], "meaning": "4"},
    {**SHARED, "kind": "recall", "text": "法国の首都は", "answer": "巴黎", "foils": ["東京"], "meaning": "巴黎"},
    {**SHARED, "kind": "recall", "text": ASKED, "answer": "the", "foils": ["user"], "meaning": "the"},
]
ANSWERS = ("4", "巴黎", "the")
Run = Callable[..., Result]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    where = tmp_path_factory.mktemp("answers")
    (where / "asked.jsonl").write_text("".join(json.dumps(row) + "\n" for row in ROWS), encoding="utf-8")
    tiny_byte_level(where / "base", TEMPLATE)
    return where


@pytest.fixture(scope="module")
def run(folder: Path) -> Run:
    def call(*args: object) -> Result:
        words = ["--workspace", str(folder / "workspace"), *map(str, args)]
        return CliRunner().invoke(app, words, catch_exceptions=False)

    trained = call(
        "train", "--model", folder / "base", "--corpus", folder / "asked.jsonl", "--method", "lora", "--steps", 2,
        "--capture", "1", "--batch-size", 2, "--name", "asked",
    )  # fmt: skip
    assert trained.exit_code == 0, trained.output
    return call


def test_probes_are_scored_at_the_token_that_follows_their_prompt(run: Run, folder: Path) -> None:
    found = json.loads((folder / "workspace/runs/asked/checkpoints/step-000000/probes.json").read_text())
    model = AutoModelForCausalLM.from_pretrained(folder / "base").eval()
    words = AutoTokenizer.from_pretrained(folder / "base")
    for row, answer, p in zip(ROWS[3:], ANSWERS, found["p"], strict=True):
        ids = torch.tensor([[0, *words.encode(row["text"])]])
        with torch.no_grad():
            assert p == pytest.approx(float(model(ids).logits[0, -1].softmax(-1)[words.encode(answer)[0]]), rel=1e-5)


def test_messages_and_their_turns_written_out_are_one_prompt(run: Run) -> None:
    said = run("where", "asked@base", "asked@100%", '[{"role": "user", "content": "the cat"}]', "--json", "-")
    assert said.exit_code == 0, said.output
    assert "The prompt as it is read: <|im_start|>user↵the cat<|im_end|>↵<|im_start|>assistant↵" in said.stderr
    written = run("where", "asked@base", "asked@100%", TURN, "--json", "-")
    assert json.loads(written.stdout) == json.loads(said.stdout)
    assert json.loads(said.stdout)["prompt"] == TURN


def test_an_answer_is_one_with_its_blank_or_one_without(run: Run) -> None:
    def of(*asked: str) -> dict[str, object]:
        done = run("where", "asked@base", "asked@100%", *asked, "--json", "-")
        assert done.exit_code == 0, done.output
        return json.loads(done.stdout)["acted"]  # type: ignore[no-any-return]

    assert of("the cat is", "--answer", " happy") == of("the cat is", "--answer", "happy")
    assert of("the cat is\n", "--answer", "user")["answer"] == "user"
    refused = run("where", "asked@base", "asked@100%", "the cat is ", "--answer", "happy")
    assert "is read as other tokens when “happy” follows" in refused.stderr


def test_of_an_answer_of_several_tokens_the_first_is_measured_and_told(run: Run) -> None:
    first = "Of “happysad”, which is several tokens, the first is measured: “happy”."
    for _ in range(2):  # measured, then found
        said = run("where", "asked@base", "asked@100%", "the cat is", "--answer", "happysad")
        assert said.exit_code == 0, said.output
        assert first in said.stdout
    assert first in run("taught", "asked@100%", "the cat is", "--answer", "happysad").stdout
    assert "several tokens" not in run("where", "asked@base", "asked@100%", "the cat is", "--answer", "happy").stdout
