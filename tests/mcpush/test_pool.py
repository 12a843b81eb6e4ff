"""The bounded pool: order, errors, the budget, how far it reads ahead, and how it ends."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent import futures

import pytest
from mcpush.collect.pool import AHEAD, Answer, Pool

from tests.script_process import SCRIPTS, clean_environment, wait_until

PLENTY = 600.0  # seconds
GATE_SECONDS = 20.0  # longer than any test needs; a pool that does not watch its budget waits this long


class Gate:
    """An ``ask`` that answers when it is opened. ``asked`` has the items in the order of the calls."""

    def __init__(self) -> None:
        self.asked: list[int] = []
        self._open = threading.Event()

    def ask(self, item: int) -> int:
        self.asked.append(item)
        if not self._open.wait(GATE_SECONDS):
            self._open.set()
            raise AssertionError("the pool waits longer than its budget")
        return -item

    def open(self) -> None:
        self._open.set()


def no_threads_left() -> bool:
    return "ask" not in [thread.name for thread in threading.enumerate()]


def test_answers_are_in_the_order_of_the_items() -> None:
    later = threading.Event()

    def ask(item: int) -> str:
        if item == 0:
            assert later.wait(PLENTY), "the first answer is the last one that is known"
        if item == 3:
            later.set()
        return f"answer {item}"

    found = list(Pool(2, PLENTY).answers(ask, range(7)))
    assert found == [Answer(item, f"answer {item}", None, True) for item in range(7)]


@pytest.mark.parametrize("number", [0, 1, 2, AHEAD * 2 - 1, AHEAD * 2, AHEAD * 2 + 1])
def test_any_number_of_items_is_answered(number: int) -> None:
    found = list(Pool(2, PLENTY).answers(str, range(number)))
    assert found == [Answer(item, str(item), None, True) for item in range(number)]


def test_an_answer_of_none_was_reached() -> None:
    assert list(Pool(1, PLENTY).answers(lambda item: None, [1])) == [Answer(1, None, None, True)]


@pytest.mark.parametrize(
    "kind", [ValueError, TimeoutError, futures.TimeoutError, futures.CancelledError, StopIteration]
)
def test_an_error_is_the_answer(kind: type[Exception]) -> None:
    error = kind("of the second item")

    def ask(item: int) -> int:
        if item == 1:
            raise error
        return item * 10

    assert list(Pool(2, PLENTY).answers(ask, range(3))) == [
        Answer(0, 0, None, True),
        Answer(1, None, error, True),
        Answer(2, 20, None, True),
    ]


def test_an_exit_in_a_thread_ends_the_run() -> None:
    def ask(item: int) -> None:
        raise SystemExit(item)

    with pytest.raises(SystemExit):
        list(Pool(1, PLENTY).answers(ask, [7]))


def test_items_that_are_not_reached_in_time_say_so() -> None:
    """With two workers: at most the first two items are being asked about."""
    gate = Gate()
    pool = Pool(2, 0.05)
    found = list(pool.answers(gate.ask, range(50)))
    assert found == [Answer(item) for item in range(50)]
    assert {*gate.asked} <= {0, 1}
    gate.open()
    assert list(pool.answers(gate.ask, with_time_to_ask(99))) == [Answer(99)], "one budget for all calls"
    assert {*gate.asked} <= {0, 1}


def with_time_to_ask(item: int) -> Iterator[int]:
    """An item, and the time in which a free thread would start to ask about it."""
    yield item
    threading.Event().wait(0.3)


def test_answers_that_are_known_when_the_time_is_up_count() -> None:
    gate, known = Gate(), threading.Event()

    def ask(item: int) -> int:
        if item == 0:
            return gate.ask(item)
        if item == 2:
            known.set()
        return item * 10

    answers = Pool(2, 0.05).answers(ask, only_after(known))
    assert list(answers) == [Answer(0), Answer(1, 10, None, True), Answer(2, 20, None, True)]
    gate.open()


def only_after(event: threading.Event) -> Iterator[int]:
    """Three items, and then no end until the event."""
    yield from range(3)
    assert event.wait(PLENTY)


def test_only_waiting_counts() -> None:
    """Not the time that the consumer or the source of the items takes."""
    pool = Pool(1, 0.2)

    def slow_items() -> Iterator[int]:
        for item in range(4):
            threading.Event().wait(0.1)
            yield item

    assert all(answer.is_reached for answer in pool.answers(str, slow_items()))


def test_few_items_are_read_ahead() -> None:
    read: list[int] = []

    def items() -> Iterator[int]:
        for item in range(10_000):
            read.append(item)
            yield item

    workers, count = 3, 0
    for answer in Pool(workers, PLENTY).answers(str, items()):
        assert answer == Answer(count, str(count), None, True)
        count += 1
        assert len(read) <= count + workers * AHEAD
    assert count == len(read) == 10_000


def test_a_consumer_that_leaves_early_stops_the_questions() -> None:
    """Two workers: besides the first question, they have begun two."""
    gate = Gate()

    def ask(item: int) -> int:
        return gate.ask(item) if item else item

    answers = Pool(2, PLENTY).answers(ask, range(10_000))
    assert next(answers) == Answer(0, 0, None, True)
    answers.close()  # type: ignore[attr-defined]
    gate.open()
    wait_until(no_threads_left, 30)
    assert len(gate.asked) <= 2


@pytest.mark.parametrize("number", [0, 1, 100])
def test_threads_end_with_the_answers(number: int) -> None:
    list(Pool(3, PLENTY).answers(str, range(number)))
    wait_until(no_threads_left, 10)


def test_an_error_of_the_items_ends_the_answers() -> None:
    def items() -> Iterator[int]:
        yield 1
        raise ConnectionError

    with pytest.raises(ConnectionError):
        list(Pool(1, PLENTY).answers(str, items()))


WAITS_FOREVER = """
import os, sys, threading
from mcpush.collect.pool import Pool
from mcpush.errors import Terminated
from mcpush.interrupts import handle_signals, ignore_signals

def ask(item):
    os.write(1, b"asking\\n")  # print() holds a lock, and the interpreter aborts if a daemon thread holds it at exit
    threading.Event().wait()

handle_signals()
try:
    list(Pool(2, {seconds}).answers(ask, range(3)))
except Terminated:
    ignore_signals()
    sys.exit(130)
print("done", flush=True)
"""


@pytest.mark.parametrize(("seconds", "is_interrupted"), [(600, True), (0.2, False)])
def test_a_process_ends_although_a_request_does_not(seconds: float, is_interrupted: bool) -> None:
    """After a signal, and after the budget is spent."""
    command = [sys.executable, "-c", WAITS_FOREVER.format(seconds=seconds)]
    env = clean_environment({"PYTHONPATH": str(SCRIPTS)})
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=env) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "asking\n"
        if is_interrupted:
            process.send_signal(signal.SIGTERM)
        try:
            rest, _ = process.communicate(timeout=40)  # less than the forced exit of interrupts.py
        finally:
            process.kill()
    assert process.returncode == (130 if is_interrupted else 0)
    assert rest.endswith("done\n") is not is_interrupted
