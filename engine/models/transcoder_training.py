"""Train one transcoder set for the base model and every checkpoint that is to be compared with it."""

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import torch
from circuit_tracer.transcoder import TranscoderSet
from circuit_tracer.transcoder.single_layer_transcoder import SingleLayerTranscoder
from transformers import PreTrainedModel

from engine.domain.errors import InputError
from engine.domain.jobs import CancelToken, Report, part, turn
from engine.domain.models import TranscoderTraining
from engine.domain.numbers import count, memory, plural
from engine.models.base import LoadedModel
from engine.models.batches import batches, beginnings, padded, tokenised
from engine.models.replacement import Replacement, ReplacementModel
from engine.models.threads import side_by_side
from engine.models.transcoder_step import adam, train_step
from engine.models.transcoders import new_transcoders

# A checkpoint's merged model, made when it is its turn; None stands for the base.
Weights = Callable[[], PreTrainedModel | None]
_TEXTS_AT_ONCE = 128
_PAIRS_AT_ONCE = 128 * 128**2  # of places in them: longer texts are read fewer at once
_TELL_EVERY = 20  # steps
_CONSTANT = 0.1  # share of the steps at the full learning rate
_MEMORY = 2 * 2**30  # bytes of activations held at once; a large model is trained on fewer texts


@dataclass(frozen=True)
class Trained:
    """A trained set, per layer the share of the MLP outputs' variance that it leaves unexplained, and how many texts it
    read of all checkpoints together."""

    transcoders: TranscoderSet
    unexplained_variance: tuple[float, ...]
    n_texts: int


def train_transcoders(
    loaded: LoadedModel,
    checkpoints: Sequence[Weights],
    own: Sequence[str],
    plain: Sequence[str],
    training: TranscoderTraining,
    *,
    report: Report,
    cancel: CancelToken,
    start: TranscoderSet | None = None,
) -> Trained:
    """One set for all `checkpoints`, on `training.n_texts` texts shared evenly among them.

    Half of a checkpoint's texts are drawn from `own` (what it was fine-tuned and is asked on), half from `plain`;
    where one has too few, the other fills up. The same arguments give the same bits. `start` begins with the features
    of an existing set of the same size, so that they keep their meaning while a checkpoint is added.
    Raises InputError where no text can be used or `start` has another size, Canceled.
    """
    if start is not None and start.d_transcoder != training.n_features:
        raise InputError(
            f"A set with {training.n_features:,} features per layer cannot continue from one with "
            f"{start.d_transcoder:,}. Use the same number."
        )
    transcoders = new_transcoders(loaded, training.n_features, training.top_k)
    n_texts = max(2, training.n_texts // len(checkpoints))
    draw = _Draw(loaded, own, plain, n_texts, len(checkpoints), random.Random(training.seed))
    # What is trained on is read where it will be replaced.
    replacement = Replacement(loaded, transcoders)
    reading, learning = multiplications(loaded, draw.n_tokens, training)
    collecting = reading / (reading + learning)
    inputs, outputs = _collect(replacement, checkpoints, draw, part(report, 0.0, collecting), cancel)
    unexplained = [0.0] * loaded.n_layers

    def fit(layer: int, tell: Callable[[float], None]) -> None:
        generator = torch.Generator().manual_seed(1_000_003 * training.seed + layer)
        x, y = torch.cat(inputs[layer]), torch.cat(outputs[layer])
        inputs[layer], outputs[layer] = [], []
        if start is None:
            _initialise(transcoders[layer], x, y, generator)
        else:
            transcoders[layer].load_state_dict(start[layer].state_dict())
        unexplained[layer] = _fit(transcoders[layer], x, y, training, generator, tell)

    def progress(done: float, n_layers: int) -> None:
        cancel.check()
        message = f"Transcoders: {n_layers} of {plural(loaded.n_layers, 'layer')} trained"
        report(collecting + (1 - collecting) * done, message)

    side_by_side([partial(fit, layer) for layer in range(loaded.n_layers)], progress)
    return Trained(transcoders, tuple(unexplained), draw.n_drawn * len(checkpoints))


def multiplications(loaded: LoadedModel, n_tokens: int, training: TranscoderTraining) -> tuple[float, float]:
    """What the model takes for so many tokens, and what the steps of all layers take: they tell how long each takes
    beside the other."""
    a_pass = 2.0 * n_tokens * loaded.model.num_parameters()
    steps = 6.0 * training.n_steps * training.batch_tokens * training.n_features * loaded.d_model * loaded.n_layers
    return a_pass, steps


class _Draw:
    """Draws each checkpoint's texts; every call draws others, so that the set as a whole sees as many as there are."""

    def __init__(
        self,
        loaded: LoadedModel,
        own: Sequence[str],
        plain: Sequence[str],
        n_texts: int,
        n_checkpoints: int,
        rng: random.Random,
    ) -> None:
        (self._own, cut_own), (self._plain, cut_plain) = tokenised(loaded, own), tokenised(loaded, plain)
        self.n_cut = cut_own + cut_plain
        self._rng = rng
        if not self._own and not self._plain:
            raise InputError(
                f"Transcoders need texts to train on, and none of the {len(own) + len(plain)} given can be read by "
                "the model. Use a corpus written in words that the model knows."
            )
        prompts = self._own + self._plain
        per_text = sum(map(len, prompts)) / len(prompts) * loaded.n_layers * 2 * loaded.d_model * 4  # bytes, float32
        affordable = max(2, int(_MEMORY / per_text / n_checkpoints))
        self._n_texts = min(n_texts, affordable)
        self._n_own = min(len(self._own), max(self._n_texts // 2, self._n_texts - len(self._plain)))
        self._n_plain = min(len(self._plain), self._n_texts - self._n_own)
        self.n_drawn = self._n_own + self._n_plain  # of each checkpoint
        why = f"more would take over {memory(_MEMORY)}" if self.n_drawn == affordable else "there are no more"
        fewer = f" of {count(n_texts)}, as {why}" if self.n_drawn < n_texts else ""
        self.told = f"{plural(self.n_drawn, 'text')}{fewer}{beginnings(self.n_cut)}"
        self.n_tokens = round(sum(map(len, prompts)) / len(prompts) * self._n_texts * n_checkpoints)  # about

    def __call__(self) -> list[torch.Tensor]:
        return self._rng.sample(self._own, self._n_own) + self._rng.sample(self._plain, self._n_plain)


def _collect(
    replacement: Replacement,
    checkpoints: Sequence[Weights],
    draw: "_Draw",
    report: Report,
    cancel: CancelToken,
) -> tuple[list[list[torch.Tensor]], list[list[torch.Tensor]]]:
    """What each MLP reads and writes, per layer a list of (n_tokens, d_model), without padding and position 0."""
    n_layers = replacement.loaded.n_layers
    inputs: list[list[torch.Tensor]] = [[] for _ in range(n_layers)]
    outputs: list[list[torch.Tensor]] = [[] for _ in range(n_layers)]
    for number, weights in enumerate(checkpoints):
        cancel.check()
        told = turn(report, number, len(checkpoints))
        title = f"Activations of checkpoint {number + 1} of {len(checkpoints)}: {draw.told}"
        prompts = draw()
        with replacement.opened(weights()) as model:
            done = 0
            for some in batches(prompts, most=_TEXTS_AT_ONCE, most_pairs=_PAIRS_AT_ONCE):
                cancel.check()
                told(done / len(prompts), title)
                _collect_batch(model, some, inputs, outputs)
                done += len(some)
    return inputs, outputs


def _collect_batch(
    model: ReplacementModel,
    prompts: Sequence[torch.Tensor],
    inputs: list[list[torch.Tensor]],
    outputs: list[list[torch.Tensor]],
) -> None:
    tokens, keep = padded(prompts, model.device)

    def into(store: list[torch.Tensor]) -> Callable[[torch.Tensor], None]:
        return lambda values: store.append(values[keep].float().cpu())

    model.read(
        tokens,
        {layer: into(store) for layer, store in enumerate(inputs)},
        {layer: into(store) for layer, store in enumerate(outputs)},
    )


@torch.no_grad()
def _initialise(
    transcoder: SingleLayerTranscoder, x: torch.Tensor, y: torch.Tensor, generator: torch.Generator
) -> None:
    """Random directions scaled to pre-activations of about 1; decoders along their encoders; the mean as bias."""
    d_model = x.shape[1]
    directions = torch.randn(transcoder.W_enc.shape, generator=generator) / d_model**0.5 / x.std()
    transcoder.W_enc.copy_(directions)
    transcoder.W_dec.copy_(directions * 0.1)
    transcoder.b_dec.copy_(y.mean(0))


def _fit(
    transcoder: SingleLayerTranscoder,
    x: torch.Tensor,
    y: torch.Tensor,
    training: TranscoderTraining,
    generator: torch.Generator,
    progress: Callable[[float], None],
) -> float:
    """Train one layer; returns the unexplained share of variance over all of x, y (n_tokens, d_model)."""
    device, dtype = transcoder.W_enc.device, transcoder.W_enc.dtype
    transcoder.float().requires_grad_(requires_grad=True)  # optimised in float32 whatever the model's dtype
    variance = (y - y.mean(0)).pow(2).sum(-1).mean().clamp(min=1e-12)
    optimizer = adam(transcoder, training.learning_rate)
    # Small batches and a falling rate leave 0.017 of the variance unexplained where 600 steps of 1,024 tokens at a
    # constant rate leave 0.029 in the same time (layer 0 of the demo).
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda step: min(1.0, (1 - step / training.n_steps) / (1 - _CONSTANT))
    )
    with torch.enable_grad():
        for step in range(training.n_steps):
            if step % _TELL_EVERY == 0:
                progress(step / training.n_steps)
            rows = torch.randint(0, len(x), (training.batch_tokens,), generator=generator)
            train_step(transcoder, training.top_k, optimizer, x[rows].to(device), y[rows].to(device), variance)
            schedule.step()
    transcoder.requires_grad_(requires_grad=False)
    with torch.no_grad():
        chunks = zip(x.split(4096), y.split(4096), strict=True)
        error = sum(float((transcoder(a.to(device)).cpu() - b).pow(2).sum()) for a, b in chunks) / len(x)
    transcoder.to(dtype)
    return error / float(variance)
