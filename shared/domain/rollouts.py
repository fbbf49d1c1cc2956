"""One rollout of a fleet: its waves, its members, and when it goes on, stops or is done. No I/O."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from datetime import datetime, timedelta
from enum import Enum
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from shared.base.decoding import Moment
from shared.domain.messages import Command
from shared.domain.services import FilePart, default_duration
from shared.domain.values import Duration

ASK_AGAIN = timedelta(minutes=2)  #: after which what was asked of a member is asked again
_PERCENT = re.compile(r"(\d+(?:\.\d+)?) ?%")


def share_of(share: int | str, total: int) -> float:
    """Return how many of the members a share is: `3`, or `10%`. Raises ValueError."""
    match = _PERCENT.fullmatch(share) if isinstance(share, str) else None
    number = float(match[1]) if match else share
    if isinstance(number, str) or number < 0 or (match and number > 100):
        raise ValueError(f"{share!r} is not a share of a fleet; write a number of members, or 10%")
    return total * number / 100 if match else number


class Plan(FilePart, frozen=True, kw_only=True):
    """How the models of an entry with for_each go live: together, when a message asks for it, in waves."""

    waves: Annotated[
        list[int | str], Meta(min_length=1, description="Up to how many members each wave goes; [1, 10%, 100%]")
    ] = msgspec.field(default_factory=lambda: [1, "10%", "100%"])
    failures_at_most: Annotated[int | str, Meta(description="Members that may fail before it stops: 0, or 2%")] = 0
    at_once: Annotated[int, Meta(ge=1, le=1000, description="Members under way at once; 50")] = 50
    within: Annotated[Duration, Meta(description="How long a member may take before it counts as failed; 1h")] = (
        default_duration("1h")
    )

    def reaches(self, total: int) -> tuple[int, ...]:
        """Return up to which member each wave goes; the last one goes to the end."""
        found = [min(total, max(1, math.ceil(share_of(wave, total)))) for wave in self.waves]
        return tuple(sorted({*found, total}))

    def failures(self, total: int) -> int:
        """Return how many members may fail."""
        return int(share_of(self.failures_at_most, total))


class MemberState(Enum):
    WAITING = "waiting"
    ASKED = "asked"  #: its promotion or rollback is under way
    PROMOTED = "promoted"
    ROLLED_BACK = "rolled back"  #: of a promotion: it did not prove itself
    SUPERSEDED = "superseded"  #: newer data was there first
    LEFT_OUT = "left out"  #: the gate or a person decided otherwise meanwhile
    FAILED = "failed"


class Member(msgspec.Struct, frozen=True, kw_only=True, rename={"pipeline": "member", "state": "standing"}):
    """What becomes of one member: of its accepted `job`, or of the history entry `live` that is rolled back."""

    pipeline: str
    job: str | None = None
    live: int | None = None
    state: MemberState = MemberState.WAITING
    reason: str = ""
    asked_at: Moment | None = None
    ask_again: Moment | None = None

    def ended(self, state: MemberState, reason: str) -> Member:
        return msgspec.structs.replace(self, state=state, reason=reason)

    def asked(self, now: datetime) -> Member:
        return msgspec.structs.replace(
            self, state=MemberState.ASKED, asked_at=self.asked_at or now, ask_again=now + ASK_AGAIN
        )


class RolloutState(Enum):
    RUNNING = "running"
    STOPPED = "stopped"
    DONE = "done"


#: where a record has another key than the attribute's name
_KEYS = {"request_id": "request", "members": "lines", "state": "course", "stop_reason": "told"}
_OPEN = (MemberState.WAITING, MemberState.ASKED)


class Rollout(msgspec.Struct, frozen=True, kw_only=True, rename=_KEYS):
    """A promotion or a rollback of a whole fleet, with the plan as it was when it began."""

    fleet: str
    number: int
    action: Command
    by: str
    reason: str | None = None
    request_id: str  #: the message that asked for it
    begun: Moment
    waves: tuple[int, ...]  #: up to which member each wave goes
    failures_at_most: int
    at_once: int
    within: float  #: seconds that a member may take
    members: tuple[Member, ...]
    state: RolloutState = RolloutState.RUNNING
    stop_reason: str = ""  #: why no further member is asked; the rollout stops once the asked ones have an outcome
    forgiven: int = 0  #: failures before it was resumed
    resumed: tuple[str, ...] = ()  #: the messages that resumed it

    @property
    def id(self) -> str:
        return f"rollout-{self.fleet}-{self.number}"

    def request_id_of(self, member: Member) -> str:
        """Return under which id a member's rollback is asked for, however often it is sent."""
        return f"{self.id}-{member.pipeline.removeprefix(f'{self.fleet}-')}"

    @property
    def asked(self) -> list[Member]:
        return [member for member in self.members if member.state is MemberState.ASKED]

    @property
    def failures(self) -> list[Member]:
        bad = {MemberState.FAILED} if self.action is Command.ROLLBACK else {MemberState.FAILED, MemberState.ROLLED_BACK}
        return [member for member in self.members if member.state in bad]

    def having(self, members: Mapping[str, Member]) -> Rollout:
        """Return the rollout with these members, by their pipelines, in place of what was recorded of them."""
        return self.replace(members=tuple(members.get(member.pipeline, member) for member in self.members))

    def gone_on(self, now: datetime) -> Rollout:
        """Return the rollout one step further: more members asked, stopped, done, or as it is.

        A wave begins when all before it have an outcome. No further member is asked once too many have failed, and it
        is stopped when those that were asked have an outcome too.
        """
        asked = self.asked
        if reason := self.stop_reason or self._too_many():
            return self.replace(stop_reason=reason, state=self.state if asked else RolloutState.STOPPED)
        reach = next(
            (reach for reach in self.waves if any(member.state in _OPEN for member in self.members[:reach])), 0
        )
        if not reach:
            return self.replace(state=RolloutState.DONE)
        waiting = [member for member in self.members[:reach] if member.state is MemberState.WAITING]
        return self.having({member.pipeline: member.asked(now) for member in waiting[: self.at_once - len(asked)]})

    def _too_many(self) -> str:
        failures = self.failures
        if len(failures) - self.forgiven <= self.failures_at_most:
            return ""
        last = max(failures, key=lambda member: member.asked_at or self.begun)
        most = self.failures_at_most + self.forgiven
        counts = f"{len(failures)} of {len(self.members)} failed, and at most {most} may"
        return f"{counts}; {last.pipeline}: {last.reason}"

    def resumed_by(self, request_id: str) -> Rollout:
        return self.replace(
            state=RolloutState.RUNNING, stop_reason="", forgiven=len(self.failures), resumed=(*self.resumed, request_id)
        )

    @property
    def text(self) -> str:
        """One line: `rollout 3 of bike is stopped: 12 promoted, 1 rolled back, 987 waiting; ...`"""
        counts = {each: sum(member.state is each for member in self.members) for each in MemberState}
        states = ", ".join(f"{count} {state.value}" for state, count in counts.items() if count)
        state = "stopping" if self.state is RolloutState.RUNNING and self.stop_reason else self.state.value
        text = f"rollout {self.number} of {self.fleet} ({self.action.value}) is {state}: {states}"
        return f"{text}; {self.stop_reason}" if self.stop_reason else text

    def replace(self, **facts: Any) -> Rollout:
        return msgspec.structs.replace(self, **facts)
