"""transformers' Trainer as this house uses it: silent, writing nothing itself, never pickling."""

from pathlib import Path
from typing import Any

import torch
from torch.utils.data import Sampler
from transformers import PrinterCallback, Trainer, TrainerCallback, TrainerState, TrainingArguments

from engine.domain.runs import RunConfig
from engine.models.adapters import Tuned
from engine.models.masks import attention_mask
from engine.training import resume
from engine.training.methods import Steps
from engine.training.texts import TokenRow, collator


class StepTrainer(Trainer):
    """Keeps the loss of the last step, and reads its resume state from safetensors and JSON."""

    step_loss: torch.Tensor  # () of the batch of the last step, before its update
    own_sampler: Sampler[int] | None = None  # None: Trainer's, a random order of all examples in each epoch
    own_steps: Steps  # the method's

    def training_step(self, model: torch.nn.Module, inputs: dict[str, Any], *args: Any, **kwargs: Any) -> torch.Tensor:
        # Trainer logs a mean over steps, rounded to four digits; a checkpoint wants the loss of exactly its step.
        inputs = self._prepare_inputs(inputs)
        self.own_steps.before(self.state.global_step + 1, inputs)
        inputs["attention_mask"] = attention_mask(self.model, inputs["input_ids"], inputs["attention_mask"])
        loss = super().training_step(model, inputs, *args, **kwargs)
        self.step_loss = loss - self.own_steps.penalty()
        return loss

    def _get_train_sampler(self, train_dataset: Any = None) -> Sampler[int] | None:
        return self.own_sampler if self.own_sampler is not None else super()._get_train_sampler(train_dataset)

    def floating_point_ops(self, _inputs: Any) -> int:
        return 0  # walks all modules at every step, for a figure that nothing here reads

    def _load_from_checkpoint(self, *_args: Any, **_kwargs: Any) -> None:
        """The adapter's weights are put on before Trainer starts."""

    def _load_optimizer_and_scheduler(self, checkpoint: str | None) -> None:
        if checkpoint is not None:
            resume.read_optimizer(Path(checkpoint), self.optimizer, self.lr_scheduler)
            self.own_steps.load(Path(checkpoint))

    def _load_rng_state(self, checkpoint: str | None) -> None:
        if checkpoint is not None:
            resume.read_random(Path(checkpoint))

    def _load_scaler(self, checkpoint: str | None) -> None:
        """There is none: nothing here trains in mixed precision."""


class _Updates(TrainerCallback):
    """Tells the method's steps when the weights change."""

    def __init__(self, steps: Steps) -> None:
        self._steps = steps

    def on_pre_optimizer_step(
        self, _args: object, state: TrainerState, _control: object, *, optimizer: torch.optim.Optimizer, **_: object
    ) -> None:
        self._steps.before_update(state.global_step + 1, optimizer)

    def on_optimizer_step(self, _args: object, state: TrainerState, _control: object, **_kwargs: object) -> None:
        self._steps.after_update(state.global_step + 1)


def make_trainer(
    tuned: Tuned,
    rows: list[TokenRow],
    config: RunConfig,
    *,
    pad_id: int,
    output: Path,
    callback: TrainerCallback,
    steps: Steps,
    sampler: Sampler[int] | None = None,
) -> StepTrainer:
    """AdamW at a constant learning rate, no weight decay, no clipping; the order of examples follows the seed.

    `output` is a folder that Trainer insists on; nothing is written into it.
    """
    arguments = TrainingArguments(
        output_dir=str(output),
        max_steps=config.n_steps,
        per_device_train_batch_size=config.batch_size,
        learning_rate=config.learning_rate,
        lr_scheduler_type="constant",
        optim="adamw_torch",
        weight_decay=0.0,
        max_grad_norm=0.0,
        seed=config.seed,
        data_seed=config.seed,
        use_cpu=tuned.device.type == "cpu",
        save_strategy="no",
        logging_strategy="no",
        eval_strategy="no",
        logging_nan_inf_filter=False,  # a loss that is not finite is reported by the recorder
        report_to=[],
        disable_tqdm=True,
        log_level="error",
        remove_unused_columns=False,
        dataloader_num_workers=0,
        dataloader_pin_memory=False,
    )
    arguments._n_gpu = min(1, arguments.n_gpu)  # one device is named; Trainer would split batches over all it sees
    trainer = StepTrainer(
        model=tuned,
        args=arguments,
        train_dataset=rows,
        data_collator=collator(pad_id),
        callbacks=[callback, _Updates(steps)],
    )
    trainer.own_sampler, trainer.own_steps = sampler, steps
    trainer.remove_callback(PrinterCallback)  # prints to the terminal where the progress bar is off
    return trainer
