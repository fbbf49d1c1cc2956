"""How fast a large data set is checked, and in how much memory; beside the parser of the standard library alone.

`python -m local.bench.checks 2` checks 2 GiB that are made as they are read.
"""

from __future__ import annotations

import codecs
import csv
import json
import multiprocessing
import random
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from shared.domain.checks import Checks, Column, Drift, Profile, Report, Type, check

GIB = 1 << 30
CHUNK = 4 << 20  #: bytes, as the storage client gives them
_BLOCK_ROWS = 9_000


def measure(gib: float) -> dict[str, Any]:
    """Check `gib` GiB of a table with numbers and texts, every rule on and every row another one.

    Returns `bytes`, `rows`, `peak_mib` (the checking process as a whole), `risen_mib` (since its imports),
    `check_mb_s`, `parser_mb_s` (csv.reader over the same bytes) and `ratio`; MB are 10^6 bytes of processor time, so
    that other work on the machine counts less. The time that it takes to make the data is in neither.
    """
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe(duplex=False)
    process = context.Process(target=_measure, args=(int(gib * GIB), theirs))
    process.start()
    theirs.close()
    try:
        return dict(ours.recv())
    except EOFError:
        raise RuntimeError("the measuring process ended without a result") from None
    finally:
        process.join()


def _measure(size: int, pipe: Any) -> None:
    reference = _check(_stream(CHUNK), None).profile
    before = _peak_mib()
    making = _seconds(lambda: sum(map(len, _stream(size))))
    report: list[Report] = []
    checking = _seconds(lambda: report.append(_check(_stream(size), reference))) - making
    after = _peak_mib()
    parsing = _seconds(lambda: _parse(_stream(size))) - making
    [found] = report
    assert not found.faults, found.text
    pipe.send(
        {
            "bytes": found.size,
            "rows": found.rows,
            "notes": found.notes,
            "peak_mib": round(after, 1),
            "risen_mib": round(after - before, 1),
            "check_mb_s": round(found.size / checking / 1e6, 1),
            "parser_mb_s": round(found.size / parsing / 1e6, 1),
            "ratio": round(parsing / checking, 2),
        }
    )


def _check(chunks: Iterator[bytes], reference: Profile | None) -> Report:
    numbers = tuple(Column(name=f"n{number}", type=Type.NUMBER) for number in range(8))
    columns = (
        Column(name="id", type=Type.INTEGER),
        *numbers,
        Column(name="job", type=Type.TEXT),
        Column(name="income"),
    )
    rules = Checks(
        columns=columns,
        label="income",
        rows_at_least=1000,
        missing_at_most=0.25,
        missing_in_all_at_most=0.1,
        duplicates_at_most=0.01,
        drift=Drift(columns={"id": None}),
    )
    return check("large.csv", chunks, rules, reference)


def _stream(size: int) -> Iterator[bytes]:
    """Give rows of ids, numbers with some missing, and texts; at least `size` bytes, and no row twice."""
    chance = random.Random(1)
    jobs, classes = ["Sales", "Craft-repair", "Tech-support", "Exec-managerial", ""], ["<=50K", ">50K"]
    rows = []
    for number in range(_BLOCK_ROWS):
        numbers = [f"{chance.gauss(0, 100):.6g}" for _ in range(5)] + [str(chance.randrange(10**6)) for _ in range(2)]
        numbers.append("" if number % 10 == 0 else str(chance.random()))
        rows.append(f"@{number:04},{','.join(numbers)},{chance.choice(jobs)},{chance.choice(classes)}\n")
    block = "".join(rows).encode()
    yield f"id,{','.join(f'n{number}' for number in range(8))},job,income\n".encode()
    given, number, waiting = 0, 0, bytearray()
    while given < size:
        waiting += block.replace(b"@", b"%d" % (10_000 + number))
        number += 1
        while len(waiting) >= CHUNK:
            yield bytes(memoryview(waiting)[:CHUNK])
            del waiting[:CHUNK]
            given += CHUNK
    yield bytes(waiting)


def _parse(chunks: Iterator[bytes]) -> None:
    def lines() -> Iterator[str]:
        decode, rest = codecs.getincrementaldecoder("utf-8")().decode, ""
        for chunk in chunks:
            *whole, rest = (rest + decode(chunk)).split("\n")
            yield from whole
        yield rest

    for _ in csv.reader(lines()):
        pass


def _seconds(work: Any) -> float:
    begun = time.process_time()
    work()
    return time.process_time() - begun


def _peak_mib() -> float:
    status = Path("/proc/self/status")
    if status.exists():  # Linux hands a parent's ru_maxrss on to its children, but not this figure
        line = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM:"))
        return int(line.split()[1]) / 1024
    if sys.platform == "darwin":
        import resource

        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1 << 20)
    raise SystemExit("the memory benchmark needs Linux or macOS")


if __name__ == "__main__":
    print(json.dumps(measure(float(sys.argv[1]) if sys.argv[1:] else 2.0), indent=2))
