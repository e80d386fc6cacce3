"""Trouble that the machine makes, told apart from bugs and said in one line; no torch.

torch has its own errors for a lack of memory, several of which are plain RuntimeErrors.
"""

import re

NO_RETRY = "(another try would end the same way)"
"""The end of a message after which a cluster's second attempt ends at once, see `cli.run`."""

_MEMORY = re.compile(
    r"out of memory|(can't|cannot|unable to) allocate|bad_alloc|ALLOC_FAILED", re.IGNORECASE
)
_WORKER = re.compile(r"DataLoader worker .*(killed by signal|exited unexpectedly)", re.DOTALL)
_COMPILER = re.compile(r"InvalidCxxCompiler|No working C\+\+ compiler|Failed to find C compiler")
_GPU = re.compile(
    r"ECC error|no kernel image|busy or unavailable|driver version is insufficient|fallen off the bus"
    r"|CUDA error: unknown error|NCCL (error|WARN)|unhandled (cuda|system) error",
    re.IGNORECASE,
)
_batch: list[int] = []


def note_batch(sequences: int, length: int) -> None:
    """Keep the size of the batch that is computed next, for the line that says that memory ran out."""
    _batch[:] = sequences, length


def trouble(error: BaseException, batch_size: str = "") -> str | None:
    """One line where the machine is to blame for an error, else None.

    batch_size: the key of the configuration that sets the size of a batch, where the program has one.
    """
    said = f"{type(error).__name__}: {error}"
    if _lacks_memory(error, said):
        return _out_of_memory(said, batch_size)
    if not isinstance(error, RuntimeError):
        return None
    first = next(iter(str(error).strip().splitlines()), "")
    if _WORKER.search(said):
        return (
            "a process that prepares batches was ended from outside: give the job more memory (mem_mb) or "
            f"fewer threads, and a container more shared memory (--shm-size) ({first})"
        )
    if _COMPILER.search(said):
        return no_compiler(error)
    if _GPU.search(said):
        return f"the GPU failed ({first}): see what nvidia-smi says, and start again"
    return None


def no_compiler(error: BaseException) -> str:
    """The line for an error of torch.compile that a missing compiler has caused."""
    first = next((line.strip() for line in str(error).splitlines() if line.strip()), "")
    return (
        f"`compile: true` cannot compile here ({first or type(error).__name__}): install a C++ compiler "
        "(g++, or conda's cxx-compiler; the variable CXX can name it), or set compile: false "
        f"{NO_RETRY}"
    )


def _lacks_memory(error: BaseException, said: str) -> bool:
    named = any(
        kind.__name__ in ("MemoryError", "OutOfMemoryError") for kind in type(error).__mro__
    )
    return named or (isinstance(error, (RuntimeError, OSError)) and bool(_MEMORY.search(said)))


def _out_of_memory(said: str, batch_size: str) -> str:
    on_gpu = bool(re.search(r"OutOfMemoryError|cuda|cublas|cudnn", said, re.IGNORECASE))
    where = " of the GPU" if on_gpu else ""
    advice = f"lower {batch_size or 'the batch size'}"
    if _batch:
        sequences, length = _batch
        where += f", in a batch of {sequences} sequences of up to {length:,} tokens"
        if sequences == 1:
            advice = "leave out or cut long sequences (sequences.max_length)"
    if on_gpu:
        return f"out of memory{where}: {advice} {NO_RETRY}"
    return f"out of memory{where}: give the job more memory or {advice}"
