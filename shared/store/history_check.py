"""Verifies the history's hash chain. No I/O.

Each entry has the SHA-256 of the one before, the champion's record has the SHA-256 of the last.
An edit breaks the link behind it, a removal leaves a gap or an end before the champion's head. Somebody who
may write all records can rewrite the whole chain; a head that was noted elsewhere shows that too.
"""

import hashlib
import re
from collections.abc import Iterable
from dataclasses import dataclass, field

import msgspec

from shared.base.decoding import from_json
from shared.base.errors import BadConfiguration
from shared.domain.champions import Champion, HistoryEntry
from shared.store.shelf import decode, stem

_NUMBER = re.compile(r"[0-9]{6,10}")


@dataclass
class Verified:
    """What a history showed. `faults` are edits and gaps; `notes` are what a run that died may leave.

    `traffic` says where the calls do not go as the history says.
    """

    pipeline: str
    entries: int = 0
    head: str | None = None
    faults: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    traffic: list[str] = field(default_factory=list)

    @property
    def whole(self) -> bool:
        return not self.faults


def verify(stored: Iterable[tuple[str, bytes]], champion: Champion, noted: str | None = None) -> Verified:
    """Walk through the entries, by name and content, oldest first. `noted` is a head that is known from before."""
    found = Verified(champion.pipeline, head=champion.head)
    before: str | None = None
    digests: dict[int, str] = {}
    expected = 1
    for name, content in stored:
        if not _NUMBER.fullmatch(stem(name)):
            found.faults.append(f"{name} is not an entry; somebody put it there")
            continue
        number, digest = int(stem(name)), hashlib.sha256(content).hexdigest()
        found.entries += 1
        if number > expected:
            found.faults.append(f"entr{_missing(expected, number - 1)} missing")
        found.faults += _edits(name, content, number)
        if number == expected:
            found.faults += _link(content, number, before)
        digests[number], before, expected = digest, digest, number + 1
    last = expected - 1
    if last < champion.last:
        found.faults.append(f"entr{_missing(last + 1, champion.last)} missing: the end was cut off")
    elif digests.get(champion.last) != champion.head:
        found.faults.append(f"entry {champion.last} is not as the champion's record has it: one of them was edited")
    elif last > champion.last:
        found.notes.append(
            f"the champion's record ends at entry {champion.last}, the history at {last}: a run died before it could "
            "name its entry, or somebody added one; see which after the next change"
        )
    if noted and noted not in digests.values():
        found.faults.append(f"no entry has the SHA-256 {noted}: the history is not the one that had this head")
    return found


def _edits(name: str, content: bytes, number: int) -> list[str]:
    try:
        entry = decode(content, HistoryEntry, name)
    except BadConfiguration as error:
        return [f"entry {number} was edited: {error}"]
    if entry.number != number:
        return [f"entry {number} was edited: it says that it is entry {entry.number}"]
    return []


def _link(content: bytes, number: int, before: str | None) -> list[str]:
    try:
        chain = from_json(content, _Link).chain
    except msgspec.MsgspecError:
        return []  # reported already
    if chain == before:
        return []
    if number == 1:
        return ["entry 1 was edited: it says that there was one before"]
    return [f"entry {number} does not follow from entry {number - 1}: one of the two was edited"]


class _Link(msgspec.Struct):
    chain: str | None = None


def _missing(first: int, last: int) -> str:
    return f"y {first} is" if first == last else f"ies {first} to {last} are"
