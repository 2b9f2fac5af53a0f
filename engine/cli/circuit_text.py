"""Component circuits, their change, robustness and unions as tables; and the records that `--json` gives of them."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from engine.cli.output import say, show_table
from engine.domain.components import (
    CIRCUIT_SHARE,
    FEW_PAIRS,
    Circuit,
    ComponentKey,
    ComponentScores,
    CurveReport,
    Likeness,
    RobustnessReport,
    ScoreSettings,
    UnionReport,
)
from engine.domain.measures import Estimate
from engine.domain.numbers import decimal, plural, signed
from engine.domain.words import listed
from engine.figures.component_words import few_pairs, found_by, n_pairs_of

if TYPE_CHECKING:
    from engine.store import Store
    from engine.workflows.component_queries import ComponentChange, FeatureLikeness

_NODES_SHOWN = 60
_UNSURE = (
    "–: the model does not reliably separate the clean prompts from the corrupted ones, so faithfulness is not defined."
)


def found_records(
    store: "Store", checkpoints: Sequence[str], pairs: str, settings: ScoreSettings
) -> list[dict[str, Any]]:
    """What was found at each checkpoint, in their order."""
    from engine.workflows.component_queries import checkpoint_scores, curve_of

    records = []
    for ref in checkpoints:
        corpus = pairs or store.run(ref.partition("@")[0]).corpus
        scores = checkpoint_scores(store, ref, pairs=corpus, settings=settings)
        curve = curve_of(store, scores.key)
        records.append(
            {
                "checkpoint": ref,
                "pairs": corpus,
                "hash": scores.key.hash,
                "n_pairs": int(scores.n_pairs.sum()),
                "clean": scores.mean_clean,
                "corrupted": scores.mean_corrupted,
                "n_edges": scores.shape.n_edges,
                "points": [point.model_dump(mode="json") for point in curve.points] if curve else [],
            }
        )
    return records


def show_found(store: "Store", records: Sequence[Mapping[str, Any]], settings: ScoreSettings) -> None:
    """A line a checkpoint, all found with these settings; the circuit's size and faithfulness at the published share,
    or the nearest measured."""
    rows = []
    for record in records:
        point = min(record["points"], key=lambda point: abs(point["share"] - CIRCUIT_SHARE), default=None)
        rows.append(
            (
                record["checkpoint"],
                record["pairs"],
                record["n_pairs"],
                record["clean"],
                record["corrupted"],
                f"{100 * point['share']:g}%" if point else None,
                point["n_edges"] if point else None,
                point["n_nodes"] if point else None,
                _known(point["faithfulness"]) if point else None,
            )
        )
    columns = ("checkpoint", "pairs of", "n", "clean", "corrupted", "share", "edges", "nodes", "faithfulness")
    show_table(columns, rows)
    if any(row[5] and row[-1] is None for row in rows):
        say(_UNSURE)
    _say_few(min((record["n_pairs"] for record in records), default=FEW_PAIRS))
    how = _how_to_show(store, records[-1]["checkpoint"], records[-1]["pairs"], settings)
    say(
        f"Found by {settings.method}. `circuits show RUN@CKPT{how}` shows one; `circuits change RUN{how}` what changed."
    )


def show_circuit(scores: ComponentScores, circuit: Circuit, curve: CurveReport | None, *, top: int) -> None:
    """Size after pruning, the nodes by layer, the largest edges, and the curve where it was measured."""
    from engine.export.component_graph import component_edges, component_nodes

    nodes = component_nodes(circuit)
    say(f"{scores.key.checkpoint}, found with {found_by(scores)}")
    say(
        f"{circuit.n_edges} of {circuit.shape.n_edges} edges ({circuit.n_edges / circuit.shape.n_edges:.1%}) and "
        f"{len(nodes)} of {circuit.shape.n_nodes} nodes are left after pruning."
    )
    more = f" and {len(nodes) - _NODES_SHOWN} more" if len(nodes) > _NODES_SHOWN else ""
    say(f"Nodes: {' '.join(nodes[:_NODES_SHOWN])}{more}.")
    edges = component_edges(scores, circuit).head(top)
    if len(edges):
        shown = [signed(float(score), 4) for score in edges["score"]]
        rows = list(zip(edges["source"], edges["target"], edges["input"], shown, strict=True))
        title = f"The {len(edges)} largest edges: how the metric changes where an edge carries its corrupted value"
        show_table(("from", "to", "input", "score"), rows, title=title)
    if curve:
        _show_curve(curve)
    _say_few(n_pairs_of(scores))


def _how_to_show(store: "Store", ref: str, pairs: str, settings: ScoreSettings) -> str:
    """The options that say which circuit of a checkpoint is meant, where it is not the first of those stored."""
    from engine.workflows.component_queries import ways_of

    first, *others = ways_of(store, ref)
    of_corpus = "" if first.pairs == pairs else f" --pairs {pairs}"
    same = next((one for one in (first, *others) if one.pairs == pairs), first)
    return of_corpus + ("" if same.settings.n_steps == settings.n_steps else f" --steps {settings.n_steps}")


def say_other_ways(store: "Store", key: ComponentKey) -> None:
    """Where circuits of the checkpoint were found in other ways than `key` says, too."""
    from engine.workflows.component_queries import ways_of

    ways = {f"--pairs {one.pairs} --steps {one.settings.n_steps}": one for one in ways_of(store, key.checkpoint)}
    ways.pop(f"--pairs {key.pairs} --steps {key.settings.n_steps}", None)
    if ways:
        told = [f"with “{one.pairs}” by {one.settings.method} ({how})" for how, one in ways.items()]
        say(f"Its circuit was found in other ways, too: {listed(told)}.")


def say_few(store: "Store", key: ComponentKey) -> None:
    """Where what these scores rest on is no sure ground, and which pairs were left out. Raises NotFound, Damaged."""
    _say_few(n_pairs_of(store.components(key.hash)))
    say_left_out(store, key.run, key.pairs)


def say_left_out(store: "Store", run: str, pairs: str) -> None:
    """Where some pairs of the corpus cannot be used with the run's model."""
    from engine.workflows.component_pairs import left_out, pairs_fit

    if told := left_out(pairs, pairs_fit(store, run, pairs)):
        say(told)


def _say_few(n_pairs: int) -> None:
    if caveat := few_pairs(n_pairs):
        say(f"Found with {plural(n_pairs, 'prompt pair')}. {caveat}")


def change_record(
    found: "ComponentChange",
    layers: Sequence[int],
    features: Mapping[tuple[int, int], Sequence["FeatureLikeness"]],
    parts: Sequence[Likeness | None],
    *,
    share: float,
    qkv: str,
) -> dict[str, Any]:
    """What changed over a run's checkpoints."""
    from engine.analysis.components.pruning import collapsed, n_nodes

    where, records = found.found, []
    for place, (step, circuit) in enumerate(zip(where.steps, found.circuits, strict=True)):
        record: dict[str, Any] = {
            "step": step,
            "checkpoint": where.checkpoints[place],
            "n_edges": int(collapsed(circuit).sum()) if qkv == "merged" else circuit.n_edges,
            "n_nodes": n_nodes(circuit),
            "parts": alike.model_dump(mode="json") if (alike := parts[place]) else None,
        }
        if place:
            known = features.get((step, where.steps[place - 1]), ())
            record |= vars(found.flips.steps[place - 1])
            record["layers"] = found.layers[place - 1].tolist()
            record["feature_graphs"] = [vars(one) for one in known]
        records.append(record)
    return {
        "run": where.keys[0].run,
        "pairs": where.pairs,
        "settings": where.settings.model_dump(mode="json"),
        "share": share,
        "qkv": qkv,
        "steps": records,
        "delta_edges": found.flips.delta_edges,
        "delta_nodes": found.flips.delta_nodes,
        "layers": found.whole.tolist(),
        "critical": list(layers),
    }


def show_change(record: Mapping[str, Any]) -> None:
    """Of `change_record`."""
    say(
        f"{record['run']}, circuits of {100 * record['share']:g}% of all edges, found with the pairs of "
        f"“{record['pairs']}” by {ScoreSettings(**record['settings']).method}. Each row against the checkpoint before."
    )
    steps = record["steps"]
    show_table(
        ("step", "edges", "appeared", "vanished", "Jaccard", "of parts", "nodes", "appeared", "vanished", "Jaccard",
         "of parts", "layers changed most", "feature graphs: edges", "nodes"),
        [_step_row(step) for step in steps],
    )  # fmt: skip
    say(
        "Jaccard: what both circuits have, over what either has. Of parts: the same between circuits of disjoint parts "
        "of the pairs at this step."
    )
    for what in ("edges", "nodes"):
        delta = record[f"delta_{what}"]
        if delta is not None:
            counted = ", those into a head’s q, k and v as one" if (what, record["qkv"]) == ("edges", "merged") else ""
            say(
                f"Δ_S of {what}{counted}: {decimal(delta)} (all that appeared or vanished, over the {what} "
                "at the first checkpoint)."
            )
    by_layer = ", ".join(f"{layer} ({record['layers'][layer]:.3g})" for layer in record["critical"])
    say(f"Critical layers, |change of score| from the first checkpoint to the last: {by_layer}.")
    if not any(step.get("feature_graphs") for step in steps):
        say(f"No attribution graphs were traced at exactly these checkpoints; `analyse {record['run']}` traces them.")


def show_robustness(report: RobustnessReport) -> None:
    """How alike the circuits of one model are, model by model."""
    say(
        f"{report.key.checkpoint}, {100 * report.share:g}% of all edges, {_made_with(report.key)}: "
        "Jaccard with 95% interval"
    )
    rows = []
    for subject in report.subjects:
        rows.append((subject.subject, "disjoint parts of the data", *_alike(subject.fifths)))
        rows += [
            (subject.subject, f"{100 * one.level:g}% of the tokens replaced", *_alike(one.likeness))
            for one in subject.perturbed
        ]
    show_table(("model", "circuits of", "nodes", "edges", "compared"), rows)


def show_union(report: UnionReport, asked: Sequence[float]) -> None:
    """`asked`: shares, of which some may have left nothing."""
    parts = ", ".join(f"{part.checkpoint} on “{part.pairs}”" for part in report.parts)
    say(f"The union of {parts}, measured at {report.key.checkpoint} {_made_with(report.key)}")
    rows = [
        (
            f"{100 * point.share:g}%", point.union.n_edges, point.direct.n_edges, _estimate(point.union.faithfulness),
            _estimate(point.direct.faithfulness), point.nodes, point.edges,
        )
        for point in report.points
    ]  # fmt: skip
    columns = (
        "share",
        "edges of union",
        "of direct",
        "faithfulness of union",
        "of direct",
        "node Jaccard",
        "edge Jaccard",
    )
    show_table(columns, rows)
    if any(point.direct.faithfulness is None for point in report.points):
        say(_UNSURE)
    left_out = sorted(set(asked) - {point.share for point in report.points})
    if left_out:
        shares = ", ".join(f"{100 * share:g}%" for share in left_out)
        say(f"Left out: {shares}, where nothing of a circuit is left after pruning.")


def _show_curve(curve: CurveReport) -> None:
    show_table(
        ("share", "edges", "nodes", "faithfulness", "completeness"),
        [
            (f"{100 * p.share:g}%", p.n_edges, p.n_nodes, _estimate(p.faithfulness), _estimate(p.completeness))
            for p in curve.points
        ],
        title="The share of the whole model’s behavior that circuits of each size recover, with 95% interval",
    )
    if any(point.faithfulness is None for point in curve.points):
        say(_UNSURE)


def _step_row(step: Mapping[str, Any]) -> tuple[object, ...]:
    """The first checkpoint has no change."""
    edges, nodes = (step["parts"][what]["value"] if step["parts"] else None for what in ("edges", "nodes"))
    if "layers" not in step:
        return (step["step"], step["n_edges"], *[None] * 3, edges, step["n_nodes"], *[None] * 3, nodes, *[None] * 3)
    most = np.argsort(-np.array(step["layers"]), kind="stable")[:2]
    features = step["feature_graphs"]
    return (
        step["step"], step["n_edges"], step["edges_appeared"], step["edges_vanished"], step["edge_jaccard"], edges,
        step["n_nodes"], step["nodes_appeared"], step["nodes_vanished"], step["node_jaccard"], nodes,
        ", ".join(f"{layer} ({step['layers'][layer]:.3g})" for layer in most),
        float(np.mean([one["edges"] for one in features])) if features else None,
        float(np.mean([one["nodes"] for one in features])) if features else None,
    )  # fmt: skip


def _made_with(key: ComponentKey) -> str:
    return f"on at most {key.settings.n_pairs} pairs of “{key.pairs}” by {key.settings.method}"


def _alike(likeness: Likeness) -> tuple[str, str, int]:
    return _estimate(likeness.nodes) or "", _estimate(likeness.edges) or "", likeness.n


def _estimate(value: Estimate | None) -> str | None:
    if value is None:
        return None
    return f"{decimal(value.value)} ({decimal(value.low)} to {decimal(value.high)})"


def _known(value: Mapping[str, float] | None) -> str | None:
    return None if value is None else _estimate(Estimate(**value))
