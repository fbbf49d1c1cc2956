"""Queues of work, one a group, first in, first out, each piece in its own thread that may start a process."""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

PAUSE = 0.05  #: seconds


@dataclass(frozen=True)
class Work:
    """What is done with an item of a group. `begin` records that its turn came, and returns whether it is worked on.

    `at_once` is how many of a group begin at once, `threads` how many are worked on in all; an item waits for
    `queued_for` seconds at least.
    """

    begin: Callable[[str, str], bool]
    carry_out: Callable[[str], None]
    at_once: Callable[[str], int]
    threads: int
    queued_for: float = 0.0


class Queues:
    """Of what has begun, an item of the group that has least at work goes next."""

    def __init__(self, name: str, work: Work, log: logging.Logger) -> None:
        self._name, self._work, self._log = name, work, log
        self.stopping, self._woken = threading.Event(), threading.Event()
        self._lock = threading.Lock()
        self._queued: dict[str, deque[tuple[float, str]]] = {}  # by group: since when, and what
        self._begun: dict[str, deque[str]] = {}  # by group: what runs, as is said, and has no thread yet
        self._at_work: dict[str, set[threading.Thread]] = {}  # by group
        self._items: set[str] = set()  # that a thread is at work on
        self._thread = threading.Thread(target=self._loop, name=f"{name}s", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def add(self, group: str, item: str) -> None:
        """Have the item begin when its turn comes."""
        with self._lock:
            self._queued.setdefault(group, deque()).append((time.monotonic(), item))
        self._woken.set()

    def remove(self, group: str, item: str) -> bool:
        """Give the place of an item that has begun to the next one. Return whether a thread is at work on it."""
        with self._lock:
            at_work = item in self._items
            if item in (begun := self._begun.get(group, deque())):
                begun.remove(item)
                if not begun:
                    del self._begun[group]
        self._woken.set()
        return at_work

    def stop(self) -> None:
        """Begin nothing more, and wait for what is at work: it looks at `stopping`."""
        self.stopping.set()
        self._woken.set()
        self._thread.join()

    def _loop(self) -> None:
        while not self.stopping.is_set():
            self._woken.wait(PAUSE)
            self._woken.clear()
            try:
                with self._lock:
                    self._send_to_work()
            except Exception:
                # The records may be out of reach for a while; without this thread nothing would ever begin again.
                self._log.exception("The jobs could not be checked; this is tried again")
                self.stopping.wait(1)
        for threads in list(self._at_work.values()):
            for thread in threads:
                thread.join()

    def _send_to_work(self) -> None:
        self._forget_ended()
        if self._work.threads:
            self._begin_due()
        while self._begun and self._working < self._work.threads:
            self._work_on_next()

    @property
    def waiting(self) -> bool:
        """Return whether an item has begun that no thread is at work on."""
        with self._lock:
            return bool(self._begun)

    @property
    def _working(self) -> int:
        return sum(map(len, self._at_work.values()))

    def _forget_ended(self) -> None:
        for group, threads in list(self._at_work.items()):
            threads -= {thread for thread in threads if not thread.is_alive()}
            if not threads:
                del self._at_work[group]

    def _begin_due(self) -> None:
        """Have items leave their queue, as many as may run at once."""
        due = time.monotonic() - self._work.queued_for
        for group, queue in list(self._queued.items()):
            running = len(self._begun.get(group, ())) + len(self._at_work.get(group, ()))
            while queue and queue[0][0] <= due and running < self._work.at_once(group):
                running += self._begin(group, queue[0][1])
                queue.popleft()  # only now: what could not be recorded keeps its place
            if not queue:
                del self._queued[group]

    def _begin(self, group: str, item: str) -> bool:
        if not self._work.begin(group, item):
            return False
        self._begun.setdefault(group, deque()).append(item)
        return True

    def _work_on_next(self) -> None:
        group = min(self._begun, key=lambda each: len(self._at_work.get(each, ())))
        items = self._begun[group]
        thread = threading.Thread(target=self._carry_out, args=(items[0],), name=self._name)
        self._items.add(items[0])
        thread.start()
        self._at_work.setdefault(group, set()).add(thread)
        items.popleft()
        if not items:
            del self._begun[group]

    def _carry_out(self, item: str) -> None:
        try:
            self._work.carry_out(item)
        finally:
            self._items.discard(item)
            self._woken.set()
