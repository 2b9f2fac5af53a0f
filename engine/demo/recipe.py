"""What the bundled demo consists of: names, settings, default comparisons."""

from engine.domain.corpus import CorpusSpec
from engine.domain.graphs import TraceSettings
from engine.domain.models import TranscoderTraining
from engine.domain.runs import RunConfig

CORPUS = "demo"
RUN_A, RUN_B = "demo-lora", "demo-tokens"
TRANSCODERS = "demo-shared"
N_STEPS = 300
MAIN_STEPS = (75, 150, 225, 300)  # 25, 50, 75 and 100 %
# Words are learned within the first hundred steps, so most of the curve's points lie there.
CURVE_STEPS = (10, 20, 30, 40, 50, 60, 90, 105, 120, 135, 200, 250)
TIMELAPSE_STEPS = (0, *MAIN_STEPS)  # of the time-lapse that is there from the start
PROMPTS = ("the cat feels blarf and", "the bird that glide ends")  # the first inference probe of each type
COMPARISONS = (("demo-lora@base", "demo-lora@100%"), ("demo-lora@100%", "demo-tokens@100%"))
# Of about 100,000 edges: all into the outputs, all that the default pruning keeps, and of the rest those that
# contribute most. Measures are taken before; the demo stays below 15 MB.
TRACING = TraceSettings(max_edges=12_500)
MIN_PROBES = 30  # for each constraint type and kind, after those were dropped that the base model fails


def corpus_spec(seed: int) -> CorpusSpec:
    """The candidates; the build drops probes that the base model does not answer with the known word."""
    return CorpusSpec(name=CORPUS, seed=seed)


def run_configs(seed: int) -> tuple[RunConfig, RunConfig]:
    """The two finished runs: the lookup table and the meaning."""
    capture = tuple(step / N_STEPS for step in (*MAIN_STEPS, *CURVE_STEPS))
    lora = RunConfig(
        name=RUN_A,
        corpus=CORPUS,
        method="lora",
        n_steps=N_STEPS,
        learning_rate=2e-3,
        rank=4,  # as good as 8 here, and 16 checkpoints take 3 MB
        alpha=16,
        capture=capture,
        seed=seed,
    )
    # At 3e-2 the embeddings overshoot in the first steps, and on some seeds words stay stuck on another's meaning.
    tokens = lora.model_copy(update={"name": RUN_B, "method": "tokens", "learning_rate": 5e-3})
    return lora, tokens


def transcoder_training(seed: int) -> TranscoderTraining:
    """Wider and longer than by default: one set has to explain all 34 checkpoints, each with some hundred texts."""
    return TranscoderTraining(n_features=640, top_k=32, n_steps=3000, n_texts=20_000, seed=seed)
