"""transformers' Trainer with checkpoints inside an epoch, from which it goes on bit for bit.

By itself the Trainer writes a checkpoint under its final name, forgets the means that it has not
logged yet, and goes on with the next epoch from a checkpoint that lies between the last step of an
epoch and its evaluation. Here such a checkpoint is taken every so many seconds and at SIGTERM.
"""

import os
import shutil
import signal
import threading
import time
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor
from transformers import Trainer, TrainerCallback

from whatyouread import checkpoints
from whatyouread.cli import UserError

# Several processes must stop at the same step; each time they agree on it they wait for one another.
STEPS_BETWEEN_AGREEMENTS = 10


class Stopped(Exception):
    """Training ended because it was asked to; its argument is the checkpoint that was written."""


class ResumableTrainer(Trainer):
    """The Trainer, with a checkpoint every `seconds`, and one and the end once `stop` is True."""

    def __init__(self, *args, seconds: float, **kwargs):
        super().__init__(*args, **kwargs)
        self.seconds, self.stop = seconds, False
        self._stopping, self._checkpoint = False, None
        self._saved_at = time.monotonic()
        self.add_callback(_Flow(self))

    def unlogged(self) -> dict[str, Tensor]:
        """What a subclass has added up since the last log, to be kept in a checkpoint."""
        return {}

    def restore_unlogged(self, values: dict[str, Tensor]) -> None:
        """Set what `unlogged` returned."""

    def train(self, resume_from_checkpoint: str | None = None, **kwargs):
        self._checkpoint = resume_from_checkpoint
        return super().train(resume_from_checkpoint, **kwargs)

    def wanted(self) -> int:
        """0: go on; 1: a checkpoint is due; 2: write one and stop. The same in all processes."""
        level = 2 if self.stop else int(time.monotonic() - self._saved_at >= self.seconds)
        if self.args.world_size > 1:
            flag = torch.tensor(level, device=self.args.device)
            torch.distributed.all_reduce(flag, torch.distributed.ReduceOp.MAX)
            level = int(flag)
        self._stopping = level == 2
        return level

    def go_on(self, steps_per_epoch: int) -> None:
        """Restore what the Trainer does not, and make up for an evaluation that was cut off."""
        if self._checkpoint is None:
            return
        values = load_file(self._means(self._checkpoint))
        self._tr_loss = values.pop("loss").to(self.args.device)
        self._globalstep_last_logged = int(values.pop("last_logged"))
        self.restore_unlogged(values)
        self._set_best()
        epochs, begun = divmod(self.state.global_step, steps_per_epoch)
        if not begun and len(validation_losses(self.state.log_history)) < epochs:
            self._load_rng_state(self._checkpoint)
            self.control.should_evaluate = self.control.should_save = True
            self._maybe_log_save_evaluate(
                self._tr_loss, None, self.model_wrapped, None, epochs - 1, None, None
            )

    def evaluate(self, *args, **kwargs):
        if self.wanted():
            self._save_checkpoint(self.model, None)
        before = torch.get_rng_state()
        try:
            return super().evaluate(*args, **kwargs)
        except Stopped:  # from `refuse_to_go_on`; nothing but the generator has changed
            torch.set_rng_state(before)
            self._stopping = True
            self._save_checkpoint(self.model, None)

    def refuse_to_go_on(self) -> None:
        """For a step of the evaluation: raise Stopped where training is to end."""
        if self.stop and self.args.world_size == 1:
            raise Stopped

    def _run_epoch(self, *args, epoch: int, **kwargs) -> None:
        if self.control.should_training_stop:  # it had to stop before it was killed
            return
        # the Trainer does not reach the sampler behind batches that are skipped
        self._sampler.set_epoch(epoch)
        super()._run_epoch(*args, epoch=epoch, **kwargs)

    def _get_dataloader(self, *args, **kwargs):
        loader = super()._get_dataloader(*args, **kwargs)
        getattr(loader, "base_dataloader", loader).worker_init_fn = outlive_sigterm
        return loader

    def _save_checkpoint(self, model, trial) -> None:
        refuse_loss(float(self._tr_loss), self.state.global_step)
        folder = Path(self.args.output_dir)
        final = folder / f"checkpoint-{self.state.global_step}"
        scratch, old = folder / f".{final.name}", folder / ".old"
        try:
            self._write_checkpoint(scratch)
            if self.args.should_save:
                if final.exists():  # written before the evaluation that has now been made
                    os.replace(final, old)
                os.replace(scratch, final)
                self._remove_old_checkpoints(folder)
        except (RuntimeError, SafetensorError) as error:  # how torch says that a disk is full
            free = shutil.disk_usage(folder).free
            reason = str(error).partition("\n")[0]
            raise UserError(
                f"{final}: cannot be written ({reason}); {free:,} bytes are free there: make room"
            ) from None
        finally:
            if self.args.should_save:
                shutil.rmtree(scratch, ignore_errors=True)
                shutil.rmtree(old, ignore_errors=True)
        self.accelerator.wait_for_everyone()
        self._saved_at = time.monotonic()
        if self._stopping:
            raise Stopped(final)

    def _write_checkpoint(self, folder: Path) -> None:
        if self.args.should_save:
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir(parents=True)
        self.accelerator.wait_for_everyone()
        self.save_model(str(folder), _internal_call=True)
        self._save_optimizer_and_scheduler(str(folder))
        self._save_scaler(str(folder))
        self._save_rng_state(str(folder))
        last_logged = torch.tensor(self._globalstep_last_logged)
        means = {"loss": self._tr_loss, "last_logged": last_logged, **self.unlogged()}
        means = {name: value.cpu().contiguous() for name, value in means.items()}
        save_file(means, self._means(folder))
        self._set_best()
        self.accelerator.wait_for_everyone()
        if self.args.should_save:
            self.state.save_to_json(str(folder / "trainer_state.json"))
            checkpoints.seal(folder)

    def _remove_old_checkpoints(self, folder: Path) -> None:
        """All but the last two and the one with the best weights."""
        made = sorted(folder.glob("checkpoint-*"), key=checkpoints.number)
        for checkpoint in made[:-2]:
            if checkpoints.number(checkpoint) != self.state.best_global_step:
                shutil.rmtree(checkpoint, ignore_errors=True)

    def _set_best(self) -> None:
        best = self.state.best_global_step
        path = Path(self.args.output_dir, f"checkpoint-{best}")
        self.state.best_model_checkpoint = str(path) if best else None

    def _means(self, folder: str | Path) -> Path:
        return Path(folder, f"means_{self.args.process_index}.safetensors")


class _Flow(TrainerCallback):
    def __init__(self, trainer: ResumableTrainer):
        self.trainer = trainer

    def on_train_begin(self, args, state, control, train_dataloader=None, **kwargs):
        self.trainer.go_on(len(train_dataloader))

    def on_step_end(self, args, state, control, train_dataloader=None, **kwargs):
        if state.global_step % len(train_dataloader) == 0:
            return  # the end of the epoch follows, with an evaluation and a checkpoint
        if args.world_size == 1 or state.global_step % STEPS_BETWEEN_AGREEMENTS == 0:
            control.should_save = self.trainer.wanted() > 0


def validation_losses(entries: list[dict]) -> list[float]:
    """The validation losses in a log of the Trainer, one per epoch."""
    return [entry["eval_loss"] for entry in entries if "eval_loss" in entry]


def refuse_loss(loss: float, step: int) -> None:
    """Raise UserError where a loss is no number any more."""
    if not torch.isfinite(torch.tensor(loss)):
        raise UserError(
            f"the loss is {loss} at step {step}: lower the learning rate, "
            "set max_grad_norm, or train in fp32"
        )


def outlive_sigterm(worker: int) -> None:
    """Let a worker of a DataLoader live on when SIGTERM goes to all processes of a job.

    The main process needs it until its checkpoint is written; only to its SIGTERM the worker ends.
    """
    if hasattr(signal, "sigwaitinfo"):  # not on macOS
        signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])
        threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    while signal.sigwaitinfo([signal.SIGTERM]).si_pid != os.getppid():
        pass
    os._exit(0)
