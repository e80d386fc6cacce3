"""A stream through threads: in order, not far ahead, and with the errors of either side."""

import threading
import time

import pytest

from whatyouread.support.parallel import in_order


@pytest.mark.parametrize("workers", [1, 3])
def test_results_come_in_order_however_long_each_takes(workers):
    def slow(item):
        time.sleep(0.01 * (item % 3 == 0))
        return item * item

    assert list(in_order(slow, range(20), workers)) == [i * i for i in range(20)]


def test_one_worker_calls_in_order_and_reads_little_ahead():
    called, read = [], []

    def items():
        for item in range(10):
            read.append(item)
            yield item

    results = in_order(called.append, items())
    next(results)
    assert len(read) <= 3
    list(results)
    assert called == list(range(10))


def test_the_work_is_done_beside_the_caller():
    [other] = in_order(lambda _: threading.get_ident(), [0])
    assert other != threading.get_ident()


def test_errors_of_the_function_and_of_the_items():
    def fail(item):
        if item == 2:
            raise ValueError("two")
        return item

    results = in_order(fail, range(9))
    assert [next(results), next(results)] == [0, 1]
    with pytest.raises(ValueError, match="two"):
        next(results)

    def broken():
        yield 1
        raise OSError("cut short")

    with pytest.raises(OSError, match="cut short"):
        list(in_order(fail, broken()))


def test_nothing_goes_on_when_the_caller_stops():
    before = threading.active_count()
    results = in_order(lambda item: item, range(1000))
    next(results)
    results.close()
    assert threading.active_count() == before
