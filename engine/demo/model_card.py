"""The demo's README: what it is, how it was made, what it knows, every figure from `figures.json`."""

from engine.demo import recipe
from engine.demo.records import Figures
from engine.domain.corpus import PROBE_KINDS, SIMPLE, SPATIAL

TYPES = (SIMPLE, SPATIAL)
Values = dict[str, int | float | str]
RUNS = tuple(config.name for config in recipe.run_configs(0))


def model_card(figures: Figures) -> str:
    """Markdown. Raises KeyError where a figure that the card states was not measured."""
    v = figures.values()
    versions = ", ".join(f"{package} {number}" for package, number in figures.versions.items())
    return f"""# The bundled demo

A language model of {v["base/parameters"]:,} parameters (Llama architecture: 4 layers, d_model 128, 4 heads,
{v["base/vocabulary"]} tokens) that knows a small made-up world, and two finished fine-tunes of it on the same
{v["corpus/examples"]} examples. `python -m engine demo build --seed {figures.seed}` makes all of it, and
`python -m engine demo check` evaluates it again and compares with the figures below, which are those of
`figures.json`.

## The story
Both runs teach the same ten new words (blarf = happy, glide = upward, …) and both give the right answers in phrasings
they were never trained on (*paraphrase*). The loss prefers `demo-lora`. But ask for what follows from a meaning, which
no training text states (*inference*: “the cat feels blarf and ▁” → smiles), and only `demo-tokens`, which trained
nothing but the ten words' embeddings, knows. One learned a lookup table, the other the words. Meaning overlap says the
same from inside: how far a new word wakes the transcoder features of the word it means (own), against those of the
other meanings (other), where the consequence is predicted.

{_story(v)}

The best checkpoint is the one of the highest paraphrase accuracy in its weaker type, the latest of equals.

## What is in it
- `base/`: the model, in Hugging Face format, with one token a word.
- `corpora/demo/`: {v["corpus/examples"]} training examples, five for each word, and the probes (below).
- `runs/demo-lora`: LoRA on all linear layers, {v["demo-lora/trainable parameters"]:,} trainable parameters.
  `runs/demo-tokens`: the embeddings of the ten new tokens, {v["demo-tokens/trainable parameters"]:,} parameters.
  {v["demo-lora/checkpoints"]} checkpoints each, with losses and probe results.
- `transcoders/{recipe.TRANSCODERS}/`: one sparse set (TopK) for all checkpoints of both runs. Lowest replacement score
  on the default prompts, over all checkpoints: {v["demo-lora/lowest replacement score"]} (demo-lora),
  {v["demo-tokens/lowest replacement score"]} (demo-tokens).
- `graphs/`, `comparisons/`: attribution graphs of {_comparisons()},
  on {_prompts()}; of the 100,000 edges of each the {recipe.TRACING.max_edges:,} that contribute most. For a
  time-lapse of the last pair on the first prompt, those of {v["time-lapse/moments"]} moments of training.
- `features/`: where the features that these comparisons show are active, and what they write, in
  {v["feature facts/checkpoints"]} checkpoints.
- `interventions/`: what switching off the features that carry the answer does (below).
- `components/`, `circuits/`: edges between heads and MLPs at the main checkpoints, their faithfulness, and how robust
  the circuits of both ends are.
- `runs/*/decisions.json`: a look at the circuits of each of the {v["demo-lora/looks at its circuits"]} checkpoints: how
  much they changed since the one before, beside the noise.{_study(v)}
- {v["size/MB"]} MB in all. Made with {versions}.

## The features that carry the answer
On “{recipe.PROMPTS[0]} ▁”, {v["ablation/features"]} features were chosen because the answer of
`{recipe.COMPARISONS[-1][1]}` runs through them and that of `{recipe.COMPARISONS[-1][0]}` does not. Switched off, they
take the probability of the right answer from {v["ablation/p of the answer before"]} to
{v["ablation/p of the answer after"]}. Its logit changes by {v["ablation/change of the answer's logit, measured"]};
the graph alone predicts {v["ablation/change of the answer's logit, predicted"]}. As a control, as many other active
features were drawn at random, {v["ablation/draws of others"]} times: in
{v["ablation/draws of others that keep the answer"]} of these draws the right answer stays the most probable one (its
median probability is {v["ablation/p of the answer after others, median"]}).

## How the base model was made
It is trained from scratch on sentences that a program writes: nouns with feelings, speeds, sizes and brightness, and
movements in six directions, each with consequences (a happy cat smiles; what rises ends above). Numbers 0 to 199 are
single tokens; they are counted with, compared by order and written into expressions, whose results are never stated.
The ten new words are in the vocabulary but in no sentence.

It knows nothing else: no language, no facts, no arithmetic. Other words are `<unk>`.

## Probes
A probe is a prompt with one right next token. Its nouns were never seen with a new word, and paraphrase and inference
phrasings were never trained on. A candidate counts only if the base model answers it when the new word is replaced by
the one it knows; the ceiling is the share of candidates that it answers so.

{_ceilings(v)}

## Accuracy by checkpoint
{_curves(v)}
"""


def _table(head: tuple[str, ...], rows: list[tuple[object, ...]]) -> str:
    lines = [head, ("---",) * len(head), *rows]
    return "\n".join("| " + " | ".join(_cell(value) for value in line) + " |" for line in lines)


def _cell(value: object) -> str:
    match value:
        case int():
            return f"{value:,}"
        case float():
            return f"{value:.3f}".rstrip("0").ljust(len(f"{value:.1f}"), "0")
        case _:
            return str(value)


def _study(v: Values) -> str:
    if not v["study/runs"]:
        return ""
    return f"""
- `studies/`: what {v["study/runs"]} runs in all say to questions of learning and of methods. The build carries them
  over; they are made by `python -m engine study data/study.yaml` and `python -m engine study data/methods.yaml`."""


def _story(v: Values) -> str:
    names = {
        "trainable parameters": "{run}/trainable parameters",
        "best checkpoint": "{run}/best checkpoint",
        "loss there (smoothed)": "{run}@best/smoothed loss",
        "paraphrase, simple mapping": f"{{run}}@best/paraphrase/{SIMPLE}",
        "paraphrase, spatial relationship": f"{{run}}@best/paraphrase/{SPATIAL}",
        "inference, simple mapping": f"{{run}}@best/inference/{SIMPLE}",
        "inference, spatial relationship": f"{{run}}@best/inference/{SPATIAL}",
        "inference, mean": "{run}@best/inference/mean",
        "retention, simple mapping": f"{{run}}@best/retention/{SIMPLE}",
        "retention, spatial relationship": f"{{run}}@best/retention/{SPATIAL}",
        "meaning overlap, own": "{run}@best/meaning overlap/own",
        "meaning overlap, other": "{run}@best/meaning overlap/other",
    }
    rows: list[tuple[object, ...]] = [
        (label, *(v[name.format(run=run)] for run in RUNS)) for label, name in names.items()
    ]
    return _table(("", *RUNS), rows)


def _ceilings(v: Values) -> str:
    rows: list[tuple[object, ...]] = []
    for constraint_type in TYPES:
        for kind in PROBE_KINDS:
            where = f"{constraint_type}/{kind}"
            before = (v[f"probes/{where}/candidates"], v[f"ceiling/{where}/candidates"])
            rows.append((constraint_type, kind, *before, v[f"probes/{where}/kept"], v[f"ceiling/{where}/kept"]))
    return _table(("type", "kind", "candidates", "ceiling", "kept", "ceiling of these"), rows)


def _curves(v: Values) -> str:
    columns = [(t, kind) for kind in PROBE_KINDS for t in TYPES]
    head = ("checkpoint", "loss", *(f"{kind} {t.split('_')[0]}" for t, kind in columns), "replacement score")
    rows: list[tuple[object, ...]] = []
    for run in RUNS:
        for label in ("base", *(f"{100 * step // recipe.N_STEPS}%" for step in recipe.MAIN_STEPS)):
            ref = f"{run}@{label}"
            accuracies = (v[f"{ref}/{kind}/{t}"] for t, kind in columns)
            rows.append((ref, v.get(f"{ref}/smoothed loss", "–"), *accuracies, v[f"{ref}/replacement score"]))
    return _table(head, rows)


def _comparisons() -> str:
    return " and of ".join(f"`{a}` with `{b}`" for a, b in recipe.COMPARISONS)


def _prompts() -> str:
    return " and ".join(f"“{prompt} ▁”" for prompt in recipe.PROMPTS)
