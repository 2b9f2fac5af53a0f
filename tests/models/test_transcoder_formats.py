"""Published transcoder sets: each is written in its layout, read, and computes what its formula says."""

from pathlib import Path

import numpy as np
import pytest
import torch
from circuit_tracer.transcoder import TranscoderSet
from circuit_tracer.transcoder.cross_layer_transcoder import CrossLayerTranscoder
from circuit_tracer.transcoder.single_layer_transcoder import SingleLayerTranscoder

from engine.attribution.features import describe
from engine.attribution.interventions import intervene_on
from engine.attribution.trace import trace_graph
from engine.domain.errors import InputError
from engine.domain.graphs import AttributionGraph, NodeKind
from engine.domain.models import ModelSpec
from engine.models.base import LoadedModel, load_base
from engine.models.families import family_of
from engine.models.formats import format_of
from engine.models.formats.hook_names import read_at, written_at
from engine.models.formats.on_disk import Npz, OnDisk, Stored
from engine.models.replacement import Replacement
from engine.models.transcoders import AnyTranscoders, load_transcoders
from tests.attribution.parts import Never, key, silent
from tests.families import loaded_family
from tests.models.transcoder_folders import (
    KINDS,
    TOP,
    Activation,
    Kind,
    bare_jump_relu,
    cross_layer,
    drawn,
    gemma_scope,
    jump_relu,
    relu,
    top_k,
    tracer,
    written_later,
)
from tests.tiny import tiny_llama

PROMPT = "the cat feels blarf and"
TARGETS = (20, 7, 33)


def read(kind: Kind, folder: Path, loaded: LoadedModel | None = None) -> AnyTranscoders:
    loaded = loaded or loaded_family(kind.family)
    kind.write(folder, drawn(loaded.n_layers, loaded.d_model))
    return load_transcoders(folder, loaded)


def in_memory(kind: Kind, loaded: LoadedModel) -> TranscoderSet:
    """The same set, built by hand."""
    layers = {}
    for number, layer in enumerate(drawn(loaded.n_layers, loaded.d_model)):
        own = SingleLayerTranscoder(
            loaded.d_model, len(layer.b_enc), lambda pre, layer=layer: kind.activation(pre, layer), number,
            skip_connection=kind.skip, device=torch.device("cpu"), dtype=torch.float32,
        )  # fmt: skip
        b_enc = layer.b_enc - layer.w_enc @ layer.b_dec if kind.less_b_dec else layer.b_enc
        tensors = {"W_enc": layer.w_enc, "W_dec": layer.w_dec, "b_enc": b_enc, "b_dec": layer.b_dec}
        own.load_state_dict(tensors | ({"W_skip": layer.skip} if kind.skip else {}))
        layers[number] = own
    return TranscoderSet(layers, kind.reads, kind.writes, scan="memory").requires_grad_(requires_grad=False)


def assert_same_graph(one: AttributionGraph, other: AttributionGraph) -> None:
    assert (one.kind == NodeKind.FEATURE).sum() > 10
    assert np.array_equal(one.index, other.index)
    assert np.array_equal(one.source, other.source)
    np.testing.assert_allclose(one.weight, other.weight, rtol=1e-4, atol=1e-5 * np.abs(other.weight).max())


@pytest.mark.parametrize("kind", KINDS)
def test_each_format_computes_its_formula(kind: str, tmp_path: Path) -> None:
    found, wanted = read(KINDS[kind], tmp_path), KINDS[kind]
    assert (found.feature_input_hook, found.feature_output_hook) == (wanted.reads, wanted.writes)
    x = torch.randn(30, 24, generator=torch.Generator().manual_seed(9))
    x[0] = 0  # where JumpReLU's first feature is at its threshold, which is not above it
    for number, layer in enumerate(drawn(3, 24)):
        features = found[number].encode(x)
        assert 0 < (features != 0).float().mean() < 0.9
        torch.testing.assert_close(features, wanted.encoded(layer, x), rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(found[number](x), wanted.output(layer, x), rtol=1e-4, atol=1e-5)
        assert wanted.activation not in (jump_relu, bare_jump_relu) or features[0, 0] == 0


@pytest.mark.parametrize(
    ("write", "activation"),
    [
        (cross_layer(), relu),
        (cross_layer(thresholds=True), bare_jump_relu),
        (cross_layer(f"activation: topk\nk: {TOP}\n"), top_k),
    ],
)
def test_cross_layer_transcoders_of_a_folder(tmp_path: Path, write: object, activation: Activation) -> None:
    found = read(Kind(write, activation), tmp_path)  # type: ignore[arg-type]
    assert isinstance(found, CrossLayerTranscoder)
    layers, x = drawn(3, 24), torch.randn(3, 6, 24, generator=torch.Generator().manual_seed(9))
    features = [activation(x[i] @ layer.w_enc.T + layer.b_enc, layer) for i, layer in enumerate(layers)]
    torch.testing.assert_close(found.encode(x), torch.stack(features), rtol=1e-4, atol=1e-5)
    output = torch.stack([layer.b_dec.expand(6, -1) for layer in layers])
    for i, layer in enumerate(layers):
        output[i:] += torch.einsum("pf,fld->lpd", features[i], written_later(layer, i, 3))
    torch.testing.assert_close(found.decode(found.encode(x)), output, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    "kind", ["circuit-tracer, TopK", "Gemma Scope", "Gemma Scope 2, affine", "SAELens 5", "sparsify, skip"]
)
def test_a_set_on_disk_is_traced_as_the_same_set_in_memory(kind: str, tmp_path: Path) -> None:
    loaded = loaded_family(KINDS[kind].family)
    traced = [
        trace_graph(Replacement(loaded, transcoders), key=key(PROMPT, targets=TARGETS))
        for transcoders in (read(KINDS[kind], tmp_path), in_memory(KINDS[kind], loaded))
    ]
    assert_same_graph(*traced)


def test_a_cross_layer_set_on_disk_is_traced(tmp_path: Path) -> None:
    loaded = loaded_family("llama")
    lazy = read(Kind(cross_layer()), tmp_path)
    whole = CrossLayerTranscoder(
        3, len(drawn(1, 24)[0].b_enc), 24, lazy_decoder=False, feature_input_hook="mlp.hook_in",
        feature_output_hook="mlp.hook_out", device=torch.device("cpu"), dtype=torch.float32,
    )  # fmt: skip
    for i, layer in enumerate(drawn(3, 24)):
        whole.W_enc.data[i], whole.b_enc.data[i], whole.b_dec.data[i] = layer.w_enc, layer.b_enc, layer.b_dec
        whole.W_dec[i].data.copy_(written_later(layer, i, 3))
    assert not any(name.startswith("W_enc") for name in lazy.state_dict())
    assert_same_graph(
        *(trace_graph(Replacement(loaded, one), key=key(PROMPT, targets=TARGETS)) for one in (lazy, whole))
    )


@pytest.mark.parametrize("kind", ["circuit-tracer", "SAELens, JumpReLU", "sparsify"])
def test_a_float32_set_beside_a_bfloat16_model(kind: str, tmp_path: Path) -> None:
    (tmp_path / "set").mkdir()
    spec = ModelSpec(name="tiny", source="folder", location=str(tiny_llama(tmp_path / "base")), dtype="bfloat16")
    loaded = load_base(spec)
    on_disk = Replacement(loaded, read(KINDS[kind], tmp_path / "set", loaded))
    whole = Replacement(loaded, in_memory(KINDS[kind], loaded))
    if kind == "SAELens, JumpReLU":  # the threshold is rounded with the rest
        for layer, transcoder in enumerate(whole.transcoders):
            transcoder.activation_function = on_disk.transcoders[layer].activation_function
    assert_same_graph(*(trace_graph(one, key=key(PROMPT, targets=TARGETS)) for one in (on_disk, whole)))


@pytest.mark.parametrize("kind", ["Gemma Scope", "Gemma Scope 2", "SAELens", "sparsify"])
def test_only_rows_of_decoders_are_read_and_one_encoder_at_a_time(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody asks for a whole decoder, whatever is done; and what is held is small."""
    loaded = loaded_family(KINDS[kind].family)
    replacement = Replacement(loaded, read(KINDS[kind], tmp_path))
    assert sum(parameter.numel() for parameter in replacement.transcoders.parameters()) == 3 * (40 + 24) + (
        3 * 40 if KINDS[kind].activation is jump_relu else 0
    )
    read_whole: list[str] = []
    mapped = Stored.mapped

    def counted(self: Stored) -> torch.Tensor:
        read_whole.append(self.name.lower())
        return mapped(self)

    def refused(_: OnDisk) -> torch.Tensor:
        raise AssertionError("a whole decoder was read")

    monkeypatch.setattr(Stored, "mapped", counted)
    monkeypatch.setattr(OnDisk, "W_dec", property(refused))
    graph = trace_graph(replacement, key=key(PROMPT, targets=TARGETS))
    assert sum("enc" in name for name in read_whole) == 3  # an encoder a layer
    feature = next(graph.node_id(row) for row in np.flatnonzero(graph.kind == NodeKind.FEATURE))
    read_whole.clear()
    assert intervene_on(replacement, graph, None, [feature], 0.0).changed == (feature,)
    # Of its layer before, and while it is changed; and each layer's for the prediction, one at a time.
    assert sum("enc" in name for name in read_whole) == 2 + 3
    layer, _, index = map(int, feature.split("/")[1:])
    facts = describe(replacement, None, [PROMPT], [(layer, index)], n_texts=1, report=silent, cancel=Never())
    assert facts[layer, index].max_activation > 0


def test_an_npz_file_is_mapped_unless_it_is_compressed(tmp_path: Path) -> None:
    for save, is_mapped in ((np.savez, True), (np.savez_compressed, False)):
        gemma_scope(save)(tmp_path / save.__name__, drawn(1, 24))
        file = Npz(tmp_path / save.__name__ / "layer_0/width_16k/average_l0_3/params.npz")
        assert torch.equal(file.mapped("W_enc"), drawn(1, 24)[0].w_enc.T)
        file.mapped("b_dec").zero_()  # changes this copy, never the file
        assert bool(file.mapped("b_dec").any()) == is_mapped
        assert bool(file._held) != is_mapped


def test_files_that_a_config_lists_may_be_gemma_scopes(tmp_path: Path) -> None:
    """As in circuit-tracer's “gemma”, whose files lie elsewhere."""
    gemma_scope()(tmp_path, drawn(3, 24))
    paths = [f"layer_{i}/width_16k/average_l0_{i + 3}/params.npz" for i in range(3)]
    listed = "".join(f"  - {path}\n" for path in paths)
    config = f"feature_input_hook: ln2.hook_normalized\nfeature_output_hook: hook_mlp_out\ntranscoders:\n{listed}"
    (tmp_path / "config.yaml").write_text(config, encoding="utf-8")
    loaded, x = loaded_family("gemma2"), torch.randn(5, 24)
    assert format_of(tmp_path).title == "circuit-tracer’s"
    found = load_transcoders(tmp_path, loaded)
    assert isinstance(found[1], OnDisk)
    torch.testing.assert_close(found[1](x), KINDS["Gemma Scope"].output(drawn(3, 24)[1], x))


def test_a_published_set_is_refused_before_its_files_are_fetched(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fetched: list[str] = []

    def whole(repo: str, **_: object) -> str:
        fetched.append(repo)
        return str(tmp_path)

    monkeypatch.setattr("engine.models.formats.published.is_cached", lambda name: False)
    monkeypatch.setattr("engine.models.hub.hf_hub_download", lambda **_: str(tmp_path / "config.yaml"))
    monkeypatch.setattr("engine.models.hub.snapshot_download", whole)
    loaded = loaded_family("llama")
    tracer("activation: topk\n")(tmp_path, drawn(3, 24))
    with pytest.raises(InputError, match=r"not how many.*k: N"):
        load_transcoders("some/set", loaded)
    assert fetched == []
    with pytest.raises(InputError, match="k is 128, but a layer has 40 features"):  # the one whose k is known
        load_transcoders("facebook/crv-8b-instruct-transcoders", loaded)
    tracer()(tmp_path, drawn(3, 24))
    assert load_transcoders("some/set", loaded).scan == "some/set"
    assert fetched == ["facebook/crv-8b-instruct-transcoders", "some/set"]


def test_names_of_hook_points() -> None:
    llama, gemma = (loaded_family(name) for name in ("llama", "gemma3_text"))
    plain, normed = family_of(llama.model), family_of(gemma.model)
    reads = {
        "mlp.hook_in": "mlp.hook_in",
        "mlp_in": "mlp.hook_in",
        "blocks.7.ln2.hook_normalized": "ln2.hook_normalized",
        "blocks.7.hook_mlp_in": "hook_resid_mid",
        "model.layers.7.mlp.input": "mlp.hook_in",
        "model.layers.7.post_attention_layernorm": "mlp.hook_in",
        "layers.7.post_attention_layernorm.input": "hook_resid_mid",
    }
    for name, wanted in reads.items():
        assert read_at(name, plain).hook == wanted
        assert read_at(name, plain).layer == (7 if "7" in name else None)
    assert read_at("layers.7.mlp", plain, side="input").hook == "mlp.hook_in"
    assert read_at("model.layers.7.pre_feedforward_layernorm.output", normed).hook == "mlp.hook_in"
    assert written_at("model.layers.7.post_feedforward_layernorm.output", normed).hook == "hook_mlp_out"
    assert written_at("model.layers.7.mlp", normed).hook == "mlp.hook_out"
    assert written_at("blocks.7.hook_mlp_out", plain).layer == 7
    assert written_at("transformer.h.7.mlp", family_of(loaded_family("gpt2").model)).layer == 7
