"""A small set that says it is huge is refused before memory is asked for."""

import json
import struct
import zipfile
from collections.abc import Callable
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from safetensors.torch import save_file

from engine.domain.errors import Damaged, InputError
from engine.domain.models import TranscoderMeta, TranscoderTraining
from engine.models.formats import layout
from engine.models.transcoders import load_transcoders, transcoders_hash
from tests.families import loaded_family
from tests.models.transcoder_folders import HOOKS, cross_layer, drawn, gemma_scope, saelens, sparsify, tracer
from tests.torch_peak import torch_peak

HUGE = 10**9
SMALL = 10**6  # bytes


def ours(folder: Path, n_features: int) -> None:
    """Layers of 40 features, whatever set.json says."""
    loaded = loaded_family("llama")
    training = TranscoderTraining(n_features=n_features)
    meta = TranscoderMeta(
        name="set", model=loaded.spec, training=training, checkpoints=(), n_layers=3, d_model=24,
        unexplained_variance=(0.0,) * 3,
    )  # fmt: skip
    (folder / "set.json").write_text(meta.to_json(), encoding="utf-8")
    for number, layer in enumerate(drawn(3, 24)):
        tensors = {"W_enc": layer.w_enc, "W_dec": layer.w_dec, "b_enc": layer.b_enc, "b_dec": layer.b_dec}
        save_file(tensors, folder / f"layer_{number}.safetensors")


def test_our_own_sets_are_held_to_their_files(tmp_path: Path) -> None:
    ours(tmp_path, HUGE)
    loaded = loaded_family("llama")
    with torch_peak() as peak, pytest.raises(Damaged, match=r"W_enc should be \(1000000000, 24\) and is \(40, 24\)"):
        load_transcoders(tmp_path, loaded)
    assert peak.n_bytes < SMALL
    ours(tmp_path, 40)
    assert load_transcoders(tmp_path, loaded).d_transcoder == 40


WRITTEN: dict[str, tuple[str, Callable[[Path], None]]] = {
    "ours": ("llama", lambda folder: ours(folder, 40)),
    "circuit-tracer": ("llama", lambda folder: tracer()(folder, drawn(3, 24))),
    "cross-layer": ("llama", lambda folder: cross_layer()(folder, drawn(3, 24))),
    "gemma scope": ("gemma2", lambda folder: gemma_scope()(folder, drawn(3, 24))),
    "saelens": ("llama", lambda folder: saelens("transcoder")(folder, drawn(3, 24))),
    "sparsify": ("llama", lambda folder: sparsify()(folder, drawn(3, 24))),
}


@pytest.mark.parametrize("kind", WRITTEN)
def test_what_is_larger_than_the_memory_is_refused_in_every_format(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A matrix of 40 features of 24 numbers is 3,840 bytes."""
    family, write = WRITTEN[kind]
    write(tmp_path)
    monkeypatch.setattr(layout, "free_memory", lambda device, wanted=0: 3839)
    with pytest.raises(
        InputError, match=r"takes 1 MB at once, and 1 MB are free on cpu\. Use a set with fewer features"
    ):
        load_transcoders(tmp_path, loaded_family(family))


def _claiming(folder: Path, said: Callable[[bytes], bytes], *, compression: int = zipfile.ZIP_STORED) -> None:
    """Rewrites the encoder of layer 1, an array in an npz file."""
    path = max(folder.rglob("params.npz"))
    with np.load(path) as arrays:
        found = dict(arrays)
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name, array in found.items():
            np.save(raw := BytesIO(), array)
            archive.writestr(f"{name}.npy", said(raw.getvalue()) if name == "W_enc" else raw.getvalue())


def _header(shape: str) -> bytes:
    text = f"{{'descr': '<f4', 'fortran_order': False, 'shape': {shape}, }}".ljust(117) + "\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text.encode()


@pytest.mark.parametrize("compression", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_an_array_is_held_to_its_bytes(compression: int, tmp_path: Path) -> None:
    gemma_scope()(tmp_path, drawn(3, 24))
    _claiming(tmp_path, lambda raw: _header(f"(24, {HUGE})") + raw[128:], compression=compression)
    with (
        torch_peak() as peak,
        pytest.raises(Damaged, match=r"W_enc\.npy says that it is \(24, 1000000000\) and has 3,840"),
    ):
        load_transcoders(tmp_path, loaded_family("gemma2"))
    assert peak.n_bytes < SMALL


def test_an_array_that_unpacks_a_thousandfold_is_not_unpacked(tmp_path: Path) -> None:
    gemma_scope()(tmp_path, drawn(3, 24))
    n = 200_000
    _claiming(tmp_path, lambda _: _header(f"(24, {n})") + bytes(4 * 24 * n), compression=zipfile.ZIP_DEFLATED)
    with torch_peak() as peak, pytest.raises(Damaged, match=r"W_enc\.npy has 19,200,000 bytes, packed into"):
        load_transcoders(tmp_path, loaded_family("gemma2"))
    assert peak.n_bytes < SMALL


def test_an_npz_file_in_a_way_of_packing_that_is_not_known(tmp_path: Path) -> None:
    gemma_scope()(tmp_path, drawn(3, 24))
    path = max(tmp_path.rglob("params.npz"))
    raw = bytearray(path.read_bytes())
    for mark, place in ((b"PK\x03\x04", 8), (b"PK\x01\x02", 10)):  # of each entry, in the file and in its list
        at = raw.index(mark)
        raw[at + place] = 99
    path.write_bytes(bytes(raw))
    with pytest.raises(Damaged, match="it is not an npz file of numbers"):
        load_transcoders(tmp_path, loaded_family("gemma2"))


@pytest.mark.parametrize(
    "text",
    [
        HOOKS + "\n".join(["a0: &a0 [x, x]", *(f"a{i + 1}: &a{i + 1} [*a{i}, *a{i}]" for i in range(60)), "k: *a60"]),
        "[" * 100_000,
        HOOKS + "k: " + "x" * 300_000,
        "feature_input_hook: !!python/object/apply:os.system [ls]\n",
    ],
    ids=["references", "deep", "long", "code"],
)
def test_a_config_that_grows_while_it_is_read(text: str, tmp_path: Path) -> None:
    tracer()(tmp_path, drawn(3, 24))
    (tmp_path / "config.yaml").write_text(text, encoding="utf-8")
    for read in (lambda: load_transcoders(tmp_path, loaded_family("llama")), lambda: transcoders_hash(tmp_path)):
        with pytest.raises(Damaged, match=r"config\.yaml is damaged"):
            read()


@pytest.mark.parametrize("name", ["k", "num_latents"])
def test_what_a_config_counts_is_held_to_the_tensors(name: str, tmp_path: Path) -> None:
    sparsify()(tmp_path, drawn(3, 24))
    path = max(tmp_path.rglob("cfg.json"))
    path.write_text(json.dumps(json.loads(path.read_text(encoding="utf-8")) | {name: HUGE}), encoding="utf-8")
    with torch_peak() as peak, pytest.raises((Damaged, InputError), match=f"{HUGE}"):
        load_transcoders(tmp_path, loaded_family("llama"))
    assert peak.n_bytes < SMALL
