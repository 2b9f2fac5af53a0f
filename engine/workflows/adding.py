"""Offer a base model."""

from engine.domain.jobs import AddModel, CancelToken, Report
from engine.store import Store


def add_model(store: Store, request: AddModel, report: Report, cancel: CancelToken) -> str:
    """Its configuration, tokenizer and files are looked at as when it is loaded; then it is in every list of models.

    Returns its name. Raises ModelUnavailable, Damaged, NameRefused, Cancelled: a refused model is in no list.
    """
    from engine.models.base import check_base
    from engine.models.hub import fetch_model

    cancel.check()
    spec = request.model
    if spec.source == "hub":
        fetch_model(spec.location, report, cancel)
    report(0.0, f"reading {spec.location}")
    check_base(spec, None if spec.source == "hub" else store.base_folder(spec))
    cancel.check()
    store.save_model(spec)
    return spec.name
