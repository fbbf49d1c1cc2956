"""Runs the same work on many things in threads, because it waits for storage and services most of the time."""

import logging
import random
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from contextvars import ContextVar, copy_context
from datetime import datetime
from threading import BoundedSemaphore, Lock, local
from typing import Any, TypeVar, cast

log = logging.getLogger("relearn.work")

T = TypeVar("T")
R = TypeVar("R")

WORKERS = 8  #: beside the threads that call; so few, because their processor time is Python's, one at a time
THREADS = 3 * WORKERS  #: of which WORKERS work, and the others wait, as they do or for their turn
_POOL = ThreadPoolExecutor(THREADS, "relearn")  # one for the process, so that nested work starts no further threads
_TURNS = BoundedSemaphore(WORKERS)
_own = local()
_LARGE = Lock()

#: what a thread does first when it works for this call: the Functions runtime assigns log lines by their threads
entering: ContextVar[Callable[[], None]] = ContextVar("entering", default=lambda: None)


def at_once(work: Callable[[T], R], things: Iterable[T]) -> list[R]:
    """Return the results in the order of the things. The first failure is raised, and nothing more is begun.

    The calling thread does what no other has begun, so that work may call `at_once` itself. A single thing is done by
    the calling thread.
    """
    things = list(things)
    if len(things) < 2:
        return [work(thing) for thing in things]
    left, done, failed = deque(enumerate(things)), dict[int, R](), dict[int, BaseException]()

    def next_one() -> bool:
        """Do the next that no thread has begun; return whether there was one."""
        try:
            number, thing = left.popleft()
        except IndexError:
            return False
        try:
            done[number] = work(thing)
        except BaseException as error:
            failed[number] = error
            left.clear()
        return True

    # Few futures that each do many things: to hand over one takes longer than some things.
    helpers = range(min(len(things) - 1, THREADS))
    futures = [_POOL.submit(copy_context().run, _help, next_one) for _ in helpers]
    try:
        while next_one():
            pass
    finally:
        left.clear()
        if running := [future for future in futures if not future.cancel()]:
            _rested(lambda: [future.exception() for future in running])
    if failed:
        # A request to end the process comes as SystemExit, once: another failure must not take its place.
        raise failed[min(failed, key=lambda number: (isinstance(failed[number], Exception), number))]
    return [done[number] for number in range(len(things))]


def together(*works: Callable[[], Any]) -> list[Any]:
    """Do several works at once; return their results in their order."""
    return at_once(lambda work: work(), works)


def pause(seconds: float) -> None:
    """Sleep, and let another thread work meanwhile."""
    _rested(lambda: time.sleep(seconds))


def _rested(waiting: Callable[[], R]) -> R:
    """Wait as one of the threads at work, of which another takes the place."""
    if not getattr(_own, "turn", False):
        return waiting()
    _TURNS.release()
    try:
        return waiting()
    finally:
        # Who is in what is large waits for no turn: those that have one may want to be there next.
        _own.turn = _TURNS.acquire(blocking=not getattr(_own, "large", False))


def ahead(items: Iterator[T]) -> Iterator[T]:
    """Give the items in their order; another thread makes the next two while one is used.

    It is a separate thread: what many allocate in turn, the C library keeps for each of them. Nothing is being made
    any more when this ends, however it ends.
    """
    end = object()
    one = ThreadPoolExecutor(1, "relearn-ahead")

    def begin() -> Future[T | object]:
        return one.submit(copy_context().run, _next, items, end)

    try:
        # With two, neither thread waits where an item takes longer than another.
        made = deque([begin(), begin()])
        while (item := made.popleft().result()) is not end:
            made.append(begin())
            yield cast(T, item)
    finally:
        one.shutdown(cancel_futures=True)


def _next(items: Iterator[T], end: object) -> T | object:
    entering.get()()
    return next(items, end)


def _help(next_one: Callable[[], bool]) -> None:
    """Do one after another, each in its own turn, until none is left."""
    more = True
    while more:
        _own.turn = _TURNS.acquire()
        try:
            entering.get()()
            more = next_one()
        finally:
            if _own.turn:
                _TURNS.release()
            _own.turn = False


def in_time(
    work: Callable[[T], R], things: Iterable[T], seconds: float, now: Callable[[], datetime], what: str
) -> list[R]:
    """Return the results, in the order of the things, of those that could be begun within so many seconds.

    The others are for the caller's next time. They are begun in any order, so that each has its turn where the time is
    always too short.
    """
    things, begun = list(things), now()

    def timely(number: int) -> tuple[int, R] | None:
        return (number, work(things[number])) if (now() - begun).total_seconds() <= seconds else None

    done = dict(filter(None, at_once(timely, random.sample(range(len(things)), len(things)))))
    if len(done) < len(things):
        log.warning(
            "The time ran out before %d of %d %s; they are next in the following call",
            len(things) - len(done),
            len(things),
            what,
        )
    return [done[number] for number in sorted(done)]


@contextmanager
def alone_if(large: bool) -> Iterator[None]:
    """Let one thread at a time do what is large, for the memory. Those that wait for that hold up no other work."""
    if not large:
        yield
        return
    _rested(_LARGE.acquire)
    _own.large = True
    try:
        yield
    finally:
        _own.large = False
        _LARGE.release()
