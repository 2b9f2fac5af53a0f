"""Offer a base model."""

from engine.domain.jobs import AddModel, CancelToken, Report
from engine.domain.models import ModelSpec
from engine.domain.paths import person_path
from engine.store import Store, cache_of
from engine.workflows.model_specs import is_gguf


def add_model(store: Store, request: AddModel, report: Report, cancel: CancelToken) -> str:
    """Its configuration, tokenizer and files are looked at as when it is loaded; then it is in every list of models.

    A GGUF file is written into the workspace's cache as a folder first.

    Returns its name. Raises ModelUnavailable, Damaged, NameRefused, Canceled: a refused model is in no list.
    """
    from engine.models.base import check_base
    from engine.models.hub import fetch_model

    cancel.check()
    spec = request.model
    if spec.source == "hub":
        fetch_model(spec.location, report, cancel)
    elif is_gguf(spec.location):
        spec = _written(store, spec, report, cancel)
    report(0.0, f"reading {spec.location}")
    check_base(spec, None if spec.source == "hub" else store.base_folder(spec))
    cancel.check()
    store.save_model(spec)
    return spec.name


def _written(store: Store, spec: ModelSpec, report: Report, cancel: CancelToken) -> ModelSpec:
    from engine.models.gguf import gguf_model

    file = person_path(spec.location).resolve()
    folder = gguf_model(file, cache_of(store.workspace), spec.name, spec.dtype, report, cancel)
    return spec.model_copy(update={"location": str(folder)})
