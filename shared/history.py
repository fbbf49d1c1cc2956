"""Whether a history is as it was written: one chain, each entry with the SHA-256 of the one before it. No I/O."""

from __future__ import annotations

from collections.abc import Iterable

from shared.champions import HistoryEntry


def check_chain(entries: Iterable[tuple[HistoryEntry, str]], head: str | None) -> list[str]:
    """Return what was edited, removed or added since it was written; nothing when all is as it was.

    `entries` are in the order of their names, each with the SHA-256 of what is stored; `head` is that of the newest one
    as the champion's record has it. One more entry after that one is not a fault: a run died before it could name it.
    """
    findings, expected, former, named = [], 1, None, head is None
    for entry, digest in entries:
        if entry.number != expected:
            findings.append(f"where entry {expected} should be is {_gap(entry, expected)}")
        elif entry.chain != former:
            before = f"entry {entry.number - 1}" if entry.number > 1 else "the beginning"
            findings.append(f"{before} is not what entry {entry.number} was written after: one of them was edited")
        named = named or digest == head
        expected, former = max(entry.number + 1, expected), digest
    if not named:
        findings.append("the champion's record names a newest entry that is not there: it was edited or removed")
    return findings


def _gap(entry: HistoryEntry, expected: int) -> str:
    return f"entry {entry.number}" + (": those between were removed" if entry.number > expected else "")
