"""Where a base model and its transcoders come from."""

from typing import Annotated, Literal

from pydantic import Field

from engine.domain.names import Name
from engine.domain.record import Record


class ModelSpec(Record):
    """One description for the bundled model, a local Hugging Face folder and a hub id alike."""

    name: Name
    source: Literal["bundled", "folder", "hub"]
    location: str = ""  # folder path or hub id (also ID@REVISION); empty for the bundled model
    transcoders: str = ""  # folder of a saved set or a published set of circuit-tracer; empty: train a shared set
    vocabulary: str = ""  # name of stored rows and tokenizer that an imported fine-tune adds; empty: the model's own
    dtype: Literal["float32", "bfloat16", "float16"] = "float32"
    device: str = "cpu"  # as torch writes it: cpu, cuda, cuda:1, mps


class Converted(Record):
    """What a folder in the workspace's cache was written from: one GGUF file, whose rounding its weights keep."""

    file: str  # where it lay
    sha256: str
    stored_as: str  # how the file held the weights, most of them first: "Q4_1, Q8_0, F32"
    weights_sha256: dict[str, str]  # of each safetensors file that was written


DEMO_MODEL = ModelSpec(name="demo", source="bundled")


class TranscoderTraining(Record):
    """How a shared transcoder set is trained (TopK sparse replacement of each MLP)."""

    n_features: Annotated[int, Field(ge=8)] = 512  # per layer
    top_k: Annotated[int, Field(ge=1)] = 16  # features active on a token
    n_steps: Annotated[int, Field(ge=1)] = 1800
    batch_tokens: Annotated[int, Field(ge=16)] = 256
    learning_rate: Annotated[float, Field(gt=0)] = 4e-3  # of Adam for the first tenth, then falling to 0 in a line
    n_texts: Annotated[int, Field(ge=1)] = 5000  # split evenly over the checkpoints
    seed: int = 0


# Texts that transcoders can learn from alone: of some ten tokens each, about as many tokens as a set that is trained
# here has features in a layer.
ENOUGH_TEXTS = 50


class TranscoderMeta(Record):
    """A transcoder set as an artefact: what it replaces and which checkpoints it has seen."""

    name: Name
    model: ModelSpec
    training: TranscoderTraining
    checkpoints: tuple[str, ...]  # "RUN@LABEL" of every checkpoint it was trained on
    n_layers: int
    d_model: int
    unexplained_variance: tuple[float, ...]  # per layer, over all the activations it was trained on
    n_texts: int | None = None  # that it read, of all checkpoints together: fewer than asked where memory or texts end
    start: str = ""  # name of the set with whose features it began; empty: from random ones
    scan: str = ""  # the circuit-tracer id of a published set

    @property
    def is_short(self) -> bool:
        """Whether it read fewer texts than were asked for, but for what did not divide evenly among checkpoints."""
        return self.n_texts is not None and self.n_texts + len(self.checkpoints) <= self.training.n_texts

    @property
    def n_few(self) -> int | None:
        """Texts of each checkpoint where these were all that there were, and fewer than ENOUGH_TEXTS; else None. A set
        that went on from another keeps what that one learned."""
        if self.n_texts is None or self.start or not self.is_short:
            return None
        each = self.n_texts // max(1, len(self.checkpoints))
        return each if each < ENOUGH_TEXTS else None

    @property
    def texts_read(self) -> str:
        """`624 of 5,000`; empty where it is not known."""
        if self.n_texts is None:
            return ""
        asked = self.training.n_texts
        return f"{self.n_texts:,} of {asked:,}" if self.n_texts < asked else f"{self.n_texts:,}"
