"""`features`: what transcoder features stand for in a checkpoint."""

import re
from typing import TYPE_CHECKING, Annotated

import typer

from engine.cli.context import store_of
from engine.cli.inputs import transcoder_set
from engine.cli.output import JsonFile, check_destination, say, show_table, write_json
from engine.cli.progress import progress
from engine.domain.errors import InputError
from engine.domain.numbers import count

if TYPE_CHECKING:
    from engine.domain.features import FeatureFacts
    from engine.store import Store

_FEATURE = re.compile(r"(\d{1,4})/(\d{1,9})", re.ASCII)
Feature = tuple[int, int]
_SHOWN = 8  # labels


def add_to(app: typer.Typer) -> None:
    app.command()(features)
    app.command()(label_features)


def features(
    ctx: typer.Context,
    checkpoint: Annotated[str, typer.Argument(metavar="RUN@CKPT", help="RUN@base, RUN@25% or RUN@step150.")],
    names: Annotated[list[str], typer.Argument(metavar="LAYER/INDEX…", help="Features, as 3/217.")],
    *,
    transcoders: Annotated[
        str,
        typer.Option(metavar="NAME|FOLDER", help="Transcoder set; without it the one that has seen the checkpoint."),
    ] = "",
    json_file: JsonFile = None,
) -> None:
    """Show where features are active, and which tokens they promote; looked up once, then stored."""
    from engine.domain.jobs import DescribeFeatures
    from engine.jobs import run_inline
    from engine.workflows.feature_queries import newest_facts

    check_destination(json_file)
    wanted = tuple(dict.fromkeys(_feature(name) for name in names))
    store = store_of(ctx)
    ref = store.checkpoint(checkpoint).ref
    named = transcoder_set(transcoders) or _set_of(store, ref)
    facts = newest_facts(store, ref, named, wanted)
    if missing := tuple(feature for feature in wanted if feature not in facts):
        request = DescribeFeatures(checkpoints=(ref,), transcoders=named, features=missing)
        with progress(f"looking up features in {ref}") as report:
            run_inline(store, request, on_progress=report)
        facts = newest_facts(store, ref, named, wanted)
    if json_file:
        found = [_record(facts[feature]) for feature in wanted]
        write_json({"checkpoint": ref, "transcoders": named, "features": found}, json_file)
    if json_file != "-":
        for feature in wanted:
            _show(facts[feature], ref)


def label_features(
    ctx: typer.Context,
    checkpoints: Annotated[
        list[str],
        typer.Argument(metavar="RUN@CKPT…", help="Where they are measured; promoted tokens in the last."),
    ],
    *,
    transcoders: Annotated[
        str, typer.Option(metavar="NAME|FOLDER", help="Transcoder set; without it the one that has seen them.")
    ] = "",
    again: Annotated[bool, typer.Option("--again", help="Measure what has labels too, in their place.")] = False,
    json_file: JsonFile = None,
) -> None:
    """Give the features of a transcoder set automatic labels: what they are most active on, and what they promote.

    Tracing does so by itself. Of a set of more than 20,000 features those get one that stored graphs have.
    """
    from engine.domain.jobs import LabelFeatures
    from engine.jobs import run_inline

    check_destination(json_file)
    store = store_of(ctx)
    refs = tuple(store.checkpoint(checkpoint).ref for checkpoint in checkpoints)
    named = transcoder_set(transcoders) or _set_of(store, refs[0])
    with progress(f"labeling the features of {named}") as report:
        digest = run_inline(store, LabelFeatures(checkpoints=refs, transcoders=named, again=again), on_progress=report)
    names = store.feature_names(digest)
    found = names.record(_feature(name) for part in names.automatic.measured for name in part.labels)
    if json_file:
        write_json({"transcoders": named, "labels": found}, json_file)
    if json_file != "-":
        n_automatic = sum(bool(one["automatic"]) for one in found.values())
        say(f"{count(n_automatic)} features of {named} have an automatic label, as:")
        show_table(("feature", "label"), [(name, str(one["label"])) for name, one in list(found.items())[:_SHOWN]])


def _feature(text: str) -> Feature:
    found = _FEATURE.fullmatch(text)
    if not found:
        raise InputError(f"“{text[:40]}” names no feature. Write layer and index, as 3/217.")
    return int(found[1]), int(found[2])


def _set_of(store: "Store", ref: str) -> str:
    if meta := store.transcoders_for([ref]):
        return meta.name
    if named := store.run(ref.partition("@")[0]).model.transcoders:
        return named
    raise InputError(
        f"No transcoder set has seen {ref}, so it has no features yet. Trace or compare it first, which trains one, or "
        "name a set with --transcoders."
    )


def _show(facts: "FeatureFacts", ref: str) -> None:
    from engine.domain.numbers import signed
    from engine.figures.feature_words import activity, bars
    from engine.figures.names import visible

    say(f"Feature {facts.layer}/{facts.index} in {ref}: {activity(facts)}.")
    if facts.n_active:
        say(f"Tokens by activation, 0 to {facts.max_activation:.2f} (log scale): |{bars(facts.counts)}|")
    for verb, pairs in (("Promotes", facts.promoted), ("Suppresses", facts.suppressed)):
        if pairs:
            say(f"{verb} {', '.join(f'{visible(token)} {signed(by)}' for token, by in pairs)}.")
    if facts.texts:
        show_table(("highest", "on", "text"), [_row(facts, number) for number in range(len(facts.texts))])


def _row(facts: "FeatureFacts", number: int) -> tuple[float, str, str]:
    from engine.figures.feature_words import excerpt
    from engine.figures.names import visible

    part = excerpt(facts.texts[number])
    shown = " ".join(visible(token) for token in part.tokens)
    cut = f"{'… ' if part.cut_before else ''}{shown}{' …' if part.cut_after else ''}"
    return part.activation[part.peak], visible(part.tokens[part.peak]), cut


def _record(facts: "FeatureFacts") -> dict[str, object]:
    return {
        "layer": facts.layer,
        "index": facts.index,
        "n_tokens": facts.n_tokens,
        "n_active": facts.n_active,
        "density": facts.density,
        "max_activation": facts.max_activation,
        "counts": facts.counts.tolist(),
        "texts": [{"tokens": text.tokens, "activation": text.activation.tolist()} for text in facts.texts],
        "promoted": [{"token": token, "effect": by} for token, by in facts.promoted],
        "suppressed": [{"token": token, "effect": by} for token, by in facts.suppressed],
    }
