"""A tokenizer that panics, hangs or fills the memory ends a process of its own, and is refused by name."""

import json
from pathlib import Path

import pytest

from engine.domain.errors import Damaged
from engine.domain.models import ModelSpec
from engine.models import tried
from engine.models.apart import apart
from engine.models.base import check_base, load_base, load_tokenizer
from engine.models.tokenizer_files import read_tokenizer
from engine.models.tried import refuse_harmful
from engine.models.vocabulary import unknown_words
from tests.tiny import tiny_corpus, tiny_llama, tiny_tokenizer

FOREVER = "{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    tiny_tokenizer().save_pretrained(tmp_path / "own")
    return tmp_path / "own"


def changed(folder: Path, name: str = "tokenizer.json", **fields: object) -> Path:
    path = folder / name
    path.write_text(json.dumps(json.loads(path.read_text(encoding="utf-8")) | fields), encoding="utf-8")
    return folder


PANICS = {"pre_tokenizer": {"type": "FixedLength", "length": 0}}


def test_one_that_panics_is_refused_wherever_it_is_read(tmp_path: Path) -> None:
    folder = changed(tiny_llama(tmp_path), **PANICS)
    spec = ModelSpec(name="panic", source="folder", location=str(folder))
    for read in (check_base, load_base, load_tokenizer):
        with pytest.raises(Damaged, match=r"the tokenizer cannot be read \(chunk"):
            read(spec)
    assert unknown_words(folder, tiny_corpus().words) == ()


def test_one_that_fills_the_memory(folder: Path) -> None:
    """Each step makes ten letters of one."""
    step = {"type": "Replace", "pattern": {"String": "a"}, "content": "a" * 10}
    with pytest.raises(Damaged, match=r"cannot be read \(it ended a process by signal 6: memory allocation of"):
        refuse_harmful(changed(folder, normalizer={"type": "Sequence", "normalizers": [step] * 12}))


@pytest.mark.parametrize("name", ["chat_template.jinja", "tokenizer_config.json"])
def test_a_template_that_never_ends(name: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tried, "LIMIT_S", 0.5)
    if name.endswith(".jinja"):
        (folder / name).write_text(FOREVER, encoding="utf-8")
    else:
        changed(folder, name, chat_template=[{"name": "default", "template": FOREVER}])
    with pytest.raises(Damaged, match=r"own is damaged: the tokenizer cannot be read \(it takes longer than 0\.5 s\)"):
        read_tokenizer(folder)


def test_a_template_that_fills_the_memory(folder: Path) -> None:
    (folder / "chat_template.jinja").write_text("{% set x = 'x' * 5000000000 %}{{ x }}", encoding="utf-8")
    with pytest.raises(Damaged, match="its chat template takes too much memory"):
        read_tokenizer(folder)


def test_what_people_have_passes_and_is_tried_once(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    template = "{% for m in messages %}{% generation %}{{ m['content'] | tojson }}{% endgeneration %}{% endfor %}"
    (folder / "chat_template.jinja").write_text(template, encoding="utf-8")
    refuse_harmful(folder)
    monkeypatch.setattr(tried, "apart", lambda *_, **__: pytest.fail("tried again"))
    refuse_harmful(folder)
    with pytest.raises(pytest.fail.Exception, match="tried again"):
        refuse_harmful(changed(folder, added_tokens=[]))


def test_without_a_process_it_is_read_as_before(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*_: object, **__: object) -> None:
        raise BlockingIOError("no more processes")

    monkeypatch.setattr(tried, "_passed", set())
    monkeypatch.setattr(tried, "apart", refused)
    assert len(read_tokenizer(folder)) == len(tiny_tokenizer())


def test_what_ends_a_process_is_told() -> None:
    killed = apart("import os; os.abort()", None, limit_s=5)
    assert killed.why.startswith("it ended a process by signal 6")
    assert apart("sys.exit('no more')", None, limit_s=5).why == "it ended a process with code 1: no more"
    assert apart("while True: pass", None, limit_s=0.2).why == "it takes longer than 0.2 s"
    assert apart("while True: pass", None, limit_s=0.2, packages=True).why == "it takes longer than 0.2 s"
    assert "MemoryError" in apart("x = bytearray(10**10)", None, limit_s=5, n_bytes=10**9).why
    assert apart("print(json.dumps(given))", {"a": "é"}, limit_s=5).said == {"a": "é"}
