"""IA³: learned factors on what attention and MLPs pass on (Liu et al. 2022, arXiv 2205.05638), through PEFT."""

from peft import IA3Config, PeftModel, get_peft_model
from transformers import PreTrainedModel, PreTrainedTokenizerFast

from engine.domain.corpus import Corpus
from engine.domain.runs import RunConfig
from engine.models.base import BUILDING
from engine.models.families import Family, family_of
from engine.training.methods.start import stores_inputs_first


def attach(
    model: PreTrainedModel, _config: RunConfig, _tokenizer: PreTrainedTokenizerFast, _corpus: Corpus
) -> PeftModel:
    """Factors of 1 on keys, values and what the MLP's last matrix reads. Raises ModelUnavailable.

    Where one matrix gives queries, keys and values, queries are scaled, too.
    """
    family = family_of(model)
    scaled = family.projections if family.fused != "no" else family.projections[1:]
    reading = _short(family.mlp_last, family)
    adapter = IA3Config(
        target_modules=[*(_short(name, family) for name in scaled), reading],
        feedforward_modules=[reading],
        fan_in_fan_out=stores_inputs_first(model),
        task_type="CAUSAL_LM",
    )
    with BUILDING:
        return get_peft_model(model, adapter)


def _short(name: str, family: Family) -> str:
    """The last part of a module's name, but where another matrix of the layer has the same."""
    last = name.rsplit(".", 1)[-1]
    others = {family.output, family.mlp_last, *family.projections, *family.mlp_first} - {name}
    return name if any(other.rsplit(".", 1)[-1] == last for other in others) else last
