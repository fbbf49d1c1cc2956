"""Dispatches a message to the flow that carries it out. Mypy reports an action without a branch."""

import logging
from dataclasses import dataclass
from typing import assert_never

from shared.base.errors import BadMessage
from shared.base.threads import at_once
from shared.domain.fleets import Pipelines
from shared.domain.messages import Command, Request
from shared.flows.decisions import Decisions
from shared.flows.intake import Intake
from shared.flows.promotion.message import Promotion
from shared.flows.rollout import Rollouts
from shared.store import Records

log = logging.getLogger("relearn.requests")

_C = Command


@dataclass(frozen=True)
class Requests:
    pipelines: Pipelines
    records: Records
    intake: Intake
    decisions: Decisions
    rollouts: Rollouts
    promotion: Promotion

    def carry_out(self, request: Request, message_id: str) -> str | None:
        """Do what the message asks for, once, however often it is delivered.

        Return the outcome, or None for a change of models, which records its own. Raises `TryLater` or `AskHuman` when
        another delivery is worth it, `NeverAgain` when none is.
        """
        request_id = request.id or message_id
        if request.pipeline in self.pipelines.fleets:
            outcome: str | None = self._of_fleet(request, request_id)
        elif request.pipeline in self.pipelines:
            outcome = self._of_pipeline(request, request_id)
        else:
            known = self.pipelines.entries
            raise BadMessage(f"The message names the pipeline {request.pipeline!r}; the pipelines are: {known}")
        if outcome is not None:
            self.records.requests.note(request_id, outcome, request)
        return outcome

    def _of_pipeline(self, request: Request, request_id: str) -> str | None:
        if request.action in (Command.PROMOTE, Command.APPROVE, Command.REJECT, Command.CANCEL) and not request.job:
            raise BadMessage(f"The pipeline {request.pipeline} is not a fleet, so the message needs the job")
        match request.action:
            case Command.PROMOTE | Command.ROLLBACK | Command.RESUME:
                self.promotion.carry_out(request, request_id)
                return None
            case Command.APPROVE | Command.REJECT | Command.CANCEL:
                return self.decisions.decide(request, request_id)
            case Command.REPLAY:
                arrival = self.intake.replay(request.pipeline, request.path or "", request_id)
                return f"taken up again as arrival {arrival.id}"
            case Command.RETRAIN:
                return f"job {self.intake.retrain(request.pipeline, request.parameters, request_id).id}"
            case _:
                assert_never(request.action)

    def _of_fleet(self, request: Request, request_id: str) -> str:
        if request.names_an_entry:
            raise BadMessage(
                f"{request.pipeline} is a fleet, each of whose members goes back to its own former model: "
                f'"to", "model" and "live" are for one of them, such as {request.pipeline}-{{...}}'
            )
        match request.action:
            case Command.PROMOTE | Command.ROLLBACK | Command.RESUME | Command.CANCEL if request.by and not request.job:
                return self.rollouts.ask(request, request_id)
            case Command.RETRAIN:
                members = self.pipelines.members(request.pipeline)
                jobs = at_once(lambda each: self.intake.retrain(each, request.parameters, request_id), members)
                return f"{len(jobs)} jobs"
            case _C.PROMOTE | _C.ROLLBACK | _C.RESUME | _C.CANCEL | _C.APPROVE | _C.REJECT | _C.REPLAY:
                members = self.pipelines.members(request.pipeline)
                raise BadMessage(
                    f"{request.pipeline} is a fleet of {len(members)} pipelines: name one of them, such as "
                    f"{request.pipeline}-{{...}}, or for the whole fleet send promote, rollback, resume or cancel "
                    'with a "by"'
                )
            case _:
                assert_never(request.action)

    def give_up(self, request: Request, message_id: str) -> None:
        """Note that the message failed for the last time. A job's promotion is asked for again by the poll."""
        request_id = request.id or message_id
        what = "rollback" if request.action is Command.ROLLBACK else "promotion"
        note = f"The {what} failed at every delivery of message {request_id}"
        stored = self.records.jobs.job_of(request) if request.job else None
        if stored and not stored.record.final:
            last = f"; last: {stored.record.trouble}" if stored.record.trouble else ""
            self.records.jobs.save(stored, stored.record.noting(self.promotion.now(), f"{note}{last}"))
        elif request.by_hand:
            self.records.requests.note(request_id, f"failed: {note}", request)

    def refuse(self, message_id: str, reason: str, request: Request | None = None) -> None:
        """Write down a message that no delivery can carry out, with its request where that can be read."""
        log.error("Message %s is refused: %s", message_id, reason)
        self.records.requests.note(message_id, f"refused: {reason}", request)
