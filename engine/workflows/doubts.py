"""What is to be doubted of two graphs: their transcoders have read few texts, or the prompt itself."""

from dataclasses import dataclass

from engine.domain.errors import Damaged, InputError, NotFound
from engine.domain.graphs import GraphKey
from engine.figures.fit_text import SEEN, few_read
from engine.store import Store
from engine.workflows.texts import was_read
from engine.workflows.transcoders import outgrown


@dataclass(frozen=True)
class Doubts:
    """`text`: for people, empty where there is nothing to doubt."""

    text: str = ""
    has_read_few: bool = False
    can_read_more: bool = False  # a set that is trained now would read more


def doubts_of(store: Store, key: GraphKey) -> Doubts:
    """Of graphs that were traced as `key`; none of a set that is gone."""
    meta = next((one for one in store.transcoder_sets() if one.name == key.transcoders), None)
    if meta is None:
        return Doubts()
    try:
        seen, more = was_read(store, meta, key.prompt), outgrown(store, meta)
    except (NotFound, InputError, Damaged):  # a run that it was trained on is gone
        seen, more = False, False
    few = few_read(meta)
    return Doubts(" ".join(filter(None, (few, SEEN if seen else ""))), bool(few), more)
