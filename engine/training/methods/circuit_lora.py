"""CircuitLoRA: LoRA with more rank in the layers that a task's circuit changes most (Wang et al. 2025, 2502.11812).

Which layers these are is found before the run begins, by a probe run (`engine.training.critical`).
"""

from peft import PeftModel
from transformers import PreTrainedModel, PreTrainedTokenizerFast

from engine.domain.corpus import Corpus
from engine.domain.runs import RunConfig
from engine.training.methods.ranks import attach_ranks


def attach(
    model: PreTrainedModel, config: RunConfig, _tokenizer: PreTrainedTokenizerFast, _corpus: Corpus
) -> PeftModel:
    """The layers are the config's. Raises InputError for one that there is not."""
    return attach_ranks(model, config)
