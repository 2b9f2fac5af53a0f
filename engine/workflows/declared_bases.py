"""Which base model checkpoints say they were trained from, and whether it is the one that they are put onto."""

from collections.abc import Sequence
from pathlib import Path
from typing import Final

from engine.domain.errors import InputError
from engine.domain.imports import FoundCheckpoint
from engine.domain.models import ModelSpec
from engine.domain.paths import person_path
from engine.domain.pictures import text_fields
from engine.domain.words import listed
from engine.store import Store
from engine.store.files import object_in

_MOST_NAMED = 3
_BUNDLED = "data/demo/base"
_SHAPE: Final = (
    "model_type", "hidden_size", "n_embd", "num_hidden_layers", "n_layer", "num_attention_heads", "n_head",
    "num_key_value_heads", "intermediate_size",
)  # fmt: skip


def declared_bases(found: Sequence[FoundCheckpoint]) -> list[str]:
    """As the checkpoints say it, each once."""
    return list(dict.fromkeys(one.base for one in found if one.base))


def likely_base(store: Store, found: Sequence[FoundCheckpoint]) -> ModelSpec | None:
    """The known model that these checkpoints say; else, of full models that say none, the first of their shape."""
    for said in declared_bases(found):
        if known := known_base(store, said, store.models()):
            return known
    if declared_bases(found) or not any(one.kind == "full" for one in found):
        return None
    shape = next(_shape(one.path) for one in found if one.kind == "full")
    of_shape = (spec for spec in store.models() if spec.source != "hub" and _shape(store.base_folder(spec)) == shape)
    apart = (spec for spec in of_shape if not any(_is_at(store, spec, str(one.path)) for one in found))
    return next(apart, None) if shape else None


def _shape(folder: Path) -> dict[str, object]:
    """What config.json says of the network's size; empty where there is none."""
    fields = text_fields(object_in(folder / "config.json"))
    return {name: fields[name] for name in _SHAPE if name in fields}


def known_base(store: Store, said: str, models: Sequence[ModelSpec]) -> ModelSpec | None:
    """The one of these models that `said` names: by its place, else by its name alone, as checkpoints say it that were
    trained elsewhere or from a relative path."""
    by_place = (spec for spec in models if said in (spec.name, spec.location) or _is_at(store, spec, said))
    by_name = (spec for spec in models if _last(said) in (spec.name.lower(), _last(spec.location)))
    return next(by_place, None) or next(by_name, None)


def another_base(store: Store, model: ModelSpec, found: Sequence[FoundCheckpoint]) -> str:
    """What to tell of checkpoints that say they were trained from another model than `model`; empty where none does."""
    others = [said for said in declared_bases(found) if not _same(store, said, model)]
    if not others:
        return ""
    known = [known_base(store, said, store.models()) for said in others[:_MOST_NAMED]]
    names = [spec.name if spec else said for spec, said in zip(known, others, strict=False)]
    return (
        f"These checkpoints say that they were trained from {listed(names)}. Put onto {_called(store, model)}, they "
        "make another model than the one that was trained, unless both are the same."
    )


def _same(store: Store, said: str, model: ModelSpec) -> bool:
    known = known_base(store, said, store.models())
    if known is not None and known.name != model.name and known.location != model.location:
        return _is_at(store, model, said)
    return known_base(store, said, [model]) is not None


def _is_at(store: Store, spec: ModelSpec, said: str) -> bool:
    """Whether it is the folder that the model lies in."""
    if spec.source == "bundled" and said.replace("\\", "/").endswith(_BUNDLED):  # from wherever it was trained
        return True
    if spec.source == "hub":
        return spec.location.partition("@")[0] == said
    try:
        return person_path(said).resolve() == store.base_folder(spec).resolve()
    except InputError:  # no file can be called so
        return False


def _last(text: str) -> str:
    """The last part of a path or hub id, without a revision: as written on any machine."""
    return text.replace("\\", "/").rstrip("/").rpartition("/")[2].partition("@")[0].lower()


def _called(store: Store, model: ModelSpec) -> str:
    """One that is known by its name, another as it was given."""
    is_known = any((spec.name, spec.location) == (model.name, model.location) for spec in store.models())
    return model.name if is_known or not model.location else model.location
