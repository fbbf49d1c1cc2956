"""Much work is done by several threads, as if by one: in order, failures raised, within its time."""

from __future__ import annotations

import hashlib
import threading
import time
from collections.abc import Iterator
from contextvars import copy_context

import pytest

from shared.base.threads import THREADS, WORKERS, ahead, alone_if, at_once, entering, in_time, pause
from tests.support.fakes import Clock
from tests.support.waiting import PATIENCE


def test_several_are_under_way_at_once_and_results_are_in_the_order_of_the_things() -> None:
    together = threading.Barrier(WORKERS)  # passes only when so many wait at once

    def work(number: int) -> int:
        together.wait(timeout=PATIENCE)
        return number * 2

    assert at_once(work, range(WORKERS)) == [number * 2 for number in range(WORKERS)]


def test_nested_work_ends_although_all_threads_are_taken_and_starts_no_further_threads() -> None:
    seen: set[str] = set()

    def inner(number: int) -> int:
        seen.add(threading.current_thread().name)
        return number

    def outer(number: int) -> int:
        return sum(at_once(lambda each: sum(at_once(inner, range(each))), range(number)))

    assert at_once(outer, [10] * 50) == [sum(sum(range(each)) for each in range(10))] * 50
    assert len(seen) <= THREADS + 1


def test_who_waits_for_a_service_holds_up_no_other_work() -> None:
    last = threading.Event()

    def work(number: int) -> bool:
        if number == WORKERS:
            last.set()
            return True
        pause_until(last)
        return last.is_set()

    assert all(at_once(work, range(WORKERS + 1)))


def test_at_most_as_many_items_as_workers_are_worked_on_at_a_time() -> None:
    turn, inside, most = threading.Lock(), 0, 0

    def work(_: int) -> None:
        nonlocal inside, most
        with turn:
            inside += 1
            most = max(most, inside)
        hashlib.sha256(bytes(1 << 20))  # takes a moment
        with turn:
            inside -= 1

    at_once(work, range(200))
    assert most <= WORKERS + 1  # the calling thread works too


def test_who_waits_inside_what_is_large_goes_on_although_all_others_wait_for_that() -> None:
    def work(_: int) -> None:
        with alone_if(True):
            pause(0.0)

    at_once(work, range(2 * WORKERS))


def test_work_within_what_is_large_ends_although_all_others_wait_for_that() -> None:
    def work(number: int) -> int:
        with alone_if(True):
            return sum(at_once(lambda each: each, range(number)))

    assert at_once(work, [3] * 2 * THREADS) == [3] * 2 * THREADS


def pause_until(event: threading.Event) -> None:
    deadline = time.monotonic() + PATIENCE
    while not event.is_set() and time.monotonic() < deadline:
        pause(0.001)


def test_a_single_thing_needs_no_other_thread() -> None:
    assert at_once(lambda _: threading.current_thread(), [1]) == [threading.current_thread()]
    assert at_once(lambda _: threading.current_thread(), []) == []


def test_the_first_failure_is_raised_when_those_under_way_have_ended_and_the_rest_is_left() -> None:
    begun: list[int] = []
    ended: list[int] = []
    first = threading.Event()

    def work(number: int) -> None:
        begun.append(number)
        if number == 0:
            first.set()
            raise ValueError("the first")
        first.wait(10)
        hashlib.sha256(bytes(1 << 20))  # takes a moment
        ended.append(number)

    with pytest.raises(ValueError, match="the first"):
        at_once(work, range(1000))
    assert len(begun) < 1000
    assert sorted(ended) == sorted(set(begun) - {0})


def test_things_left_when_the_time_is_over_wait_and_none_waits_always(caplog: pytest.LogCaptureFixture) -> None:
    clock, turn = Clock(), threading.Lock()

    def work(number: int) -> int:
        with turn:
            clock.sleep(60)
        return number

    reached: set[int] = set()
    for _ in range(200):
        done = in_time(work, range(40), 180.0, clock.now, "things")
        assert done == sorted(done)
        assert 4 <= len(done) <= 4 + WORKERS
        reached |= set(done)
    assert reached == set(range(40))
    assert "of 40 things; they are next in the following call" in caplog.text


def test_each_thread_first_does_what_the_call_it_works_for_asks_of_it() -> None:
    lines = threading.local()

    def invocation(name: str) -> list[str]:
        entering.set(lambda: setattr(lines, "of", name))
        lines.of = name
        return at_once(lambda _: str(lines.of), range(100))

    for name in ("first", "second"):
        assert copy_context().run(invocation, name) == [name] * 100


def test_what_is_large_is_done_by_one_thread_at_a_time() -> None:
    inside, most = [0], [0]

    def work(_: int) -> None:
        with alone_if(True):
            inside[0] += 1
            most[0] = max(most[0], inside[0])
            inside[0] -= 1

    at_once(work, range(1000))
    assert most == [1]


def test_a_request_to_end_is_raised_although_an_earlier_thing_failed() -> None:
    begun, asked = threading.Event(), threading.Event()
    seen: list[int] = []

    def work(number: int) -> None:
        if threading.current_thread() is not threading.main_thread():
            begun.set()
            asked.wait(PATIENCE)
            raise ValueError(number)
        begun.wait(PATIENCE)
        seen.append(number)
        if len(seen) == 2:
            asked.set()
            raise SystemExit(143)

    with pytest.raises(SystemExit):
        at_once(work, range(2 * THREADS))


def test_the_next_two_items_are_made_while_one_is_used() -> None:
    made = [threading.Event() for _ in range(20)]

    def items() -> Iterator[int]:
        for number, event in enumerate(made):
            event.set()
            yield number

    used = []
    for number in ahead(items()):
        assert all(event.wait(PATIENCE) for event in made[: number + 3])
        used.append(number)
    assert used == [*range(20)]


def test_a_failure_of_an_item_comes_after_the_items_before_it() -> None:
    def items() -> Iterator[int]:
        yield from (1, 2)
        raise ValueError("third")

    used = []
    with pytest.raises(ValueError, match="third"):
        used.extend(ahead(items()))
    assert used == [1, 2]


def test_no_further_item_is_made_when_the_use_has_ended() -> None:
    running = threading.Lock()

    def items() -> Iterator[int]:
        while True:
            with running:
                yield 1

    for _ in range(200):
        source = items()
        use = ahead(source)
        next(use)
        use.close()
        source.close()  # raises when another thread is in it
        assert not running.locked()


def test_items_are_made_also_where_all_threads_of_the_pool_use_some() -> None:
    assert at_once(lambda count: sum(ahead(iter(range(count)))), [1000] * 4 * WORKERS) == [499_500] * 4 * WORKERS
