"""What can be told of a base model from its files' headers, without loading it or torch."""

import json
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from engine.domain.errors import Damaged, TracelapseError
from engine.domain.foreign import translated
from engine.domain.model_families import FAMILY_TITLES, LAYER_KEYS, number_in, why_no_circuits
from engine.domain.models import Converted, ModelSpec
from engine.domain.pictures import text_fields, text_name
from engine.domain.published_sets import PublishedSet, published_for
from engine.store import Store
from engine.store.converted import CONVERTED, converted_from
from engine.store.tensor_headers import tensor_headers
from engine.workflows.model_memory import ComparisonMemory, comparison_memory

_ITEM_BYTES = {"float32": 4, "bfloat16": 2, "float16": 2}


@dataclass(frozen=True)
class ModelFacts:
    """A base model in a list. `problem`: why it cannot be used as it is now; then the numbers may be 0."""

    spec: ModelSpec
    kind: str = ""  # model_type in its config.json
    family: str = ""  # its title, or the model_type that has none
    n_layers: int = 0
    d_model: int = 0
    n_parameters: int = 0
    comparing: ComparisonMemory | None = None  # None where the configuration does not tell
    written_as: str = ""  # dtypes of its files: F32, BF16
    no_circuits: str = ""  # why attribution graphs and component circuits cannot be found in it
    problem: str = ""
    converted: Converted | None = None  # the GGUF file that its folder was written from
    reads_pictures: bool = False  # too; the rest is of its language model, which alone is loaded

    @property
    def published(self) -> tuple[PublishedSet, ...]:
        """Transcoder sets that others published for a model of its family and shape."""
        return published_for(self.kind, self.n_layers, self.d_model)

    @property
    def weight_bytes(self) -> int:
        """What the weights take in memory, in the dtype in which they are loaded."""
        return self.n_parameters * _ITEM_BYTES[self.spec.dtype]


def model_facts(store: Store, spec: ModelSpec) -> ModelFacts:
    """Reads config.json and the headers of the safetensors files; of a hub model those in the Hugging Face cache."""
    try:
        folder = folder_here(store, spec)
        if folder is None:
            return ModelFacts(spec, problem="It is not on this machine yet. It is downloaded when it is first used.")
        if not folder.is_dir():
            again = " Add its GGUF file again." if folder.parent.name == CONVERTED else ""
            return ModelFacts(spec, problem=f"Its folder {folder} is not there any more.{again}")
        with translated(partial(Damaged, folder)):
            config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
            if not isinstance(config, dict):
                raise ValueError("config.json is no object")
            whole, config = config, text_fields(config)
            found = (one for path in sorted(folder.glob("*.safetensors")) for one in tensor_headers(path))
            tensors = [one for one in found if text_name(one.name)]
    except TracelapseError as error:
        return ModelFacts(spec, problem=str(error))
    kind = str(config.get("model_type", ""))
    return ModelFacts(
        spec,
        kind=kind,
        family=FAMILY_TITLES.get(kind, kind),
        n_layers=number_in(config, *LAYER_KEYS) or 0,
        d_model=number_in(config, "hidden_size", "n_embd") or 0,
        n_parameters=sum(one.n_numbers for one in tensors),
        comparing=comparison_memory(config, tensors, _ITEM_BYTES[spec.dtype]),
        written_as=", ".join(dict.fromkeys(one.dtype for one in tensors)),
        no_circuits=why_no_circuits(kind, config),
        problem="" if tensors else f"There are no safetensors weights in {folder}.",
        converted=converted_from(folder),
        reads_pictures=config != whole,
    )


def folder_here(store: Store, spec: ModelSpec) -> Path | None:
    """Where its files lie; None for a hub model that was not downloaded."""
    if spec.source != "hub":
        return store.base_folder(spec)
    from engine.models.hub import cached_model

    return cached_model(spec.location)
