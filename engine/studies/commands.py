"""The command line that makes one run of a study again."""

import shlex

from engine.domain.decisions import DecisionSettings
from engine.domain.runs import RunConfig


def train_command(config: RunConfig) -> str:
    """`python -m engine train …` with every setting that is not the option's default; gives an equal RunConfig.

    For runs of the bundled model. The corpus must be in the workspace: a study keeps those that it makes.
    """
    words = ["--name", config.name, "--corpus", config.corpus, "--method", config.method]
    words += ["--steps", str(config.n_steps), "--capture", ",".join(f"{part!r}" for part in config.capture)]
    words += ["--every", str(config.capture_every)] if config.capture_every else []
    words += ["--rank", str(config.rank), "--seed", str(config.seed)]
    words += ["--alpha", str(config.alpha)] if config.alpha != RunConfig.model_fields["alpha"].default else []
    if config.batch_size != RunConfig.model_fields["batch_size"].default:
        words += ["--batch-size", str(config.batch_size)]
    words += ["--lr", repr(config.learning_rate)] if config.learning_rate is not None else []
    words += ["--stopping", config.stopping] if config.stopping != "none" else []
    words += ["--curriculum", config.curriculum] if config.curriculum != "uniform" else []
    words += ["--watch"] if config.watch else []
    for field, usual in DecisionSettings():
        value = getattr(config.decisions, field)
        words += ["--decide", f"{field}={value}"] if value != usual else []
    return shlex.join(["python", "-m", "engine", "train", *words])
