"""Misbehaving on order: what a rehearsal needs of a service, each fault limited to an endpoint, a count, a chance.

A fault is looked for at the one place where the real service failed in that way, and is used up there. Each service has
a subclass of `Faults` that says what it can be ordered to do.
"""

from __future__ import annotations

import random
import threading
from collections.abc import Collection, Mapping, Sequence
from typing import Any, ClassVar

import msgspec

from service.keys import new_id

#: kinds that strike any call of any service, and what they do; their option and what it is unless given
OF_CALLS: Mapping[str, str] = {
    "lost answer": "the call takes effect, and the connection ends without an answer",
    "reset": "the connection is reset before the call takes effect",
    "unavailable": "503 ServiceUnavailable with Retry-After (`seconds`, 1)",
    "throttled": "429 with Retry-After (`seconds`, 1)",
    "slow": "the answer comes `seconds` (5) late",
    "truncated": "half of the answer's body comes, then the connection ends",
}
_SECONDS: Mapping[str, float] = {"unavailable": 1.0, "throttled": 1.0, "slow": 5.0}


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
        """The seconds of a fault that strikes."""
        return self.seconds or 0.0


class WrongOrder(ValueError):
    """An order that means nothing. `target` is the member that is wrong."""

    def __init__(self, target: str, value: object, right: str) -> None:
        self.target, self.message = target, f"A fault's {target} cannot be {value!r}; it can be: {right}."
        super().__init__(self.message)


def read_order(given: Mapping[str, str]) -> Fault:
    """Return the order that a form's texts describe. Raises `WrongOrder` for a text that is not a number."""
    members: dict[str, Any] = {"kind": given.get("kind", "")}
    for name, (kind, _) in MEMBERS.items():
        if name in given:
            try:
                members[name] = kind(given[name])
            except ValueError:
                raise WrongOrder(name, given[name][:40], _FORMS[kind]) from None
    return Fault(**members)


class Faults:
    """The orders in force. Any thread may ask."""

    KINDS: ClassVar[Mapping[str, str]]  #: what each kind does that the service has, those of calls too
    OF_CALLS: ClassVar[Collection[str]] = tuple(OF_CALLS)  #: those that strike any call; the others have their place
    SECONDS: ClassVar[Mapping[str, float]] = {}  #: by kind: the option `seconds` unless it is given
    MEMBERS: ClassVar = MEMBERS  #: what limits an order
    STATES: ClassVar[Sequence[str]] = STATES  #: of a stuck job

    def __init__(self, operations: Collection[str] = ()) -> None:
        self.operations = frozenset(operations)
        self._faults: dict[str, tuple[Fault, random.Random]] = {}
        self._lock = threading.Lock()

    def order(self, fault: Fault) -> Fault:
        """Put the order in force and return it with its id. Raises `WrongOrder` for one that means nothing."""
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

    def strike(self, kind: str, names: Collection[str], operations: Collection[str] = ()) -> Fault | None:
        """Return the fault of this kind that strikes the endpoint of these names now, and use it up by one.

        `operations` are what an order may call the call.
        """
        if not self._faults:
            return None
        with self._lock:
            for key, (fault, dice) in self._faults.items():
                if fault.kind != kind or fault.count == 0:
                    continue
                if fault.operation not in (None, *operations) or not fault.concerns(names):
                    continue
                if dice.random() >= fault.probability:
                    continue
                left = None if fault.count is None else fault.count - 1
                struck = msgspec.structs.replace(fault, count=left, struck=fault.struck + 1)
                self._faults[key] = (struck, dice)
                return msgspec.structs.replace(struck, seconds=self._seconds(fault))
        return None

    def _seconds(self, fault: Fault) -> float:
        if fault.seconds is not None:
            return fault.seconds
        return self.SECONDS.get(fault.kind, _SECONDS.get(fault.kind, 0.0))

    def _check(self, fault: Fault) -> None:
        if fault.kind not in self.KINDS:
            raise WrongOrder("kind", fault.kind, ", ".join(self.KINDS))
        if fault.operation is not None:
            if fault.kind not in self.OF_CALLS:
                raise WrongOrder("operation", fault.operation, f"none, as {fault.kind!r} has its own place")
            if fault.operation not in self.operations:
                raise WrongOrder("operation", fault.operation, ", ".join(sorted(self.operations)))
        if fault.count is not None and fault.count < 1:
            raise WrongOrder("count", fault.count, "a whole number from 1")
        if not 0 < fault.probability <= 1:
            raise WrongOrder("probability", fault.probability, "a number above 0, up to 1")
        if not 0 <= self._seconds(fault) <= 86400:
            raise WrongOrder("seconds", fault.seconds, "a number from 0 to 86400")
        if fault.state not in self.STATES:
            raise WrongOrder("state", fault.state, ", ".join(self.STATES))
