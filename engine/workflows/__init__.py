"""One function a user action. `run` is the door: it takes a request and calls the function that does it.

What needs torch is imported when its action starts, so that pages and the command line stay quick.
"""

from typing import assert_never

from engine.domain.jobs import (
    AddModel,
    AddRealModel,
    AnalyseRun,
    CancelToken,
    CheckRobustness,
    Compare,
    DescribeFeatures,
    FindCircuits,
    FindExamples,
    ImportCheckpoints,
    Intervene,
    LabelFeatures,
    MakeCorpus,
    MeasureProbes,
    Report,
    Request,
    Timelapse,
    Trace,
    Train,
    TrainTranscoders,
    UniteCircuits,
    Where,
    WhereProbes,
)
from engine.store import Store


def run(store: Store, request: Request, report: Report, cancel: CancelToken) -> str:  # noqa: C901 - a case an action
    """Do what `request` asks for; returns what was made: a name, or the hash of a comparison or graph.

    Raises TracelapseError, and Canceled when the token says so.
    """
    match request:
        case MakeCorpus():
            from engine.workflows.corpora import make_corpus

            return make_corpus(store, request, report, cancel)
        case Train():
            from engine.workflows.training import train

            return train(store, request, report, cancel)
        case ImportCheckpoints():
            from engine.workflows.imports import import_checkpoints

            return import_checkpoints(store, request, report, cancel)
        case AddModel():
            from engine.workflows.adding import add_model

            return add_model(store, request, report, cancel)
        case AddRealModel():
            from engine.workflows.real import add_real_model

            return add_real_model(store, report, cancel)
        case MeasureProbes():
            from engine.workflows.probing import probe

            return probe(store, request, report, cancel)
        case TrainTranscoders():
            from engine.workflows.transcoders import train_transcoders

            return train_transcoders(store, request, report, cancel)
        case Compare():
            from engine.workflows.tracing import compare

            return compare(store, request, report, cancel)
        case Trace():
            from engine.workflows.tracing import trace

            return trace(store, request, report, cancel)
        case Where():
            from engine.workflows.where import where

            return where(store, request, report, cancel)
        case WhereProbes():
            from engine.workflows.where import where_probes

            return where_probes(store, request, report, cancel)
        case FindExamples():
            from engine.workflows.taught import find_examples

            return find_examples(store, request, report, cancel)
        case Timelapse():
            from engine.workflows.timelapse import timelapse

            return timelapse(store, request, report, cancel)
        case Intervene():
            from engine.workflows.interventions import intervene

            return intervene(store, request, report, cancel)
        case DescribeFeatures():
            from engine.workflows.features import describe_features

            return describe_features(store, request, report, cancel)
        case LabelFeatures():
            from engine.workflows.labels import label_features

            return label_features(store, request, report, cancel)
        case AnalyseRun():
            from engine.workflows.analysis import analyse_run

            return analyse_run(store, request, report, cancel)
        case FindCircuits():
            from engine.workflows.component_circuits import find_circuits

            return find_circuits(store, request, report, cancel)
        case CheckRobustness():
            from engine.workflows.robustness import check_robustness

            return check_robustness(store, request, report, cancel)
        case UniteCircuits():
            from engine.workflows.unions import unite_circuits

            return unite_circuits(store, request, report, cancel)
        case _:
            assert_never(request)


__all__ = ["run"]
