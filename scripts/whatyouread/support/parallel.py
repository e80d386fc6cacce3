"""Process a stream of items with several threads; numpy and zlib release the interpreter lock."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor


def in_order(function: Callable, items: Iterable, workers: int = 1) -> Iterator:
    """`map(function, items)`, computed by threads while the caller reads the next items.

    The results come in the order of the items, and at most `workers` + 1 of them wait; one worker
    also calls `function` in that order. An error of the items or of the function is raised here.
    """
    waiting: deque[Future] = deque()
    with ThreadPoolExecutor(workers) as pool:
        try:
            for item in items:
                waiting.append(pool.submit(function, item))
                if len(waiting) > workers:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()
