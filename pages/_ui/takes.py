"""How long a job takes."""

from engine.domain.models import DEMO_MODEL
from engine.store import Store
from engine.workflows.model_facts import model_facts


def on_this_model(store: Store, run: str, takes: str) -> str:
    """`takes` is what was measured with the demo's model; how much larger the base model of this run is stands behind.

    Without a full stop. Raises NotFound.
    """
    told = f"{takes} with the demo’s model"
    model = store.run(run).model
    if model.source == "bundled":
        return told
    own, demo = (model_facts(store, spec).n_parameters for spec in (model, DEMO_MODEL))
    return told if own < 2 * demo else f"{told}; this one is {own / demo:,.0f} times as large"
