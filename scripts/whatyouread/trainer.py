"""transformers' Trainer, fitted to our tasks: order of the data, log, progress, early stopping."""

import torch
from torch import Tensor
from transformers import TrainerCallback

from whatyouread.batches import EpochSampler
from whatyouread.cli import log
from whatyouread.progress import progress
from whatyouread.resumable import ResumableTrainer, refuse_loss, validation_losses


class TaskTrainer(ResumableTrainer):
    """The Trainer, with our order of the data and the mean of each training value in the log."""

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self._sums, self._steps = 0, 0

    def unlogged(self) -> dict[str, Tensor]:
        return {"sums": torch.as_tensor(self._sums), "steps": torch.tensor(self._steps)}

    def restore_unlogged(self, values: dict[str, Tensor]) -> None:
        self._sums, self._steps = values["sums"].to(self.args.device), int(values["steps"])

    def _get_train_sampler(self, train_dataset=None):
        self._sampler = EpochSampler(len(self.train_dataset), self.args.seed)
        return self._sampler

    def compute_loss(self, model, inputs, return_outputs=False, num_items_in_batch=None):
        output = model(**inputs)
        if model.training:
            task = self.accelerator.unwrap_model(model)
            # kept on the device: no synchronisation in a step
            self._sums = self._sums + task.track(output["values"].detach())
            self._steps += 1
        return (output["loss"], output) if return_outputs else output["loss"]

    def prediction_step(self, model, inputs, prediction_loss_only, ignore_keys=None):
        self.refuse_to_go_on()
        inputs = self._prepare_inputs(inputs)
        with torch.no_grad(), self.compute_loss_context_manager():
            output = model(**inputs)
        return output["loss"].detach(), output["values"].detach(), inputs["labels"]

    def log(self, logs, start_time=None):
        if "loss" in logs and self._steps:
            task = self.accelerator.unwrap_model(self.model)
            means = self._sums / self._steps
            if self.args.world_size > 1:  # of all processes, as the loss is
                means = self.accelerator.reduce(means, "mean")
            logs |= dict(zip(task.tracked, means.tolist(), strict=True))
            self._sums, self._steps = 0, 0
        super().log(logs, start_time)


class Report(TrainerCallback):
    """Progress by step, a line by epoch, and a stop when the loss is no number any more."""

    def on_train_begin(self, args, state, control, **kwargs):
        self.context = progress("training", state.max_steps, "steps")
        self.bar = self.context.__enter__()
        self.bar.update(state.global_step)

    def on_step_end(self, args, state, control, **kwargs):
        self.bar.update(1)

    def on_train_end(self, args, state, control, **kwargs):
        self.context.__exit__(None, None, None)

    def on_log(self, args, state, control, logs=None, **kwargs):
        numbers = {k: v for k, v in (logs or {}).items() if isinstance(v, float | int)}
        refuse_loss(numbers.get("loss", numbers.get("eval_loss", 0.0)), state.global_step)
        if state.is_world_process_zero:
            log.info("%s", ", ".join(f"{k} {v:.5g}" for k, v in numbers.items()))


class Patience(TrainerCallback):
    """Early stopping by the log alone: transformers' own forgets its count when it is killed."""

    def __init__(self, patience: int, min_delta: float):
        self.patience, self.min_delta = patience, min_delta

    def on_evaluate(self, args, state, control, **kwargs):
        losses = validation_losses(state.log_history)
        if is_out_of_patience(losses, self.patience, self.min_delta):
            control.should_training_stop = True

    on_train_begin = on_evaluate  # killed after its last epoch, it would train for another one


def is_out_of_patience(losses: list[float], patience: int, min_delta: float) -> bool:
    """Whether `patience` epochs in a row have not improved on the best loss by more than `min_delta`.

    What is too small an improvement does not move the best loss, so that many of them add up.
    """
    best, waited = float("inf"), 0
    for loss in losses:
        best, waited = (loss, 0) if loss < best - min_delta else (best, waited + 1)
        if waited >= patience:
            return True
    return False
