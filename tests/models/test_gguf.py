"""GGUF files: the model that is written is the one in the file, or none is."""

import struct
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from engine.domain.errors import Damaged, ModelUnavailable
from engine.domain.jobs import NeverCanceled, quiet
from engine.domain.models import ModelSpec
from engine.models import gguf as ours
from engine.models import real_model
from engine.models.base import LoadedModel, load_base
from engine.models.gguf_header import LIMIT_S, gguf_header
from engine.store.converted import converted_from
from tests import gguf_files

package = pytest.importorskip("gguf", reason="NO GGUF READER: pip install --no-deps -r requirements-real.txt")
TEXT = "the cat feels happy and so it smiles ."


def written(file: Path, *, dtype: str = "float32") -> LoadedModel:
    folder = ours.gguf_model(file, file.parent / "cache", "mine", dtype, quiet, NeverCanceled())
    return load_base(ModelSpec(name="mine", source="folder", location=str(folder), dtype=dtype))


def furthest(one: torch.nn.Module, other: torch.nn.Module) -> float:
    """Between their logits, over the range of these."""
    ids = torch.arange(3, 15)[None]
    with torch.no_grad():
        first, second = (model(input_ids=ids).logits.float() for model in (one, other))
    return float((first - second).abs().max() / (first.max() - first.min()))


@pytest.mark.parametrize("architecture", gguf_files.CONFIGS)
def test_a_family_comes_out_as_it_went_in(architecture: str, tmp_path: Path) -> None:
    model = gguf_files.made(architecture)
    file = gguf_files.write_gguf(tmp_path / "mine.gguf", model, architecture)
    loaded = written(file)
    assert furthest(model, loaded.model) < 1e-5
    config = loaded.model.config
    for name in ("head_dim", "sliding_window", "attn_logit_softcapping", "rope_theta", "rope_scaling", "n_positions"):
        assert getattr(config, name, None) == getattr(model.config, name, None), name
    if architecture in (
        "llama",
        "llama-3",
        "qwen2",
        "qwen3",
        "gpt2",
    ):  # the others' converters expect other tokens than these
        ids = loaded.tokenizer(TEXT, add_special_tokens=False)["input_ids"]
        assert ids == gguf_files.words()(TEXT)["input_ids"]


def test_the_weights_are_those_of_the_quantised_file(tmp_path: Path) -> None:
    model = gguf_files.made("llama")
    file = gguf_files.write_gguf(tmp_path / "mine.gguf", model, "llama", kind="Q8_0")
    loaded = written(file)
    about = converted_from(loaded.folder)
    assert about is not None
    assert (about.file, about.stored_as) == (str(file), "Q8_0, F32")
    assert about.sha256 == real_model._sha256(file)
    assert furthest(model, loaded.model) > 1e-4  # what was rounded off is gone
    held = model.model.layers[1].mlp.up_proj.weight.detach().numpy()
    rounded = package.dequantize(
        package.quantize(held, package.GGMLQuantizationType.Q8_0), package.GGMLQuantizationType.Q8_0
    )
    assert torch.equal(loaded.model.model.layers[1].mlp.up_proj.weight, torch.from_numpy(rounded))
    half = written(file, dtype="bfloat16")
    assert half.folder != loaded.folder
    assert half.model.dtype == torch.bfloat16
    assert (half.folder / "model.safetensors").stat().st_size < 0.6 * (
        loaded.folder / "model.safetensors"
    ).stat().st_size


def test_what_is_there_and_whole_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = gguf_files.write_gguf(tmp_path / "mine.gguf", gguf_files.made("llama"), "llama")
    weights = written(file).folder / "model.safetensors"
    before = weights.stat().st_mtime_ns
    with monkeypatch.context() as patched:
        patched.setattr(ours, "write_folder", lambda *_: pytest.fail("written again"))
        written(file)
    assert weights.stat().st_mtime_ns == before
    weights.write_bytes(weights.read_bytes()[:-1])
    assert written(file).folder == weights.parent
    gguf_files.write_gguf(file, gguf_files.made("qwen2"), "qwen2")  # another file of that name
    assert written(file).folder != weights.parent


def test_tokens_without_merges_are_put_together_by_their_scores(tmp_path: Path) -> None:
    file = gguf_files.write_gguf(tmp_path / "mine.gguf", gguf_files.made("llama"), "llama", pieces=True)
    tokenizer = written(file).tokenizer
    assert tokenizer.tokenize("the cat") == ["▁the", "▁c", "at"]


def test_no_reader_and_no_room_are_told_before_any_work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = gguf_files.write_gguf(tmp_path / "mine.gguf", gguf_files.made("llama"), "llama", kind="Q8_0")
    monkeypatch.setattr(ours, "write_folder", lambda *_: pytest.fail("begun"))
    with monkeypatch.context() as patched:
        patched.setattr(ours.shutil, "disk_usage", lambda _: SimpleNamespace(free=5))
        with pytest.raises(ModelUnavailable, match=r"As float32 its weights are \d+ MB, and the disk .* has 1 MB left"):
            written(file)
    with monkeypatch.context() as patched:
        patched.setattr(ours, "free_memory", lambda *_: 5)
        with pytest.raises(ModelUnavailable, match=r"writing them takes \d+ MB of memory, and 1 MB are free"):
            written(file)
    monkeypatch.setattr(ours, "READER", "a_package_that_nobody_has")
    with pytest.raises(
        ModelUnavailable, match=r"not installed\. Run `pip install --no-deps -r requirements-real\.txt`"
    ):
        written(file)


@pytest.mark.parametrize(
    ("architecture", "more", "said"),
    [
        ("llama", {"llama.rope.scaling.type": "yarn"}, "rope.scaling.type yarn, which transformers leaves out"),
        ("llama", {"llama.expert_count": 8}, "expert_count 8"),
        ("llama", {"llama.attention.head_count_kv": [2, 1]}, r"attention.head_count_kv \[\]"),
        ("llama", {"llama.attention.key_length": 16}, "attention.value_length 8"),
        ("llama", {"llama.attention.sliding_window": 3}, "attention.sliding_window 3"),
        ("gemma2", {"gemma2.block_count": 46}, "not how Gemma 2 27B scales its attention"),
        ("llama", {"llama.block_count": 1_000_000_000}, "block_count is 1,000,000,000"),
        ("llama", {"llama.embedding_length": 2**31}, "embedding_length is 2,147,483,648"),
        ("llama", {"llama.feed_forward_length": 32}, "should have 1,024"),
        ("llama", {"llama.block_count": 1}, r"blk\.1\.\S+ and \d+ more, which transformers leaves out"),
        ("llama", {"llama.block_count": 3}, r"blk\.2\.\S+ is missing"),
    ],
)  # fmt: skip
def test_another_model_than_the_one_in_the_file_is_not_written(
    architecture: str, more: dict[str, object], said: str, tmp_path: Path
) -> None:
    file = gguf_files.write_gguf(tmp_path / "mine.gguf", gguf_files.made(architecture), architecture, more=more)
    with pytest.raises((ModelUnavailable, Damaged), match=said):
        written(file)
    assert not list((tmp_path / "cache").glob("gguf/mine*"))


@pytest.mark.parametrize(
    ("architecture", "said"),
    [
        ("olmo2", "family OLMo 2, which transformers .* does not read"),
        ("mixtral", "family “mixtral”, which is not supported: its MLPs are mixtures"),
        ("rwkv6", "“rwkv6”, which is not supported. Use a GGUF file of one of these: Llama, "),
    ],
)
def test_another_family_is_refused_by_name(architecture: str, said: str, tmp_path: Path) -> None:
    writer = package.GGUFWriter(tmp_path / "mine.gguf", architecture)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    with pytest.raises(ModelUnavailable, match=said):
        written(tmp_path / "mine.gguf")


def test_other_rotations_and_a_file_without_all_weights_are_refused(tmp_path: Path) -> None:
    model = gguf_files.made("llama")
    file = gguf_files.write_gguf(tmp_path / "b.gguf", model, "llama", factors=(1.0, 1.0, 2.0, 4.0))
    with pytest.raises(ModelUnavailable, match=r"rope_freqs\.weight with other factors than Llama’s"):
        written(file)
    file = gguf_files.write_gguf(tmp_path / "a.gguf", gguf_files.made("llama"), "llama", leave_out="output_norm.weight")
    with pytest.raises(Damaged, match=r"output_norm\.weight is missing"):
        written(file)


def _head(n_tensors: int, n_fields: int, rest: bytes = b"", *, magic: bytes = b"GGUF", version: int = 3) -> bytes:
    return magic + struct.pack("<IQQ", version, n_tensors, n_fields) + rest


def _text(said: bytes) -> bytes:
    return struct.pack("<Q", len(said)) + said


HOSTILE: dict[str, tuple[bytes, str]] = {
    "empty": (b"", "the file has 0"),
    "no GGUF": (b"PK\x03\x04" + bytes(100), "does not begin as a GGUF file"),
    "version": (_head(0, 0, version=1), "of version 1"),
    "other byte order": (_head(0, 0, version=3 << 24), "of version 50331648"),
    "tensors": (_head(2**63, 1, bytes(100)), "it names 9,223,372,036,854,775,808 tensors"),
    "fields": (_head(1, 2**40, bytes(100)), "fields; at most 4,096 are read"),
    "cut": (_head(1, 1, _text(b"general.architecture")), "it names 4 bytes more, and the file has 0"),
    "long name": (_head(0, 1, struct.pack("<Q", 2**62)), "a name of 4,611,686,018,427,387,904 bytes"),
    "long text": (_head(0, 1, _text(b"a") + struct.pack("<IQ", 8, 2**62)), "bytes more, and the file has 0"),
    "long list": (_head(0, 1, _text(b"a") + struct.pack("<IIQ", 9, 0, 2**62)), "a is a list of 4,611,"),
    "lists in lists": (_head(0, 1, _text(b"a") + struct.pack("<IIQ", 9, 9, 3)), "a list of what is not known"),
    "kind": (_head(0, 1, _text(b"a") + struct.pack("<I", 77)), "of a kind that is not known"),
    "twice": (_head(0, 2, 2 * (_text(b"a") + struct.pack("<IB", 0, 1))), "it names a twice"),
    "sides": (_head(1, 0, _text(b"w") + struct.pack("<I", 2**31)), "w has 2,147,483,648 sides"),
    "nothing": (_head(0, 0), "family “”"),
}  # fmt: skip


@pytest.mark.parametrize("what", HOSTILE)
def test_a_hostile_file_is_refused(what: str, tmp_path: Path) -> None:
    content, said = HOSTILE[what]
    file = tmp_path / "mine.gguf"
    file.write_bytes(content)
    with pytest.raises((Damaged, ModelUnavailable), match=said):
        written(file)


def test_a_head_that_takes_too_long_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "mine.gguf"
    file.write_bytes(_head(0, 1, _text(b"a") + struct.pack("<IIQ", 9, 8, 200_000) + bytes(8 * 200_000)))
    assert gguf_header(file).lists == {"a": 200_000}
    monkeypatch.setattr("engine.models.gguf_header.LIMIT_S", 0.01)
    with pytest.raises(Damaged, match=r"takes longer than 0\.01 s"):
        gguf_header(file)
    assert LIMIT_S <= 5


@pytest.mark.real
def test_the_head_of_a_real_file() -> None:
    file = real_model._package_file()
    header = gguf_header(file)
    assert sum(one.n_numbers for one in header.tensors) == 134_515_008
    assert header.lists["tokenizer.ggml.tokens"] == 49_152
    ours.refuse_unread(file, header)
