"""Faults on order, for rehearsals: each may be limited to an endpoint, a count and a chance.

A fault is looked for at the one place where the real service failed in that way, and is used up there.
"""

from __future__ import annotations

import random
import threading
from collections.abc import Collection, Mapping
from typing import Any

import msgspec

from service.keys import new_id
from studio.errors import bad_argument

#: what each kind does, with its option and what it is unless given
KINDS: dict[str, str] = {
    "lost answer": "the call takes effect, and the connection ends without an answer",
    "reset": "the connection is reset before the call takes effect",
    "unavailable": "503 ServiceUnavailable with Retry-After (`seconds`, 1)",
    "throttled": "429 with Retry-After (`seconds`, 1)",
    "slow": "the answer comes `seconds` (5) late",
    "truncated": "half of the answer's body comes, then the connection ends",
    "stuck": "a started BES job stays `state` (NotStarted or Running) until it is cancelled",
    "failed job": "a BES job fails with a nested module error",
    "expired result": "the results of a BES job come with a SAS that has expired",
    "unknown status": "the status of a BES job is a word that no client knows",
    "failing operation": "a PUT or PATCH of a New web service is accepted, and its operation fails `seconds` (0) later",
    "no effect": "a PUT or PATCH is answered well and changes nothing",
    "deaf": "a PUT or PATCH shows the new model and goes on scoring with the former one",
    "late": "a PUT or PATCH is answered well, and predictions change `seconds` (30) later",
}
#: kinds that strike any call; the others have their own place
OF_CALLS = frozenset({"lost answer", "reset", "unavailable", "throttled", "slow", "truncated"})
_SECONDS = {"unavailable": 1.0, "throttled": 1.0, "slow": 5.0, "failing operation": 0.0, "late": 30.0}


#: what limits an order: its type and what it means
MEMBERS: dict[str, tuple[type[str] | type[int] | type[float], str]] = {
    "operation": (str, "narrow a kind that strikes any call to one operation, as bes.create"),
    "endpoint": (str, "strike only this endpoint, given by name or id"),
    "count": (int, "how often it strikes; without end unless given"),
    "probability": (float, "the chance that it strikes, up to 1"),
    "seed": (int, "the same seed strikes the same calls"),
    "seconds": (float, "the delay of kinds that have one"),
    "state": (str, "of a stuck job: NotStarted or Running"),
}
STATES = ("NotStarted", "Running")
_FORMS = {int: "a whole number", float: "a number"}


class Fault(msgspec.Struct, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """One order. `operation` (as `bes.create`) narrows a kind that strikes any call; `endpoint` is a name or an id."""

    kind: str
    id: str = ""
    operation: str | None = None
    endpoint: str | None = None
    count: int | None = None  #: how often it still strikes; None is without end
    probability: float = 1.0
    seed: int = 0  #: the same seed strikes the same calls
    seconds: float | None = None
    state: str = "Running"  #: of a stuck job
    struck: int = 0

    def concerns(self, names: Collection[str]) -> bool:
        """Return whether it can strike the endpoint of these names."""
        return not self.endpoint or self.endpoint in names

    @property
    def delay(self) -> float:
        return _SECONDS.get(self.kind, 0.0) if self.seconds is None else self.seconds


def read_order(given: Mapping[str, str]) -> Fault:
    """Return the order that a form's texts describe. Raises `BadParameterValue` for a text that is not a number."""
    members: dict[str, Any] = {"kind": given.get("kind", "")}
    for name, (kind, _) in MEMBERS.items():
        if name in given:
            try:
                members[name] = kind(given[name])
            except ValueError:
                raise _wrong(name, given[name][:40], _FORMS[kind]) from None
    return Fault(**members)


class Faults:
    """The orders in force. Any thread may ask."""

    def __init__(self, operations: Collection[str] = ()) -> None:
        self.operations = frozenset(operations)
        self._faults: dict[str, tuple[Fault, random.Random]] = {}
        self._lock = threading.Lock()

    def order(self, fault: Fault) -> Fault:
        """Put the order in force and return it with its id. Raises `BadParameterValue` for one that means nothing."""
        self._check(fault)
        fault = msgspec.structs.replace(fault, id=new_id(), struck=0)
        with self._lock:
            self._faults[fault.id] = (fault, random.Random(fault.seed))
        return fault

    def lift(self, fault_id: str | None = None) -> int:
        """Lift one order or all; return how many there were."""
        with self._lock:
            found = [each for each in self._faults if fault_id in (None, each)]
            for each in found:
                del self._faults[each]
        return len(found)

    def orders(self) -> list[Fault]:
        """Return the orders, also those that are used up, with how often each struck."""
        with self._lock:
            return [fault for fault, _ in self._faults.values()]

    def concerning(self, names: Collection[str]) -> list[Fault]:
        """Return the orders that can still strike the endpoint of these names."""
        return [fault for fault in self.orders() if fault.count != 0 and fault.concerns(names)]

    @property
    def any(self) -> bool:
        return bool(self._faults)

    def strike(self, kind: str, names: Collection[str], operation: str | None = None) -> Fault | None:
        """Return the fault of this kind that strikes the endpoint of these names now, and use it up by one."""
        if not self._faults:
            return None
        with self._lock:
            for key, (fault, dice) in self._faults.items():
                if fault.kind != kind or fault.count == 0:
                    continue
                if fault.operation not in (None, operation) or not fault.concerns(names):
                    continue
                if dice.random() >= fault.probability:
                    continue
                left = None if fault.count is None else fault.count - 1
                struck = msgspec.structs.replace(fault, count=left, struck=fault.struck + 1)
                self._faults[key] = (struck, dice)
                return struck
        return None

    def _check(self, fault: Fault) -> None:
        if fault.kind not in KINDS:
            raise _wrong("kind", fault.kind, ", ".join(KINDS))
        if fault.operation is not None:
            if fault.kind not in OF_CALLS:
                raise _wrong("operation", fault.operation, f"none, as {fault.kind!r} has its own place")
            if fault.operation not in self.operations:
                raise _wrong("operation", fault.operation, ", ".join(sorted(self.operations)))
        if fault.count is not None and fault.count < 1:
            raise _wrong("count", fault.count, "a whole number from 1")
        if not 0 < fault.probability <= 1:
            raise _wrong("probability", fault.probability, "a number above 0, up to 1")
        if not 0 <= fault.delay <= 86400:
            raise _wrong("seconds", fault.seconds, "a number from 0 to 86400")
        if fault.state not in STATES:
            raise _wrong("state", fault.state, ", ".join(STATES))


def _wrong(member: str, value: object, right: str) -> Exception:
    return bad_argument("BadParameterValue", f"A fault's {member} cannot be {value!r}; it can be: {right}.", member)
