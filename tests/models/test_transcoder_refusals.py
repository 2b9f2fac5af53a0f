"""What a transcoder set says that is not computed here is refused by name; and what a set's hash tells apart."""

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from engine.domain.errors import Damaged, InputError, ModelUnavailable
from engine.models.replacement import Replacement
from engine.models.transcoders import load_transcoders, transcoders_hash
from tests.families import loaded_family
from tests.models.transcoder_folders import (
    HOOKS,
    KINDS,
    cross_layer,
    drawn,
    gemma_scope,
    gemma_scope_2,
    old_saelens,
    old_sparsify,
    saelens,
    sparsify,
    tracer,
)

Write = Callable[..., None]
Change = Callable[[Path], object]


def nothing(_: Path) -> None: ...


def tensors(name: str, change: Callable[[dict[str, torch.Tensor]], object]) -> Change:
    def apply(folder: Path) -> None:
        path = next(folder.rglob(name))
        found = load_file(path)
        change(found)
        save_file({key: tensor.clone(memory_format=torch.contiguous_format) for key, tensor in found.items()}, path)

    return apply


def config(folder: Path, **changed: object) -> None:
    """Of the last layer."""
    path = max([*folder.rglob("cfg.json"), *folder.rglob("config.json")])
    path.write_text(json.dumps(json.loads(path.read_text(encoding="utf-8")) | changed), encoding="utf-8")


def yaml(text: str) -> Change:
    return lambda folder: (folder / "config.yaml").write_text(text, encoding="utf-8")


def lens(**changed: object) -> Write:
    return saelens("transcoder", **changed)


def metadata(**changed: object) -> Change:
    def apply(folder: Path) -> None:
        path = folder / "blocks.1/cfg.json"
        content = json.loads(path.read_text(encoding="utf-8"))
        content["metadata"] |= changed
        path.write_text(json.dumps(content), encoding="utf-8")

    return apply


REFUSED: list[tuple[str, Write, Change, str]] = [
    # circuit-tracer's own form
    ("llama", tracer("activation: groupmax\n"), nothing, "the activation “groupmax” is not known"),
    ("llama", tracer("activation: topk\n"), nothing, r"not how many\. Add a line “k: N”"),
    ("llama", tracer("top_k: 5\n"), nothing, "it says top_k, of which is not known what it does"),
    ("llama", tracer("activation_fn: gelu\n"), nothing, "it says activation_fn, of which is not known"),
    ("llama", tracer("activation: topk\nk: 41\n"), nothing, "k is 41, but a layer has 40 features"),
    ("llama", tracer("activation: relu\n", thresholds=True), nothing, "config.yaml says relu, but it holds thresholds"),
    ("llama", tracer("activation: topk\nk: 3\n", thresholds=True), nothing, "says topk, but it holds thresholds"),
    ("llama", tracer("activation: jumprelu\n"), nothing, "config.yaml says jumprelu, but it holds no thresholds"),
    ("llama", tracer(), yaml(f"model_kind: diffing\n{HOOKS}"), "model_kind “diffing” is not known"),
    ("llama", tracer(), yaml(HOOKS.replace("mlp.hook_in", "attn.hook_in")), "read at “attn.hook_in”, which is not a"),
    ("llama", tracer(), yaml(HOOKS.replace("mlp.hook_out", "hook_resid_post")), "write at “hook_resid_post”, which"),
    ("llama", tracer(), tensors("layer_0*", lambda t: t.update(scale=t["b_dec"])), "it holds “scale”, of which is not"),
    ("llama", tracer(), tensors("layer_0*", lambda t: t.update(log_thresholds=t["b_enc"])), "stored as logarithms"),
    ("llama", tracer(), lambda folder: (folder / "layer_1.safetensors").unlink(), "has no transcoder for layer 1, c"),
    ("llama", tracer(skip=True), tensors("layer_2*", lambda t: t.pop("W_skip")), "skip connection in some layers only"),
    ("llama", lambda f, layers: tracer()(f, layers * 2), nothing, "for a model with 6 layers and d_model 24; “"),
    ("llama", lambda f, _: tracer()(f, drawn(3, 16)), nothing, "for a model with 3 layers and d_model 16; “"),
    ("llama", lambda f, layers: tracer()(f, [*layers[:2], *_wide()]), nothing, "with 40 features and layers with 41"),
    ("llama", tracer(), yaml(f"transcoders: [hf://some/set/x.npz]\n{HOOKS}"), "lists files on the hub"),
    # cross-layer
    ("llama", cross_layer(), lambda folder: (folder / "W_enc_2.safetensors").unlink(), "no transcoder for layer 2"),
    ("llama", cross_layer(), tensors("W_enc_1*", lambda t: t.update(W_skip_1=t["b_dec_1"])), "it holds “W_skip_1”"),
    ("llama", cross_layer("activation: batchtopk\n"), nothing, "the activation “batchtopk” is not known"),
    ("llama", cross_layer("transcoders: [a]\n"), nothing, "listed file by file are not read"),
    # Gemma Scope
    ("llama", gemma_scope(), nothing, "made for Gemma 2; “tiny-llama” is a Llama model"),
    ("gemma2", gemma_scope(), lambda folder: shutil.rmtree(folder / "layer_1"), "has no transcoder for layer 1"),
    ("gemma2", gemma_scope(), lambda folder: _again(folder / "layer_0/width_16k"), "several tr"),
    ("gemma2", gemma_scope(), lambda folder: (folder / "layer_1").rename(folder / "one"), "not say for which layer"),
    ("gemma3_text", gemma_scope_2(type="sae"), nothing, "it is of type “sae”, and only transcoders"),
    ("gemma3_text", gemma_scope_2(architecture="topk"), nothing, "the architecture “topk” is not known"),
    ("gemma3_text", gemma_scope_2(hf_hook_point_in="model.layers.0.output"), nothing, "at “model.layers.0.output”"),
    ("gemma3_text", gemma_scope_2(), tensors("params.s*", lambda t: t.update(w_dec=_deep(t))), "cross-layer transco"),
    # SAELens
    ("llama", saelens("gated"), nothing, "the architecture “gated” is not one of"),
    ("llama", saelens("standard"), metadata(hook_name_out=None), "autoencoder at blocks.1.mlp.hook_in: it w"),
    ("llama", saelens("standard"), metadata(hook_name_out="blocks.1.mlp.hook_in"), "sparse autoencoder at blocks.1"),
    ("llama", lens(normalize_activations="layer_norm"), nothing, "normalize_activations is “layer_norm”"),
    ("llama", lens(normalize_activations="expected_average_only_in"), nothing, "is “expected_average_only_in”"),
    ("llama", lens(apply_b_dec_to_input=True), nothing, "apply_b_dec_to_input is “True”"),
    ("llama", lens(reshape_activations="hook_z"), nothing, "reshape_activations is “hook_z”"),
    ("llama", lens(activation_fn="tanh-relu"), nothing, "activation_fn is “tanh-relu”"),
    ("llama", lens(rescale_acts_by_decoder_norm=True), nothing, "rescale_acts_by_decoder_norm is “True”"),
    ("llama", old_saelens(finetuning_scaling_factor=True), nothing, "finetuning_scaling_factor is “True”"),
    ("llama", lens(), metadata(hook_head_index=2), r"one attention head \(hook_head_index is 2\)"),
    ("llama", lens(), metadata(hook_name="blocks.1.attn.hook_z"), "read at “blocks.1.attn.hook_z”"),
    ("llama", lens(), metadata(hook_name=None), r"does not say where it reads \(hook_name\)"),
    ("llama", lens(), metadata(hook_name_out=None), r"does not say where it writes \(hook_name_out\)"),
    ("llama", lens(), metadata(hook_name_out="blocks.2.hook_mlp_out"), "not in one and the same layer"),
    ("llama", lens(), metadata(hook_name="blocks.1.hook_resid_mid"), "do not all read and write at the same places"),
    ("llama", lens(), lambda folder: shutil.rmtree(folder / "blocks.2"), "has no transcoder for layer 2"),
    ("llama", saelens("topk", k=41), nothing, "k is 41, which should be 1 to 40"),
    ("llama", lens(), tensors("sae_w*", lambda t: t.update(scaling_factor=t["b_enc"])), "it holds “scaling_factor”"),
    # sparsify
    ("llama", sparsify(transcode=False), nothing, "sparse autoencoder: it writes where it reads"),
    ("llama", sparsify(transcode=None), nothing, "sparse autoencoder: it writes where it reads"),
    ("llama", sparsify(activation="groupmax"), nothing, "the activation “groupmax” is not supported here"),
    ("llama", sparsify(signed=True), nothing, "cfg.json says signed: True, of which is not known"),
    ("llama", sparsify("layers.{}"), nothing, "read at “layers.0”, which is not a place"),
    ("llama", sparsify("layers.{}.self_attn"), nothing, "read at “layers.0.self_attn”"),
    ("llama", sparsify(k=41), nothing, "k is 41, but a layer has 40 features"),
    ("llama", sparsify(), lambda folder: shutil.rmtree(folder / "layers.0.mlp"), "has no transcoder for layer 0"),
]  # fmt: skip


def _again(folder: Path) -> None:
    shutil.copytree(folder / "average_l0_3", folder / "average_l0_90")


def _wide() -> list[object]:
    return [type(drawn(1, 24)[0]).of(2, 24, 41)]


def _deep(found: dict[str, torch.Tensor]) -> torch.Tensor:
    return found["w_dec"][:, None].repeat(1, 3, 1)


@pytest.mark.parametrize(("family", "write", "change", "said"), REFUSED, ids=[row[3] for row in REFUSED])
def test_what_is_not_computed_is_refused_by_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, family: str, write: Write, change: Change, said: str
) -> None:
    monkeypatch.setattr("circuit_tracer.utils.hf_utils.hf_api.repo_info", _no_network)
    write(tmp_path, drawn(3, 24))
    change(tmp_path)
    with pytest.raises((InputError, ModelUnavailable), match=said) as refused:
        load_transcoders(tmp_path, loaded_family(family))
    assert re.search(r"(Use|Give|Add|Keep|Connect|give) ", str(refused.value))  # what to do


def _no_network(*_: object, **__: object) -> None:
    raise ConnectionError("no network")


def test_gemma_scopes_autoencoders_are_told_by_their_folder(tmp_path: Path) -> None:
    for name, said in (("gemma-scope-2b-pt-res", "autoencoders"), ("gemma-scope-2b-pt-transcoders", "")):
        gemma_scope()(tmp_path / name, drawn(3, 24))
        if said:
            with pytest.raises(
                InputError, match="“gemma-scope-2b-pt-res” are autoencoders, which write where they read"
            ):
                load_transcoders(tmp_path / name, loaded_family("gemma2"))
        else:
            assert load_transcoders(tmp_path / name, loaded_family("gemma2")).n_layers == 3


def test_a_place_that_this_family_does_not_have_is_refused_before_any_work(tmp_path: Path) -> None:
    tracer()(tmp_path, drawn(3, 24))
    yaml(HOOKS.replace("mlp.hook_in", "ln2.hook_normalized"))(tmp_path)
    loaded = loaded_family("olmo2")  # no norm before its MLPs
    with pytest.raises(InputError, match=r"read at “ln2\.hook_normalized”, which a OLMo 2 model does not have"):
        Replacement(loaded, load_transcoders(tmp_path, loaded))


def _cut(name: str) -> Change:
    def apply(folder: Path) -> None:
        path = next(folder.rglob(name))
        path.write_bytes(path.read_bytes()[:-50])

    return apply


def _remove(name: str) -> Change:
    return lambda folder: next(folder.rglob(name)).unlink()


def _objects(folder: Path) -> None:
    np.savez(next(folder.rglob("params.npz")), W_enc=np.array([{}], dtype=object))


DAMAGED: list[tuple[str, Write, Change, str]] = [
    ("llama", tracer(), _cut("layer_1*"), "layer_1.safetensors is damaged: it is not a safetensors file"),
    ("llama", tracer(), yaml("a: [\n"), "it is not YAML"),
    ("llama", tracer(), yaml("[]"), "config.yaml is damaged"),
    ("llama", tracer(), tensors("layer_1*", lambda t: t.update(W_dec=t["W_dec"][:7])), r"W_dec should be \(40, 24\)"),
    ("llama", tracer(), tensors("layer_1*", lambda t: t.pop("W_enc")), "W_enc should be a matrix and is missing"),
    ("llama", tracer(), tensors("layer_1*", lambda t: t["b_enc"].fill_(torch.inf)), "b_enc holds values"),
    ("llama", tracer(), tensors("layer_1*", lambda t: t.update(b_enc=t["b_enc"].to(torch.uint8))), "numbers but U8"),
    ("llama", cross_layer(), tensors("W_enc_1*", lambda t: t["b_dec_1"].fill_(torch.nan)), "b_dec_1 holds values"),
    ("llama", cross_layer(), _remove("W_dec_1*"), "W_dec_1.safetensors is damaged: the file is missing"),
    ("llama", cross_layer(), tensors("W_dec_1*", lambda t: t.update(W_dec_1=t["W_dec_1"][:, :1])), r"\(40, 2, 24\)"),
    ("gemma2", gemma_scope(), _cut("params.npz"), "it is not an npz file of numbers"),
    ("gemma2", gemma_scope(), _objects, "it is not an npz file of numbers .*of type object"),
    ("gemma3_text", gemma_scope_2(affine_connection=True), nothing, "do not agree whether there is affine_skip"),
    ("gemma3_text", gemma_scope_2(), _remove("config.json"), "config.json is damaged: the file is missing"),
    ("gemma3_text", gemma_scope_2(), lambda f: config(f, hf_hook_point_in=_IN.format(1)), "it is for layers 1 and 2"),
    ("llama", saelens("jumprelu_transcoder"), tensors("sae_w*", lambda t: t.pop("threshold")), "threshold should be"),
    ("llama", saelens("transcoder"), tensors("sae_w*", lambda t: t["b_enc"].fill_(torch.nan)), "b_enc holds values"),
    ("llama", saelens("transcoder"), _remove("cfg.json"), "cfg.json is damaged: the file is missing"),
    ("llama", sparsify(skip_connection=True), tensors("sae.s*", lambda t: t.pop("W_skip")), "W_skip should be"),
    ("llama", sparsify(num_latents=41), nothing, "it has 40 features, and cfg.json says 41"),
]  # fmt: skip
_IN = "model.layers.{}.pre_feedforward_layernorm.output"


@pytest.mark.parametrize(("family", "write", "change", "said"), DAMAGED, ids=[row[3] for row in DAMAGED])
def test_damage_names_the_file(tmp_path: Path, family: str, write: Write, change: Change, said: str) -> None:
    write(tmp_path, drawn(3, 24))
    change(tmp_path)
    with pytest.raises(Damaged, match=said):
        load_transcoders(tmp_path, loaded_family(family))


def test_a_folder_of_something_else_names_what_is_read(tmp_path: Path) -> None:
    (tmp_path / "model.safetensors").write_bytes(b"")
    with pytest.raises(InputError, match=r"no layer in a form that is known \(ours, circuit-tracer’s, Gemma Scope’s, "):
        load_transcoders(tmp_path, loaded_family("llama"))


@pytest.mark.parametrize("kind", [*KINDS, "cross-layer"])
def test_hashes_tell_contents_apart(tmp_path: Path, kind: str) -> None:
    write = KINDS[kind].write if kind in KINDS else cross_layer()
    one, again, other = (tmp_path / name for name in ("one", "again", "other"))
    for folder, layers in ((one, drawn(3, 24)), (again, drawn(3, 24)), (other, drawn(4, 24)[1:])):
        folder.mkdir()
        write(folder, layers)
    assert transcoders_hash(one) == transcoders_hash(str(again)) != transcoders_hash(other)
    last = max(path for path in again.rglob("*") if path.suffix in (".safetensors", ".npz"))
    last.write_bytes(last.read_bytes()[:-1] + b"!")  # the last number of the last layer
    assert transcoders_hash(again) != transcoders_hash(one)


def test_hashes_tell_configs_apart(tmp_path: Path) -> None:
    top = "activation: topk\nk: {}\n"
    written: dict[str, Write] = {
        "relu": tracer(),
        "top": tracer(top.format(5)),
        "top 6": tracer(top.format(6)),
        "lens": saelens("topk", k=5),
        "lens 6": saelens("topk", k=6),
        "scope": gemma_scope_2(),
        "scope it": gemma_scope_2(model_name="it"),
        "sparsify": sparsify(k=5),
        "sparsify 6": sparsify(k=6),
        "sparsify less b_dec": sparsify(transcode=None),
        "sparsify of 2024": old_sparsify,
        "cross-layer": cross_layer(),
        "cross-layer top": cross_layer(top.format(5)),
    }
    hashes = set()
    for name, write in written.items():
        (tmp_path / name).mkdir()
        write(tmp_path / name, drawn(3, 24))
        hashes.add(transcoders_hash(tmp_path / name))
    assert len(hashes) == len(written)


def test_hashes_of_sets_that_graphs_are_stored_by_stay_as_they_are(tmp_path: Path) -> None:
    """Names and contents of the layers' files; the config changed nothing."""
    for i in range(2):
        save_file({"W_enc": torch.arange(6.0).view(3, 2) + i}, tmp_path / f"layer_{i}.safetensors")
    wanted = transcoders_hash(tmp_path)
    assert wanted == "2bc068efc2d8e458"
    (tmp_path / "set.json").write_text("{}", encoding="utf-8")
    assert transcoders_hash(tmp_path) == wanted
    (tmp_path / "set.json").rename(tmp_path / "config.yaml")
    yaml(HOOKS)(tmp_path)
    assert transcoders_hash(tmp_path) == wanted
    assert transcoders_hash("gemma") == "3fb22a5597fb91ee"
