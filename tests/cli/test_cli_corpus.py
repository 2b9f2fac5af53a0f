"""Corpora of tasks and pairs from the command line."""

import json
import shlex
from pathlib import Path

import pytest

from engine.cli.inputs import stored_corpus
from engine.corpus import TASKS, make_task
from engine.domain.corpus import TaskSpec
from engine.store import Store
from tests.cli.conftest import Cli
from tests.tiny import tiny_llama

PAIR = {
    "clean": "the cat feels happy and",
    "corrupted": "the cat feels sad and",
    "answer": "smiles",
    "corrupted_answer": "cries",
    "constraint_type": "feelings",
}


def file_of(folder: Path, *pairs: dict[str, str]) -> Path:
    path = folder / "pairs.jsonl"
    path.write_text("".join(json.dumps(pair) + "\n" for pair in pairs), encoding="utf-8")
    return path


def test_tasks_are_listed_with_their_sizes(cli: Cli) -> None:
    listed = json.loads(cli("corpus", "tasks", "--json", "-").stdout)
    assert [row["task"] for row in listed] == list(TASKS)
    assert listed[0]["model"] == "up to 100, 5000 problems"


def test_a_task_is_made_and_checked(cli: Cli, tmp_path: Path) -> None:
    made = tmp_path / "made.jsonl"
    arguments = ("--limit", 30, "--rows", 40, "--wording", "model", "--seed", 2, "--out", made, "--json", "-")
    result = cli("corpus", "task", "addition_subtraction", "--name", "sums", *arguments)
    spec = TaskSpec(name="sums", task="addition_subtraction", limit=30, n_rows=40, wording="model", seed=2)
    assert json.loads(result.stdout)["hash"] == make_task(spec).hash
    assert made.read_text(encoding="utf-8") == make_task(spec).to_jsonl()
    checked = json.loads(cli("corpus", "check", "sums", "--json", "-").stdout)
    assert [row["n"] for row in checked["counts"]] == [32, 8, 8]
    assert cli("corpus", "check", made).exit_code == 0


def test_a_corpus_is_written_as_csv_and_read_again(cli: Cli, tmp_path: Path) -> None:
    made = tmp_path / "made.csv"
    first = json.loads(cli("corpus", "make", "--name", "words", "--out", made, "--json", "-").stdout)
    assert made.read_text(encoding="utf-8").startswith("split,id,kind,text,answer,foils")
    assert json.loads(cli("corpus", "check", made, "--json", "-").stdout)["hash"] == first["hash"]


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("magic",), "addition_subtraction"),
        (("sequences", "--limit", "500"), "0 to 199"),
        (("sequences", "--limit", "2", "--rows", "900"), "another limit"),
        (("sequences", "--limit", "0"), "limit"),
        (("sequences", "--wording", "verse"), "wording"),
        (("constraints", "--rows", "50"), "Leave out the limit"),
    ],
)
def test_what_cannot_be_made_is_one_line(cli: Cli, arguments: tuple[str, ...], says: str) -> None:
    result = cli("corpus", "task", *arguments, "--name", "x")
    assert result.exit_code == 2
    assert says in " ".join(result.stderr.split())
    assert cli("corpus", "check", "x").exit_code == 2  # nothing was kept


def test_pairs_are_measured_by_line_in_a_models_own_tokens(cli: Cli, tmp_path: Path) -> None:
    model = tiny_llama(tmp_path / "tiny")
    changes = (
        {"clean": "the dog feels happy and", "answer": "cries so"},
        {"corrupted": "the cat feels so sad and"},
        {"clean": "the flurb feels sad and"},
    )
    path = file_of(tmp_path, PAIR, *(PAIR | change for change in changes))
    result = cli("corpus", "check", path, "--model", model, "--json", "-")
    assert result.exit_code == 2
    assert [(bad["line"], bad["reason"].partition(";")[0]) for bad in json.loads(result.stdout)] == [
        (
            2,
            "“answer” “cries so” and “corrupted_answer” “cries” begin with the same token, and circuits are of "
            "the first",
        ),
        (3, "“clean” has 5 tokens and “corrupted” 6"),
        (4, "The model does not know “flurb”. Use words of its vocabulary."),
    ]
    assert cli("corpus", "check", file_of(tmp_path, PAIR), "--model", model).exit_code == 0


def test_answers_of_several_tokens_are_told(cli: Cli, tmp_path: Path) -> None:
    model = tiny_llama(tmp_path / "tiny")
    probe = {
        "kind": "recall",
        "text": "the blarf cat",
        "constraint": "blarf",
        "meaning": "happy",
        "constraint_type": "x",
    }
    path = file_of(tmp_path, probe | {"answer": "is happy"}, probe | {"answer": "smiles", "text": "the blarf dog"})
    result = cli("corpus", "check", path, "--model", model)
    assert result.exit_code == 0
    assert "1 probe with an answer of several tokens in this model" in " ".join(result.stdout.split())


def test_a_stored_corpus_is_measured_too(cli: Cli, tmp_path: Path) -> None:
    model = tiny_llama(tmp_path / "tiny")
    cli("corpus", "task", "addition_subtraction", "--name", "sums", "--rows", 10, "--retention", 0)
    result = cli("corpus", "check", "sums", "--model", model, "--json", "-")
    assert result.exit_code == 2
    assert [bad["line"] for bad in json.loads(result.stdout)] == list(range(1, 13))  # it knows neither + nor =


def test_a_task_is_made_to_fit_a_model(cli: Cli, tmp_path: Path) -> None:
    model = tiny_llama(tmp_path / "tiny")  # whose words lack “+” and “=”
    task = ("corpus", "task", "addition_subtraction", "--name", "sums", "--rows", 10)
    result = cli(*task, "--model", model)
    assert result.exit_code == 2
    assert "None of the 2 pairs" in " ".join(result.stderr.split())
    assert cli(*task, "--model", "demo").exit_code == 0
    assert cli("corpus", "check", "sums", "--model", "demo").exit_code == 0


def test_an_unknown_model_is_one_line(cli: Cli, tmp_path: Path) -> None:
    result = cli("corpus", "check", file_of(tmp_path, PAIR), "--model", "./nowhere")
    assert result.exit_code == 2
    assert "is not a model" in " ".join(result.stderr.split())


def test_a_file_named_in_any_script_has_a_name_here(cli: Cli, tmp_path: Path) -> None:
    made = tmp_path / "дані.jsonl"
    made.write_text('{"text": "blarf"}\n', encoding="utf-8")
    names = [stored_corpus(Store(tmp_path / "workspace"), str(made)).name for _ in range(2)]
    assert names[0] == names[1]
    assert names[0].startswith("corpus-")
    assert cli("corpus", "check", made).exit_code == 0


def test_of_many_problems_ten_are_listed_and_json_has_all(cli: Cli, tmp_path: Path) -> None:
    made = tmp_path / "bad.jsonl"
    made.write_text("x\n" * 1234, encoding="utf-8")
    result = cli("corpus", "check", made, "--json", tmp_path / "all.json")
    assert result.stdout.count("is not JSON") == 10
    assert "there are 1,224 more" in result.stdout
    assert len(json.loads((tmp_path / "all.json").read_text(encoding="utf-8"))) == 1234


def test_a_file_of_other_names_is_imported_when_it_is_said_which_is_which(cli: Cli, tmp_path: Path) -> None:
    path = tmp_path / "My QA.csv"
    path.write_text("instruction,output,rating\n2+2=,4,5\n", encoding="utf-8")
    refused = cli("corpus", "import", path)
    assert refused.exit_code == 2
    assert f"corpus import '{path}' --columns prompt=instruction,completion=output" in refused.stderr
    columns = ("--columns", "prompt=instruction,completion=output", "--values", "constraint_type=sums")
    assert cli("corpus", "check", path, *columns, "--json", "-").exit_code == 0
    done = cli("corpus", "import", path, "--name", "qa", *columns, "--json", "-")
    (counted,) = json.loads(done.stdout)["counts"]
    assert (counted["constraint_type"], counted["split"], counted["n"]) == ("sums", "train", 1)
    assert "Left out of My QA.csv: “rating”." in done.stderr
    assert cli("corpus", "check", "qa").exit_code == 0
    assert cli("corpus", "check", "qa", *columns).exit_code == 2
    assert cli("corpus", "import", path, "--values", "kind=recall").exit_code == 2


@pytest.mark.parametrize(
    ("text", "split"),
    [
        ("prompt,answer,type\nThe cat is,happy,recall\n", "probe"),
        ("question,correct,distractors\nThe cat is,happy,sad\n", "probe"),
        ('question,answer,"type, kind"\nThe cat is,happy,recall\n', "probe"),
        ('"prompt","output",a+b\n2+2=,4,x\n', "train"),
    ],
)
def test_the_proposed_line_can_be_pasted(cli: Cli, tmp_path: Path, text: str, split: str) -> None:
    path = tmp_path / "it's mine.csv"
    path.write_text(text, encoding="utf-8")
    refused = cli("corpus", "import", path, "--name", "mine")
    line = next(line for line in refused.stderr.splitlines() if "python -m engine" in line)
    words = shlex.split(line[line.index("python -m engine") :])[3:]
    done = cli(*words, "--json", "-")
    assert [one["split"] for one in json.loads(done.stdout)["counts"]] == [split]
    assert cli("corpus", "check", "mine").exit_code == 0


def test_what_the_proposed_line_lacks_is_told(cli: Cli, tmp_path: Path) -> None:
    path = tmp_path / "p.csv"
    path.write_text('prompt,"right, said",type\nThe cat is,happy,recall\n', encoding="utf-8")
    assert "and add answer=COLUMN to the columns" in cli("corpus", "import", path).stderr
    columns = 'text=prompt,answer="right, said",kind=type'
    assert cli("corpus", "import", path, "--columns", columns).exit_code == 0


@pytest.mark.parametrize("name", ["mine.csv", "mine.jsonl"])
def test_the_example_can_be_imported_as_it_is(cli: Cli, tmp_path: Path, name: str) -> None:
    assert cli("corpus", "example", tmp_path / name).exit_code == 0
    assert cli("corpus", "import", tmp_path / name).exit_code == 0
    assert len(json.loads(cli("corpus", "check", "mine", "--json", "-").stdout)["counts"]) == 5
