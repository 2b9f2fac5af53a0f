"""The command line that makes one run of a study again."""

import shlex

from engine.domain.decisions import DecisionSettings
from engine.domain.methods import MethodSettings
from engine.domain.runs import RunConfig

_METHOD_OPTIONS = {
    "--critical-rank": "critical_rank",
    "--critical-layers": "n_critical",
    "--layer": "critical_layers",
    "--prior": "prior",
    "--probe-steps": "probe_steps",
    "--edges": "n_edges",
    "--last-edges": "last_n_edges",
    "--discover-every": "discover_every",
}


def train_command(config: RunConfig) -> str:
    """`python -m engine train …` with every setting that is not the option's default; gives an equal RunConfig.

    For runs of the bundled model. Its corpora must be in the workspace: a study keeps those that it makes. There is no
    option for `scoring` and `share` of `method_settings`.
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
    words += _method_words(config.method_settings)
    for field, usual in DecisionSettings():
        value = getattr(config.decisions, field)
        words += ["--decide", f"{field}={value}"] if value != usual else []
    return shlex.join(["python", "-m", "engine", "train", *words])


def _method_words(settings: MethodSettings) -> list[str]:
    words: list[str] = []
    for option, field in _METHOD_OPTIONS.items():
        value = getattr(settings, field)
        if value != MethodSettings.model_fields[field].default:
            for one in value if isinstance(value, tuple) else (value,):
                words += [option, str(one)]
    return words
