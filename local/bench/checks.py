"""How fast a large data set is checked, what each rule costs, and in how much memory; beside csv.reader alone.

Each figure is of its own process, which writes the data into a file first and then reads it; the time to read is in all
figures. MB are 10^6 bytes. A process may use one processor core or two, where the system can say so (Linux).
"""

from __future__ import annotations

import csv
import math
import multiprocessing
import os
import random
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from functools import cache, partial
from pathlib import Path
from typing import Any, NamedTuple

from local.bench.rows import Row
from shared.domain.checks import Checks, Column, Drift, Type, check

GIB = 1 << 30
CHUNK = 1 << 20  #: bytes, as the storage gives them
CLASSES = 1_000_000
_TURNS = 5
_ROWS = 9_000  #: of a block that is repeated with other ids
_NUMBERS = tuple(f"n{number}" for number in range(8))
#: the rules one by one; each is measured alone
RULES: dict[str, dict[str, Any]] = {
    "types": {
        "columns": (
            Column(name="id", type=Type.INTEGER),
            *(Column(name=name, type=Type.NUMBER) for name in _NUMBERS),
            Column(name="job", type=Type.TEXT),
            Column(name="income"),
        )
    },
    "label": {"label": "income"},
    "words for missing": {"missing": ("NA", "-999")},
    "limits of rows and missing cells": {"rows_at_least": 1000, "missing_at_most": 0.25, "missing_in_all_at_most": 0.1},
    "duplicates": {"duplicates_at_most": 0.01},
    "drift": {"drift": Drift(columns={"id": None})},
}
ALL = Checks(**{key: value for rule in RULES.values() for key, value in rule.items()})


class Speed(NamedTuple):
    """How fast something was, and what the process had in memory at most."""

    clock: float  #: MB/s
    processor: float  #: MB/s of processor time, of all threads together
    peak_mib: float
    risen_mib: float  #: above what it was with its imports


def measure(gib: float) -> Iterator[Row]:
    """Check tables of a quarter of `gib` GiB and of `gib` with every rule, then with each alone, then odd ones."""
    some = int(gib * GIB) // 4
    for size, cores in ((some, 1), (some, 2), (int(gib * GIB), 2)):
        ours, parser = _apart(_checking, size, False, cores=cores), _apart(_parsing, size, False, cores=cores)
        yield f"checking {size / GIB:g} GiB, every rule, {_on(cores)}", *_beside(ours, parser)
    costs = _apart(_rules, some // 4)
    none = costs.pop("")
    yield "checking without a rule", f"{none:.2f} ms/MB of processor time", "", ""
    for name, cost in costs.items():
        yield f"the rule: {name}", f"{cost - none:+.2f} ms/MB", f"without a rule {none:.2f} ms/MB", f"{cost / none:.2f}"
    ours, parser = _apart(_checking, some, True), _apart(_parsing, some, True)
    yield "separators and line ends in quotes", *_beside(ours, parser)
    seconds = _apart(_classes)
    yield f"a label of {CLASSES:,} classes", f"{seconds:.1f} s of processor time", "", ""


def _beside(ours: Speed, parser: Speed) -> tuple[str, str, str]:
    return (
        f"{ours.clock:.0f} MB/s ({ours.processor:.0f} of processor time), peak {ours.peak_mib:.0f} MiB",
        f"csv.reader alone {parser.clock:.0f} MB/s ({parser.processor:.0f})",
        f"{ours.clock / parser.clock:.2f}",
    )


def _on(cores: int) -> str:
    if not hasattr(os, "sched_setaffinity"):
        return "on any core"
    found = min(cores, len(os.sched_getaffinity(0)))
    return f"on {found} core{'s' if found > 1 else ''}"


def _apart(work: Callable[..., Any], *arguments: Any, cores: int = 2) -> Any:
    """Return what the work gives in its own process, whose memory nothing else has used."""
    with multiprocessing.get_context("spawn").Pool(1, _use, (cores,)) as pool:
        return pool.apply(work, arguments)


def _use(cores: int) -> None:
    """Let this process use so many cores at most."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[-cores:])


def _checking(size: int, quoted: bool) -> Speed:
    reference = check("large.csv", _stream(CHUNK, quoted), ALL).profile

    def checked(chunks: Iterator[bytes]) -> None:
        report = check("large.csv", chunks, ALL, reference)
        assert not report.faults, report.text

    return _speed(size, quoted, checked)


def _rules(size: int) -> dict[str, float]:
    """Return the milliseconds of processor time for each MB, by the one rule that is on; none is the empty name.

    They take turns, and the best time of each counts: what else the machine does is in the others.
    """
    chunks = [*_stream(size, False)]
    given = sum(map(len, chunks))
    reference = check("large.csv", _stream(CHUNK, False), ALL).profile
    rules = {"": Checks(), **{name: Checks(**rule) for name, rule in RULES.items()}, "all of them": ALL}
    best = dict.fromkeys(rules, math.inf)
    for _ in range(_TURNS):
        for name, rule in rules.items():
            _, processor = _timed(partial(check, "large.csv", chunks, rule, reference))
            best[name] = min(best[name], processor / given * 1e9)
    return best


def _parsing(size: int, quoted: bool) -> Speed:
    return _speed(size, quoted, _parse)


def _speed(size: int, quoted: bool, work: Callable[[Iterator[bytes]], None]) -> Speed:
    with tempfile.TemporaryFile(buffering=0) as file:
        for rows in _stream(size, quoted):
            file.write(rows)
        os.fsync(file.fileno())  # or the system writes while the work is measured
        size = file.seek(0, os.SEEK_END)
        file.seek(0)
        before = _peak_mib()
        clock, processor = _timed(lambda: work(iter(partial(file.read, CHUNK), b"")))
    after = _peak_mib()
    return Speed(size / clock / 1e6, size / processor / 1e6, after, after - before)


def _classes() -> float:
    """Return how long the check of a label takes whose cells are all different."""
    rows = b"".join(b"%d,class %d\n" % (number % 10, number) for number in range(CLASSES))
    _, processor = _timed(lambda: check("large.csv", [b"a,income\n", rows], Checks(label="income")))
    return processor


def _stream(size: int, quoted: bool) -> Iterator[bytes]:
    """Give rows of ids, numbers with some missing, and texts; at least `size` bytes, and no row twice."""
    rows = _rows(quoted).encode()
    yield f"id,{','.join(_NUMBERS)},job,income\n".encode()
    for number in range(10_000, 10_000 + math.ceil(size / len(rows))):
        yield rows.replace(b"@@@@@", b"%d" % number)


@cache
def _rows(quoted: bool) -> str:
    """Return rows whose ids begin with a place for a number of five digits."""
    chance = random.Random(1)
    jobs = ['"Sales, retail"', '"Craft\nrepair"', '"Tech ""support"""', '"Exec, managerial"', '""']
    if not quoted:
        jobs = ["Sales", "Craft-repair", "Tech-support", "Exec-managerial", ""]
    rows = []
    for number in range(_ROWS):
        numbers = [f"{chance.gauss(0, 100):.6g}" for _ in range(5)] + [str(chance.randrange(10**6)) for _ in range(2)]
        numbers.append("" if number % 10 == 0 else str(chance.random()))
        rows.append(f"@@@@@{number:04},{','.join(numbers)},{chance.choice(jobs)},{chance.choice(['<=50K', '>50K'])}\n")
    return "".join(rows)


def _parse(chunks: Iterator[bytes]) -> None:
    def lines() -> Iterator[str]:
        rest = ""
        for chunk in chunks:
            *whole, rest = (rest + chunk.decode("ascii")).splitlines(keepends=True)
            yield from whole
        yield rest

    for _ in csv.reader(lines()):
        pass


def _timed(work: Callable[[], object]) -> tuple[float, float]:
    """Return the seconds of the clock and of processor time."""
    clock, processor = time.perf_counter(), time.process_time()
    work()
    return time.perf_counter() - clock, time.process_time() - processor


def _peak_mib() -> float:
    status = Path("/proc/self/status")
    if status.exists():  # Linux hands a parent's ru_maxrss on to its children, but not this figure
        line = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM:"))
        return int(line.split()[1]) / 1024
    if sys.platform == "darwin":
        import resource

        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1 << 20)
    raise SystemExit("the memory benchmark needs Linux or macOS")
