"""The processes that train together under torchrun, or the only one."""

import os
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import numpy as np
import torch
from torch import Tensor, distributed, nn
from torch.nn.parallel import DistributedDataParallel

from whatyouread.support.progress import progress

_CONNECTION = re.compile(r"gloo|NCCL|connection (closed|reset|refused)|broken pipe", re.IGNORECASE)


def own_threads(threads: int) -> int:
    """The share of one process in the cores of a job: torchrun starts several on each machine."""
    return max(1, threads // int(os.environ.get("LOCAL_WORLD_SIZE", "1")))


class Processes:
    """Process `number` of `count`. A single process does not wait or communicate."""

    def __init__(self, device: torch.device):
        self.device = device
        self.number = int(os.environ.get("RANK", "0"))
        self.count = int(os.environ.get("WORLD_SIZE", "1"))
        self.several = self.count > 1
        if self.several:
            cuda = device.type == "cuda"
            distributed.init_process_group(
                "nccl" if cuda else "gloo", device_id=device if cuda else None
            )

    def own_seed(self, seed: int) -> int:
        """The seed for the draws of this process; equal ones would occlude all parts of a batch alike."""
        if not self.number:
            return seed
        return int(np.random.SeedSequence([seed, self.number]).generate_state(1)[0])

    def share_gradients(self, module: nn.Module) -> nn.Module:
        """Wrap a module for training: gradients become means over the processes."""
        if not self.several:
            return module
        return DistributedDataParallel(
            module, [self.device] if self.device.type == "cuda" else None
        )

    def share_buffers(self, module: nn.Module) -> None:
        """Give all processes the buffers of process 0: batch norm statistics differ between processes."""
        if self.several:
            for buffer in module.buffers():
                distributed.broadcast(buffer, 0)

    def wait(self) -> None:
        """Wait for all processes."""
        if self.several:
            distributed.barrier()

    def highest(self, number: int) -> int:
        """The highest of the numbers of all processes."""
        if not self.several:
            return number
        value = torch.tensor(number, device=self.device)
        distributed.all_reduce(value, distributed.ReduceOp.MAX)
        return int(value)

    def stacked(self, tensor: Tensor) -> Tensor:
        """The tensors of all processes, (processes, *shape)."""
        if not self.several:
            return tensor.unsqueeze(0)
        tensors = [torch.empty_like(tensor, device=self.device) for _ in range(self.count)]
        distributed.all_gather(tensors, tensor.to(self.device))
        return torch.stack(tensors)

    def joined(self, items: list) -> list:
        """The lists of all processes as one."""
        if not self.several:
            return items
        lists = [None] * self.count
        distributed.all_gather_object(lists, items)
        return [item for items in lists for item in items]

    @contextmanager
    def shown(self, title: str, total: int) -> Iterator[Callable[[int], object]]:
        """Yield a function that counts sequences; process 0 shows the count."""
        if self.number:
            yield lambda count: None
        else:
            with progress(title, total, "sequences") as bar:
                yield bar.update

    def broke(self, error: RuntimeError) -> bool:
        """Whether an error says that another process is gone, and not that this one has a fault."""
        known = isinstance(error, distributed.DistError) or _CONNECTION.search(str(error))
        return self.several and bool(known)

    def end(self) -> None:
        """Close the connections between the processes."""
        if self.several:
            distributed.destroy_process_group()
