"""The live run: demo-lora's recipe again, watched, beside demo-tokens. Needs no torch."""

from typing import Final

from engine.demo.recipe import PROMPTS, RUN_A, RUN_B
from engine.domain.jobs import Beside, Train
from engine.store import Store

N_PROMPTS: Final = 2  # of each constraint type, whose circuits are watched: half of the usual, for someone is waiting


def live_request(store: Store, name: str) -> Train:
    """What trains a live run of this name. Raises NotFound where the bundled run is not here."""
    recipe = store.run(RUN_A)
    watching = recipe.decisions.model_copy(update={"n_prompts": N_PROMPTS})
    config = recipe.model_copy(update={"name": name, "watch": True, "decisions": watching})
    return Train(config=config, beside=Beside(run=RUN_B, prompt=PROMPTS[0]))
