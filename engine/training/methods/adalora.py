"""AdaLoRA: LoRA whose ranks move to the matrices that need them (Zhang et al. 2023, arXiv 2303.10512), through PEFT."""

from pathlib import Path

import torch
from peft import AdaLoraConfig, PeftModel, get_peft_model
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from transformers import PreTrainedModel, PreTrainedTokenizerFast

from engine.domain.corpus import Corpus
from engine.domain.errors import Damaged
from engine.domain.runs import RunConfig
from engine.models.adapters import Tuned
from engine.models.base import BUILDING
from engine.training.methods.start import draw_adalora, stores_inputs_first
from engine.training.methods.steps import Steps

EXTRA_RANK = 1.5  # what a matrix begins with, over the mean rank at the end (as in the paper)
STATE = "allocator.safetensors"
_SCORES = ("ipt", "exp_avg_ipt", "exp_avg_unc")  # of PEFT's allocator, tensors by parameter name


def attach(
    model: PreTrainedModel, config: RunConfig, _tokenizer: PreTrainedTokenizerFast, _corpus: Corpus
) -> PeftModel:
    """Ranks of `config.rank` in the mean at the end, scaled by alpha / rank as LoRA's are.

    The first tenth of the run keeps all ranks, the last fifth moves none.
    """
    first = max(config.rank + 1, round(EXTRA_RANK * config.rank))
    total = max(2, config.n_steps)  # PEFT must have scored the ranks once before it takes some away
    adapter = AdaLoraConfig(
        init_r=first,
        target_r=config.rank,
        lora_alpha=config.alpha * first / config.rank,  # PEFT divides it by the first rank
        tinit=config.n_steps // 10,
        tfinal=min(config.n_steps // 5, total - 2),
        total_step=total,
        target_modules="all-linear",
        fan_in_fan_out=stores_inputs_first(model),
        task_type="CAUSAL_LM",
    )
    with BUILDING:
        return draw_adalora(get_peft_model(model, adapter), config.seed)


class AdaLoraSteps(Steps):
    """Lets PEFT's allocator move the ranks after every update."""

    def __init__(self, tuned: Tuned, _config: RunConfig) -> None:
        self._adalora = tuned.base_model
        self._config = self._adalora.peft_config[self._adalora.trainable_adapter_name]

    @torch.no_grad()
    def penalty(self) -> torch.Tensor:
        """PEFT's: how far the singular vectors are from orthonormal ones, mean over all matrices."""
        norms = []
        for name, p in self._adalora.model.named_parameters():
            if "lora_A" in name or "lora_B" in name:
                gram = p @ p.T if "lora_A" in name else p.T @ p
                norms.append(torch.linalg.matrix_norm(gram - torch.eye(len(gram), device=p.device, dtype=p.dtype)))
        return self._config.orth_reg_weight * torch.stack(norms).mean()

    def after_update(self, step: int) -> None:
        self._adalora.update_and_allocate(step)

    def save(self, folder: Path) -> None:
        allocator = self._adalora.rankallocator
        tensors = {
            f"{kind}/{name}": value.detach().cpu().contiguous()
            for kind in _SCORES
            for name, value in getattr(allocator, kind).items()
        }
        for name, kept in (self._config.rank_pattern or {}).items():
            tensors[f"pattern/{name}"] = torch.tensor(kept, dtype=torch.bool)
        save_file(tensors, folder / STATE)

    def load(self, folder: Path) -> None:
        try:
            tensors = load_file(folder / STATE, device=str(self._adalora.device))
        except (OSError, SafetensorError, ValueError) as error:
            raise Damaged(folder / STATE, f"the state of AdaLoRA's ranks cannot be read ({error})") from error
        parts: dict[str, dict[str, torch.Tensor]] = {kind: {} for kind in (*_SCORES, "pattern")}
        for key, value in tensors.items():
            kind, _, name = key.partition("/")
            parts.setdefault(kind, {})[name] = value
        for kind in _SCORES:
            setattr(self._adalora.rankallocator, kind, parts[kind])
        pattern = {name: kept.tolist() for name, kept in parts["pattern"].items()}
        self._config.rank_pattern = pattern or None
