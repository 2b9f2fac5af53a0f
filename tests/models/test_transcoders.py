"""Transcoder sets: what they compute, how they are trained, and what a broken or foreign one says."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from circuit_tracer.transcoder import TranscoderSet
from circuit_tracer.transcoder.activation_functions import JumpReLU
from circuit_tracer.transcoder.single_layer_transcoder import SingleLayerTranscoder
from safetensors.torch import load_file, save_file

from engine.domain.errors import Canceled, Damaged, InputError, ModelUnavailable
from engine.domain.models import TranscoderMeta, TranscoderTraining
from engine.models.adapters import merged_weights
from engine.models.base import LoadedModel, encode
from engine.models.threads import job
from engine.models.transcoder_training import Trained, train_transcoders
from engine.models.transcoders import ReluTopK, load_transcoders, new_transcoders, save_transcoders, transcoders_hash
from tests.attribution.parts import FOLDERS, Never, load, random_adapter, random_transcoders, silent

OWN = tuple(f"the {noun} feels {word} and" for noun in ("cat", "dog", "fox") for word in ("happy", "blarf", "sad"))
PLAIN = tuple(f"a {noun} that {verb} ends above ." for noun in ("star", "leaf", "ball") for verb in ("rises", "climbs"))
SMALL = TranscoderTraining(n_features=64, top_k=8, n_steps=60, batch_tokens=64, n_texts=40)


@pytest.fixture(scope="module")
def llama(tmp_path_factory: pytest.TempPathFactory) -> LoadedModel:
    return load("llama", tmp_path_factory.mktemp("llama"))


def train(loaded: LoadedModel, training: TranscoderTraining = SMALL, **options: object) -> Trained:
    texts = options.pop("texts", (OWN, PLAIN))
    return train_transcoders(
        loaded, [lambda: None], *texts, training,  # type: ignore[misc]
        **{"report": silent, "cancel": Never(), **options},  # type: ignore[arg-type]
    )  # fmt: skip


def saved(folder: Path, loaded: LoadedModel, transcoders: TranscoderSet) -> Path:
    meta = TranscoderMeta(
        name="tiny", model=loaded.spec, training=TranscoderTraining(n_features=48, top_k=6), checkpoints=("run@base",),
        n_layers=loaded.n_layers, d_model=loaded.d_model, unexplained_variance=(0.1, 0.2),
    )  # fmt: skip
    (folder / "set.json").write_text(meta.to_json(), encoding="utf-8")
    save_transcoders(folder, transcoders)
    return folder


def test_relu_top_k_by_hand() -> None:
    pre = torch.tensor([[3.0, -1.0, 2.0, 0.5], [-1.0, -2.0, -3.0, 0.1]])
    assert ReluTopK(2)(pre).tolist() == [[3.0, 0.0, 2.0, 0.0], [0.0, 0.0, 0.0, pytest.approx(0.1)]]


def test_training_explains_and_never_wakes_more_than_k(llama: LoadedModel) -> None:
    untrained = train(llama, SMALL.model_copy(update={"n_steps": 1})).unexplained_variance
    trained = train(llama)
    assert all(after < 0.3 * before for before, after in zip(untrained, trained.unexplained_variance, strict=True))
    assert all(0 < share < 0.3 for share in trained.unexplained_variance)
    for transcoder in trained.transcoders:
        assert not any(parameter.requires_grad for parameter in transcoder.parameters())
        assert (transcoder.encode(torch.randn(50, llama.d_model)) != 0).sum(-1).max() <= SMALL.top_k


def test_the_same_seed_gives_the_same_bits_whatever_torch_drew_before(llama: LoadedModel) -> None:
    first = train(llama).transcoders.state_dict()
    torch.randn(7)
    again = train(llama).transcoders.state_dict()
    other = train(llama, SMALL.model_copy(update={"seed": 1})).transcoders.state_dict()
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert not any(torch.equal(first[name], other[name]) for name in first)


@pytest.mark.parametrize("family", FOLDERS)
def test_what_is_trained_on_is_what_the_mlp_reads_and_writes(
    family: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Against plain Hugging Face modules, text by text: neither padding nor position 0 is among the tokens."""
    loaded = load(family, tmp_path / "base")
    merged = merged_weights(loaded, random_adapter(loaded, tmp_path / "adapter"))
    seen: dict[int, tuple[torch.Tensor, torch.Tensor]] = {}

    def keep(transcoder: SingleLayerTranscoder, x: torch.Tensor, y: torch.Tensor, *_: object) -> float:
        seen[transcoder.layer_idx] = (x, y)
        return 0.0

    monkeypatch.setattr("engine.models.transcoder_training._fit", keep)
    texts = [OWN[0], "the star rises .", PLAIN[0]]  # of different lengths
    training = TranscoderTraining(n_features=8, top_k=1, n_texts=3)
    train_transcoders(loaded, [lambda: merged], texts, [], training, report=silent, cancel=Never())
    for layer, (x, y) in seen.items():
        wanted = [_modules(merged, layer, encode(loaded, text), family) for text in texts]
        reads, writes = (torch.cat([pair[i][1:] for pair in wanted]) for i in (0, 1))
        assert x.shape == reads.shape
        _same_rows(x, reads)
        _same_rows(y, writes)


@torch.no_grad()
def _modules(
    model: torch.nn.Module, layer: int, tokens: torch.Tensor, family: str
) -> tuple[torch.Tensor, torch.Tensor]:
    block, kept = model.model.layers[layer], {}
    write = block.post_feedforward_layernorm if family == "gemma2" else block.mlp
    read = block.pre_feedforward_layernorm if family == "gemma2" else block.mlp
    hooks = [
        read.register_forward_pre_hook(lambda _, args: kept.__setitem__("x", args[0][0])),
        write.register_forward_hook(lambda _, __, out: kept.__setitem__("y", out[0])),
    ]
    model(input_ids=tokens)
    for hook in hooks:
        hook.remove()
    x = kept["x"]
    if family == "gemma2":  # its transcoders read the normalised stream, before the norm's own weights
        x = x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + model.config.rms_norm_eps)
    return x, kept["y"]


def _same_rows(a: torch.Tensor, b: torch.Tensor) -> None:
    def ordered(rows: torch.Tensor) -> torch.Tensor:
        return rows[rows[:, 0].argsort()]

    torch.testing.assert_close(ordered(a), ordered(b), rtol=1e-4, atol=1e-5)


def test_training_goes_on_from_an_existing_set(llama: LoadedModel) -> None:
    first = train(llama)
    refreshed = train(llama, SMALL.model_copy(update={"n_steps": 1}), start=first.transcoders)
    for old, new in zip(first.transcoders, refreshed.transcoders, strict=True):
        assert torch.cosine_similarity(old.W_enc, new.W_enc).min() > 0.9


def test_progress_and_cancel(llama: LoadedModel) -> None:
    said: list[float] = []
    train(llama, report=lambda fraction, message: said.append(fraction))
    assert said == sorted(said)
    assert 0 <= said[0] < said[-1] <= 1

    class Token:
        def __init__(self) -> None:
            self.left = 3

        def check(self) -> None:
            self.left -= 1
            if not self.left:
                raise Canceled

    with pytest.raises(Canceled):
        train(llama, cancel=Token())


def test_texts_that_the_model_cannot_read_are_left_out_and_none_at_all_is_refused(llama: LoadedModel) -> None:
    train(llama, SMALL.model_copy(update={"n_steps": 1}), texts=(["the cat rises .", "qwertz"], []))
    with pytest.raises(InputError, match="none of the 1 given"):
        train(llama, texts=(["qwertz"], []))


def test_a_large_model_sees_fewer_texts_rather_than_fill_the_memory(
    llama: LoadedModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[str] = []
    few = SMALL.model_copy(update={"n_steps": 1})
    assert train(llama, few, report=lambda _, message: told.append(message)).n_texts == len(OWN + PLAIN) == 15
    assert told[0] == "Activations of checkpoint 1 of 1: 15 texts of 40, as there are no more"
    monkeypatch.setattr("engine.models.transcoder_training._MEMORY", 16_000)  # 8 tokens x 2 layers x 2 x 32 x 4 bytes
    told.clear()
    assert train(llama, few, report=lambda _, message: told.append(message)).n_texts == 4
    assert told[0] == "Activations of checkpoint 1 of 1: 4 texts of 40, as more would take over 1 MB"


def test_more_active_features_than_features_is_refused(llama: LoadedModel) -> None:
    with pytest.raises(InputError, match=r"top_k is 9.*8 features"):
        new_transcoders(llama, 8, 9)


def test_a_saved_set_is_read_back_bit_for_bit(llama: LoadedModel, tmp_path: Path) -> None:
    original = random_transcoders(llama)
    read = load_transcoders(saved(tmp_path, llama, original), llama)
    assert all(torch.equal(value, read.state_dict()[name]) for name, value in original.state_dict().items())
    x = torch.randn(5, llama.d_model)
    assert torch.equal(original[0](x), read[0](x))
    other = tmp_path / "other"
    other.mkdir()
    save_transcoders(other, random_transcoders(llama, seed=1))
    assert transcoders_hash(tmp_path) == transcoders_hash(str(tmp_path)) != transcoders_hash(other)


def _truncate(folder: Path) -> None:
    path = folder / "layer_1.safetensors"
    path.write_bytes(path.read_bytes()[:-100])


def _replace(change: Callable[[dict[str, torch.Tensor]], object]) -> Callable[[Path], None]:
    def apply(folder: Path) -> None:
        tensors = load_file(folder / "layer_1.safetensors")
        change(tensors)
        save_file(tensors, folder / "layer_1.safetensors")

    return apply


@pytest.mark.parametrize(
    ("damage", "named"),
    [
        (_truncate, "layer_1.safetensors is damaged"),
        (lambda folder: (folder / "layer_1.safetensors").unlink(), "layer_1.safetensors is damaged: .* missing"),
        (_replace(lambda t: t.update(W_dec=t["W_dec"][:5])), r"W_dec should be \(48, 32\) and is \(5, 32\)"),
        (_replace(lambda t: t.pop("b_enc")), "b_enc should be .* missing"),
        (_replace(lambda t: t["b_dec"].fill_(float("nan"))), "b_dec holds values that are not finite"),
        (lambda folder: (folder / "set.json").write_text("{", encoding="utf-8"), "set.json is damaged"),
    ],
)  # fmt: skip
def test_damage_names_the_file(llama: LoadedModel, tmp_path: Path, damage: Callable[[Path], None], named: str) -> None:
    damage(saved(tmp_path, llama, random_transcoders(llama)))
    with pytest.raises(Damaged, match=named):
        load_transcoders(tmp_path, llama)


def test_a_set_for_another_model_is_refused(llama: LoadedModel, tmp_path: Path) -> None:
    folder = saved(tmp_path, llama, random_transcoders(llama))
    meta = TranscoderMeta.model_validate_json((folder / "set.json").read_text(encoding="utf-8"))
    (folder / "set.json").write_text(meta.model_copy(update={"n_layers": 26}).to_json(), encoding="utf-8")
    with pytest.raises(InputError, match=r"26 layers and d_model 32; “tiny-llama” has 2 layers"):
        load_transcoders(folder, llama)


def test_circuit_tracers_own_folders_are_read(llama: LoadedModel, tmp_path: Path) -> None:
    layers = {
        layer: SingleLayerTranscoder(
            32, 16, JumpReLU(torch.full((16,), 0.2), 0.1), layer, dtype=torch.float32, device=torch.device("cpu")
        )
        for layer in range(2)
    }
    original = TranscoderSet(layers, "mlp.hook_in", "mlp.hook_out")
    for parameter in original.parameters():
        parameter.data.copy_(torch.rand(parameter.shape, generator=torch.Generator().manual_seed(0)))
    original.to_safetensors(str(tmp_path))
    config = "model_kind: transcoder_set\nfeature_input_hook: mlp.hook_in\nfeature_output_hook: mlp.hook_out\n"
    (tmp_path / "config.yaml").write_text(config, encoding="utf-8")
    read = load_transcoders(tmp_path, llama)
    x = torch.randn(5, 32)
    assert torch.equal(original[1](x), read[1](x))
    (tmp_path / "config.yaml").write_text("model_kind: transcoder_set\n", encoding="utf-8")
    with pytest.raises(Damaged, match="feature_input_hook"):
        load_transcoders(tmp_path, llama)


def test_a_folder_without_a_set_and_a_published_set_without_network(llama: LoadedModel, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"neither set\.json nor config\.yaml"):
        load_transcoders(tmp_path, llama)
    shutil.rmtree(tmp_path)
    for name in ("gemma", "mwhanna/qwen3-0.6b-transcoders-lowl0", str(tmp_path)):
        with pytest.raises(ModelUnavailable, match=r"connect to the network.*a shared set is then trained here"):
            load_transcoders(name, llama)


def test_layers_trained_side_by_side_have_the_same_bits(llama: LoadedModel, monkeypatch: pytest.MonkeyPatch) -> None:
    alone = train(llama)
    monkeypatch.setattr("engine.models.threads._cores", lambda: llama.n_layers)
    with job():
        together = train(llama)
    assert together.unexplained_variance == alone.unexplained_variance
    for one, other in zip(alone.transcoders, together.transcoders, strict=True):
        assert all(torch.equal(value, other.state_dict()[name]) for name, value in one.state_dict().items())


def test_a_set_tells_how_many_texts_it_has_read(llama: LoadedModel) -> None:
    meta = TranscoderMeta(
        name="tiny", model=llama.spec, training=SMALL, checkpoints=("run@base",), n_layers=2, d_model=32,
        unexplained_variance=(0.1, 0.2),
    )  # fmt: skip
    told = [meta.model_copy(update={"n_texts": n}).texts_read for n in (None, 4, 40)]
    assert told == ["", "4 of 40", "40"]
