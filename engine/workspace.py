"""Tracelapse from a notebook or a script: `import engine; ws = engine.open()`. In the repository's folder, or
anywhere once it is installed (`pip install FOLDER`).

Everything is the same work as in the app and on the command line, in the same workspace: what one has made the others
show. Torch is imported by the first thing that needs it.
"""

import html
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import pandas as pd

from engine.domain.components import ScoreSettings
from engine.domain.jobs import FindCircuits, ImportCheckpoints, Intervene, Request, Train
from engine.domain.paths import person_path
from engine.domain.runs import RunConfig
from engine.store import Store
from engine.store.memory import keep_freed
from engine.workflows.model_specs import model_spec

if TYPE_CHECKING:
    from engine.domain.acted import Acted
    from engine.domain.diffs import GraphDiff
    from engine.domain.graphs import AttributionGraph
    from engine.domain.interventions import Intervention
    from engine.export.exported_map import ExportedMap
    from engine.workflows.learned import Learned

_CIRCUIT_COLUMNS = (
    "checkpoint", "pairs", "n_pairs", "n_steps", "share", "n_edges", "n_nodes", "faithfulness", "low", "high",
)  # fmt: skip
_FRAME_PX = 720  # of a page that is shown in a notebook


class Workspace:
    """A workspace on the disk, with the bundled demo behind it.

    Checkpoints are named as everywhere: `RUN@base`, `RUN@25%`, `RUN@step150` or `RUN@150`. Every method raises
    TracelapseError where something cannot be done, with what to do about it; ctrl-C ends what is running and keeps
    what is finished.
    """

    def __init__(self, folder: Path | str | None = None) -> None:
        """`folder`: None is the one that TRACELAPSE_HOME names, else `data/runs`. Raises StorageFailed."""
        keep_freed()
        self._store = Store.open(folder)

    def __repr__(self) -> str:
        return f"Workspace({str(self._store.workspace)!r}): {len(self._store.runs())} runs"

    @property
    def runs(self) -> pd.DataFrame:
        """A row a run, the newest first: run, model, corpus, method, steps, checkpoints, finished."""
        rows = [
            {
                "run": info.name, "model": info.config.model.name, "corpus": info.config.corpus,
                "method": "imported" if info.config.imported else info.config.method, "steps": info.config.n_steps,
                "checkpoints": len(info.steps), "finished": info.finished,
            }
            for info in self._store.runs()
        ]  # fmt: skip
        return pd.DataFrame(rows, columns=["run", "model", "corpus", "method", "steps", "checkpoints", "finished"])

    def checkpoints(self, run: str) -> pd.DataFrame:
        """A row a checkpoint, the base first: checkpoint (its name), step, loss. Raises NotFound.

        loss: of that step; of an imported run as its trainer logged it last, which is the mean of `loss_steps`.
        """
        found = self._store.checkpoints(run)
        told = [None if one.state.loss is not None else self._store.told_loss(one) for one in found]
        return pd.DataFrame(
            {
                "checkpoint": [one.ref for one in found],
                "step": [one.step for one in found],
                "loss": [loss.value if loss else one.state.loss for one, loss in zip(found, told, strict=True)],
                "loss_steps": [loss.steps if loss else None for loss in told],
            }
        )

    def train(self, name: str, *, corpus: str = "demo", model: str = "demo", **settings: Any) -> str:
        """Fine-tune `model` (a known name, a folder or a hub id) on a stored corpus; returns the run's name.

        settings: fields of `engine.domain.runs.RunConfig`, such as method, n_steps, rank, capture, seed. Raises
        InputError (a taken name), NotFound, ModelUnavailable; ValidationError names a setting that cannot be used.
        """
        spec = model_spec(model, tuple(self._store.models()))
        config = RunConfig(name=name, corpus=corpus, model=spec, **settings)
        return self._do(Train(config=config), f"training {name}")

    def import_checkpoints(
        self,
        *folders: Path | str,
        name: str,
        model: str,
        corpus: str | None = None,
        steps: Sequence[int] = (),
        logs: Sequence[Path | str] = (),
    ) -> str:
        """Make a run of checkpoints that were trained elsewhere; returns its name.

        folders: a trainer's output, single checkpoints, or ids on the Hugging Face hub (`OWNER/NAME@REVISION`), whose
        files are downloaded into its cache. model: their base. corpus: whose probes are measured.
        steps: of the checkpoints, where the folders do not tell them. logs: CSV files with other measures by step, as
        TensorBoard or W&B exports them.
        """
        request = ImportCheckpoints(
            name=name, folders=tuple(str(folder) for folder in folders), corpus=corpus, steps=tuple(steps),
            logs=tuple(str(log) for log in logs),
            model=model_spec(model, tuple(self._store.models())),
        )  # fmt: skip
        return self._do(request, f"importing {name}")

    def trace(self, checkpoint: str, prompt: str) -> "AttributionGraph":
        """The attribution graph of one checkpoint to its own top tokens; traced now where it is not stored."""
        from engine.cli.graphs import found_or_made
        from engine.domain.jobs import Trace
        from engine.workflows.queries import traced_graph

        ref = self._store.checkpoint(checkpoint).ref
        look = lambda: traced_graph(self._store, ref, prompt)  # noqa: E731
        return found_or_made(self._store, look, Trace(checkpoint=ref, prompts=(prompt,)), f"tracing {ref}")

    def compare(self, a: str, b: str, prompt: str, *, transcoders: str = "") -> "Difference":
        """What differs between two checkpoints on a prompt; traced now where it is not stored."""
        from engine.analysis.diff import diff_graphs
        from engine.cli.graphs import compared

        _, _, graphs = compared(self._store, a, b, prompt, transcoders)
        return Difference(self._store, diff_graphs(*graphs))

    def where(
        self, a: str, b: str, prompt: str, *, answers: Sequence[str] = (), against: Sequence[str] = ()
    ) -> "WhereActed":
        """Where training from A to B acted on an answer (what B says, where none is named); needs no transcoders.

        against: words whose mean logit is taken off. Measured now where it is not stored.
        """
        from engine.cli.graphs import acted

        ref_a, ref_b = (self._store.checkpoint(ref).ref for ref in (a, b))
        return WhereActed(self._store, acted(self._store, ref_a, ref_b, prompt, answers, against))

    def curves(self, run: str) -> pd.DataFrame:
        """Probe scores along a run: a row for each step, constraint type and probe kind; `accuracy` with its interval
        `low` to `high`, mean probability and rank of the right answer. Raises NotFound."""
        from engine.workflows.queries import run_scores

        return run_scores(self._store, run)

    def learned(self, run: str, *, kind: str = "paraphrase", prompts: int = 10) -> "WhenLearned":
        """When and where a run learned what its probes of a kind ask, from checkpoint to checkpoint; needs no
        transcoders.

        prompts: of each constraint type. Measured now where it is not stored. Raises NotFound, InputError.
        """
        from engine.cli.analysis import followed
        from engine.domain.corpus import probe_kind

        return WhenLearned(followed(self._store, run, probe_kind(kind), prompts))

    def find_circuits(self, *checkpoints: str, pairs: str = "", n_steps: int = 5, n_pairs: int = 100) -> pd.DataFrame:
        """Faithfulness of the circuits of heads and MLPs against their size, a row a checkpoint and size; found now
        where they are not stored.

        pairs: a stored corpus with prompt pairs; empty: the run's own. n_steps: points between the corrupted and the
        clean input (EAP-IG); 1 is plain EAP. Columns: checkpoint, pairs, n_pairs (that were used), n_steps, share (of
        all edges), n_edges and n_nodes after pruning, faithfulness with its 95% interval low to high: missing where
        the model does not surely tell clean from corrupted prompts.
        """
        from engine.cli.circuit_text import found_records

        refs = tuple(self._store.checkpoint(ref).ref for ref in checkpoints)
        settings = ScoreSettings(n_steps=n_steps, n_pairs=n_pairs)
        self._do(FindCircuits(checkpoints=refs, pairs=pairs, settings=settings), "finding circuits")
        rows = [
            (
                found["checkpoint"], found["pairs"], found["n_pairs"], n_steps, point["share"], point["n_edges"],
                point["n_nodes"], told.get("value"), told.get("low"), told.get("high"),
            )
            for found in found_records(self._store, refs, pairs, settings)
            for point in found["points"]
            for told in [point["faithfulness"] or {}]
        ]  # fmt: skip
        table = pd.DataFrame(rows, columns=list(_CIRCUIT_COLUMNS))
        return table.astype(dict.fromkeys(("faithfulness", "low", "high"), float))

    def intervene(
        self, a: str, b: str, prompt: str, *features: str, factor: float = 0.0
    ) -> "tuple[Intervention, Intervention]":
        """Multiply the activation of features (`LAYER/INDEX`) by `factor` in A and in B: outputs before and after."""
        from engine.cli.graphs import compared
        from engine.workflows.queries import stored_interventions

        ref_a, ref_b, graphs = compared(self._store, a, b, prompt, "")
        self._do(Intervene(a=ref_a, b=ref_b, prompt=prompt, features=features, factor=factor), "changing features")
        done_a, done_b = stored_interventions(self._store, graphs, features, factor)
        assert done_a is not None  # the job has stored both
        assert done_b is not None
        return done_a, done_b

    def _do(self, request: Request, title: str) -> str:
        from engine.cli.progress import progress
        from engine.jobs import run_inline

        with progress(title) as report:
            return run_inline(self._store, request, on_progress=report)


class Difference:
    """What differs between two checkpoints on one prompt. In a notebook it shows itself as its Map."""

    def __init__(self, store: Store, diff: "GraphDiff") -> None:
        self._store = store
        self.diff = diff

    def __repr__(self) -> str:
        return self.summary

    @cached_property
    def summary(self) -> str:
        """What both answer, what is explained, and what its change came through."""
        return self._map.sentence

    @cached_property
    def nodes(self) -> pd.DataFrame:
        """A row a node that either side keeps, as in the app's CSV: what matters most for the change first."""
        from engine.export.tables import node_table

        return node_table(self.diff, self._names)

    @cached_property
    def edges(self) -> pd.DataFrame:
        """A row an edge, with its weight, share and flow in A and B, and its status."""
        from engine.figures.tables import edge_table

        return edge_table(self.diff, names=self._names)

    @cached_property
    def places(self) -> pd.DataFrame:
        """A row a layer and word: its part of the explained logit in A, in B, and their difference."""
        from engine.figures.map_tables import place_rows

        return place_rows(self._map.view)

    def show(self, picture: Literal["map", "graphs"] = "map") -> "HtmlPage":
        """The same page that the app exports: it works offline and shows itself in a notebook."""
        from engine.cli.export import exported_pair
        from engine.export.map_formats import MAP_FORMATS
        from engine.export.pair_formats import PAIR_FORMATS

        if picture == "map":
            return HtmlPage(str(MAP_FORMATS[0].make(self._map, "")))
        return HtmlPage(str(PAIR_FORMATS[0].make(exported_pair(self._store, self.diff, "light"), "")))

    def _repr_html_(self) -> str:
        return self.show()._repr_html_()

    @cached_property
    def _names(self) -> Any:
        return self._store.feature_names(self.diff.a.key.transcoders_hash)

    @cached_property
    def _map(self) -> "ExportedMap":
        from engine.cli.export import map_of_diff

        return map_of_diff(self._store, self.diff)


class WhereActed:
    """Where training acted on an answer. In a notebook it shows itself as its Map."""

    def __init__(self, store: Store, acted: "Acted") -> None:
        self._store = store
        self.acted = acted

    def __repr__(self) -> str:
        return self.summary

    @cached_property
    def summary(self) -> str:
        """By how much the answer's logit changed, and where that came from."""
        from engine.analysis.acted import acted_sentence

        return acted_sentence(self.acted)

    @cached_property
    def places(self) -> pd.DataFrame:
        """A row a layer and token: its part of the change. They add up to `acted.sum`. Layers are named as everywhere:
        “embeddings”, “L3”, “output”."""
        from engine.analysis.acted import layers_named, place_table

        return layers_named(place_table(self.acted), self.acted.n_layers)

    @cached_property
    def matrices(self) -> pd.DataFrame:
        """A row a matrix that training changed: its part of the change."""
        from engine.analysis.acted import layers_named, matrix_table

        return layers_named(matrix_table(self.acted), self.acted.n_layers)

    def show(self) -> "HtmlPage":
        """The same page that the app exports. Raises InputError where nothing but rounding differs."""
        from engine.cli.export import map_of_acted
        from engine.export.map_formats import MAP_FORMATS

        return HtmlPage(str(MAP_FORMATS[0].make(map_of_acted(self._store, self.acted), "")))

    def _repr_html_(self) -> str | None:
        return None if self.acted.is_same else self.show()._repr_html_()  # None: a notebook takes the text


class WhenLearned:
    """How far the right answers of a run moved from checkpoint to checkpoint, and through which tokens and layers."""

    def __init__(self, learned: "Learned") -> None:
        self.learned = learned

    def __repr__(self) -> str:
        return self.summary

    @cached_property
    def summary(self) -> str:
        """For each constraint type: how much the logit changed, where and when, and when it stopped changing."""
        from engine.analysis.acted_mean import mean_sentence
        from engine.analysis.learned import moments_sentence

        steps = self.learned.steps
        means = self.learned.means.values()
        return "\n".join(f"{mean_sentence(mean)} {moments_sentence(mean, steps)}".rstrip() for mean in means)

    @cached_property
    def moves(self) -> pd.DataFrame:
        """A row a constraint type and stretch between checkpoints: by how much the logit changed, with its 95% interval
        over words, and what of it was made at the tokens of each role; the layers with the largest parts."""
        from engine.analysis.learned import stretch_table

        found = self.learned
        tables = {name: stretch_table(mean, found.steps) for name, mean in found.means.items()}
        return pd.concat(tables, names=["constraint_type"]).reset_index(level=0).reset_index(drop=True)

    @cached_property
    def moments(self) -> pd.DataFrame:
        """A row a constraint type: half, most and rest, the steps from which on half and nine tenths of the change are
        there, and from which on it moves no more; missing where that is not known."""
        from engine.analysis.learned import moments

        rows = {name: vars(moments(mean, self.learned.steps)) for name, mean in self.learned.means.items()}
        return pd.DataFrame.from_dict(rows, orient="index").rename_axis("constraint_type").astype("Int64").reset_index()


class HtmlPage:
    """One HTML page that works offline."""

    def __init__(self, text: str) -> None:
        self.html = text

    def save(self, path: Path | str) -> Path:
        """Write it, whole or not at all; returns where. Raises StorageFailed."""
        from engine.store.files import write_text

        where = person_path(path)
        write_text(where, self.html)
        return where

    def _repr_html_(self) -> str:
        """In a frame of its own, so that the notebook's styles and the page's keep apart."""
        source = html.escape(self.html, quote=True)
        look = f"width: 100%; height: {_FRAME_PX}px; border: 0"
        return f'<iframe sandbox="allow-scripts allow-downloads" style="{look}" srcdoc="{source}"></iframe>'
