"""The demo's README: what it is, how it was built, what it knows. Every figure comes from `figures.json`."""

from engine.analysis.agreement import agreement_words, trust_words
from engine.demo import recipe
from engine.demo.predicted import CHOICES, N_TRIED, N_WORDS, stated_in
from engine.demo.records import Figures
from engine.domain.corpus import PROBE_KINDS, SIMPLE, SPATIAL
from engine.domain.numbers import count, decimal, percent

TYPES = (SIMPLE, SPATIAL)
Values = dict[str, int | float | str]
RUNS = tuple(config.name for config in recipe.run_configs(0))


def model_card(figures: Figures) -> str:
    """Markdown. Raises KeyError where a figure that the card states was not measured."""
    v = figures.values()
    versions = ", ".join(f"{package} {number}" for package, number in figures.versions.items())
    return f"""# The bundled demo

A language model of {count(int(v["base/parameters"]))} parameters (Llama architecture: 4 layers, d_model 128, 4 heads,
{v["base/vocabulary"]} tokens) that knows a small made-up world, and two finished fine-tunes of it on the same
{v["corpus/examples"]} examples. `python -m engine demo build --seed {figures.seed}` builds all of it.
`python -m engine demo check` measures it again and compares the results with the figures below, which are those of
`figures.json`.

## The story
Both runs learn the same ten new words (blarf = happy, glide = upward, …), and both answer nearly all phrasings that
they were never trained on (*paraphrase*). They differ in what follows from a meaning, which no training text states
(*inference*: “the cat feels blarf and ▁” → smiles). `demo-tokens`, which trained nothing but the embeddings of the ten
words, answers most inferences for {_words_right(v, "demo-tokens")} words, `demo-lora` for
{_words_right(v, "demo-lora")}.

The probes of one word are mostly right or wrong together, so the sample is ten words, not the number of probes: mean
accuracy is {_over_words(v, "demo-lora")} for `demo-lora` and {_over_words(v, "demo-tokens")} for `demo-tokens`, with
95% intervals over words. This is one run of each method; `studies/` has more seeds, on the same ten words.

The training loss of `demo-lora` is lower, but the two losses cannot be compared. The output matrix of `demo-tokens` is
frozen, so it cannot learn to predict the new words themselves, and that prediction makes up
{_new_word_share(v)} of the difference on the training texts. On the other tokens of held-out texts `demo-tokens` has
the lower loss: {decimal(_number(v, "demo-tokens@best/loss/other tokens, held out"))} against
{decimal(_number(v, "demo-lora@best/loss/other tokens, held out"))}.

Meaning overlap looks inside: how far a new word activates the transcoder features of the word it means (own), and
those of the other meanings (other), where the consequence is predicted.

{_story(v)}

The best checkpoint is the one with the highest paraphrase accuracy in its weaker type; of equals, the latest.

## What is in it
- `base/`: the model, in Hugging Face format, with one token per word.
- `corpora/demo/`: {v["corpus/examples"]} training examples, five for each word, and the probes (below).
- `runs/demo-lora`: LoRA on all linear layers, {count(int(v["demo-lora/trainable parameters"]))} trainable parameters.
  `runs/demo-tokens`: the embeddings of the ten new tokens, {count(int(v["demo-tokens/trainable parameters"]))}
  parameters.
  {v["demo-lora/checkpoints"]} checkpoints each, with losses and probe results.
- `transcoders/{recipe.TRANSCODERS}/`: one sparse set (TopK) for all checkpoints of both runs. The lowest replacement
  score on the default prompts over all checkpoints is {v["demo-lora/lowest replacement score"]} (demo-lora) and
  {v["demo-tokens/lowest replacement score"]} (demo-tokens).
- `graphs/`, `comparisons/`, `pairs/`: attribution graphs of {_comparisons()},
  on {_prompts()}. Of the 100,000 edges of each, {count(recipe.TRACING.max_edges)} are kept: those into the
  outputs, those that the default pruning keeps, and of the rest the ones that contribute most. Measures are taken
  before. A time-lapse of the last pair on the first prompt has {v["time-lapse/moments"]} checkpoints.
- `acted/`: where training acted, for the same comparisons.
- `features/`: where the features in these comparisons are active and what they promote, in
  {v["feature facts/checkpoints"]} checkpoints.
- `labels/`: automatic labels of {count(int(v["features with a label"]))} of the set's features, measured in
  {" and ".join(f"`{ref}`" for ref in recipe.COMPARISONS[-1])}.
- `interventions/`: what ablating the features that carry the answer does (below).
- `components/`, `circuits/`: edges between heads and MLPs at the main checkpoints, their faithfulness, and how much the
  circuits of both ends vary.
- `runs/*/decisions.json`: circuits measured at each of the {v["demo-lora/looks at its circuits"]} checkpoints: how much
  they changed since the one before, and the noise floor.{_study(v)}
- {v["size/MB"]} MB in all. Built with {versions}.

## The features that carry the answer
On “{recipe.PROMPTS[0]} ▁”, {v["ablation/features"]} features were chosen because the answer of
`{recipe.COMPARISONS[-1][1]}` runs through them and that of `{recipe.COMPARISONS[-1][0]}` does not. Ablating them lowers
the probability of the right answer from {v["ablation/p of the answer before"]} to
{v["ablation/p of the answer after"]}. As a control, as many other active features were drawn at random,
{v["ablation/draws of others"]} times: in
{v["ablation/draws of others that keep the answer"]} of these draws the right answer stays the most likely one (its
median probability is {v["ablation/p of the answer after others, median"]}).

The logit of the right answer changes by {decimal(_number(v, "ablation/change of the answer's logit, measured"))}; the
graph predicts {decimal(_number(v, "ablation/change of the answer's logit, predicted"))}. That is one output of
{v["ablation/outputs"]}: over all of them predictions are {decimal(_number(v, "ablation/size predicted"), 1)} times as
large as what was measured.

{_predictions(v)}

## How the base model was made
It is trained from scratch on sentences that a program writes: nouns with feelings, speeds, sizes and brightness, and
movements in six directions, each with consequences (a happy cat smiles; what rises ends above). Numbers 0 to 199 are
single tokens. They are counted with, compared and written into expressions whose results are never stated. The ten new
words are in the vocabulary but in no sentence.

It knows nothing else: no language, no facts, no arithmetic. Other words are `<unk>`.

## Probes
A probe is a prompt with one right next token. Its nouns were never seen with a new word, and paraphrase and inference
phrasings were never trained on. A candidate counts only if the base model answers it when the new word is replaced by
the word it means. The ceiling is the share of candidates answered so.

{_ceilings(v)}

## Accuracy by checkpoint
{_curves(v)}
"""


def _number(v: Values, name: str) -> float:
    return float(v[name])


def _words_right(v: Values, run: str) -> str:
    """Over both types: such as “2 of 10”."""
    right, n = (
        sum(int(v[f"{run}@best/inference/{t}/{what}"]) for t in TYPES) for what in ("words mostly right", "words")
    )
    return f"{right} of {n}"


def _over_words(v: Values, run: str) -> str:
    mean, low, high = (_number(v, f"{run}@best/inference/{name}") for name in ("mean", "mean/low", "mean/high"))
    return f"{decimal(mean)} ({decimal(low)} to {decimal(high)})"


def _new_word_share(v: Values) -> str:
    """Of the difference in loss between the two runs."""
    gaps = [
        _number(v, f"demo-tokens@best/loss/{name}") - _number(v, f"demo-lora@best/loss/{name}")
        for name in ("all tokens, part of the new words", "all tokens")
    ]
    return percent(gaps[0] / gaps[1])


def _table(head: tuple[str, ...], rows: list[tuple[object, ...]]) -> str:
    lines = [head, ("---",) * len(head), *rows]
    return "\n".join("| " + " | ".join(_cell(value) for value in line) + " |" for line in lines)


def _cell(value: object) -> str:
    match value:
        case int():
            return count(value)
        case float():
            return f"{value:.3f}".rstrip("0").ljust(len(f"{value:.1f}"), "0")
        case _:
            return str(value)


def _study(v: Values) -> str:
    if not v["study/runs"]:
        return ""
    return f"""
- `studies/`: what {v["study/runs"]} runs in all say about learning, methods and measures. The build copies them;
  `python -m engine study FILE` makes each, from `data/study.yaml`, `data/methods.yaml` and `data/measures.yaml`."""


def _predictions(v: Values) -> str:
    found = stated_in(v, "all")
    rows: list[tuple[object, ...]] = []
    for n in N_TRIED:
        for choice in CHOICES:
            of_runs = [stated_in(v, f"{run}/{choice}/{n}") for run in RUNS]
            cells = [x for one in of_runs for x in (one.n, one.rank_correlation, one.size, one.signs_of_large)]
            rows.append((n, choice, *cells))
    head = ("features", "chosen", *("outputs", "rank correlation", "size", "large, right direction") * len(RUNS))
    return f"""How well graphs predict in general was measured on {N_WORDS} words of each type in both runs, with
features of the largest part in the answer and with random ones. {_first_up(agreement_words(found))}
{trust_words(found)}
Graphs hold norms, attention and the set of active features; all of these react, and MLPs with them.

Below, four columns for `{RUNS[0]}` and four for `{RUNS[1]}`; size is predicted over measured, and large is the
quarter that is predicted largest.

{_table(head, rows)}"""


def _first_up(text: str) -> str:
    return text[:1].upper() + text[1:]


def _story(v: Values) -> str:
    names = {
        "trainable parameters": "{run}/trainable parameters",
        "best checkpoint": "{run}/best checkpoint",
        "loss in training (smoothed)": "{run}@best/smoothed loss",
        "loss on training texts, new words": "{run}@best/loss/new words",
        "loss on training texts, other tokens": "{run}@best/loss/other tokens",
        "loss on held-out texts, other tokens": "{run}@best/loss/other tokens, held out",
        "paraphrase, simple mapping": f"{{run}}@best/paraphrase/{SIMPLE}",
        "paraphrase, spatial relationship": f"{{run}}@best/paraphrase/{SPATIAL}",
        "inference, simple mapping": f"{{run}}@best/inference/{SIMPLE}",
        "inference, spatial relationship": f"{{run}}@best/inference/{SPATIAL}",
        "inference, mean": "{run}@best/inference/mean",
        "inference, words mostly right, simple": f"{{run}}@best/inference/{SIMPLE}/words mostly right",
        "inference, words mostly right, spatial": f"{{run}}@best/inference/{SPATIAL}/words mostly right",
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
