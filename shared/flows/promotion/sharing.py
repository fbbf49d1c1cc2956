"""Takes a change of models along its steps where the endpoints have deployments, one look at a time.

The new model is made ready and proven beside the live one, then it gets its share of the calls step by step, and both
are scored at the same time before the next step. A look never waits: it writes what it is about to do, does it, and
says when to look again. A revert is one write, of the shares before the change.
"""

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import msgspec

from shared.base.errors import BadConfiguration, ServiceRefused, TryLater
from shared.domain.bake import next_look, regression
from shared.domain.champions import Change, Phase, Portion, Traffic, TrafficStep, Watch
from shared.domain.deployments import Deployment, keep_former, pause
from shared.domain.jobs import Model
from shared.domain.ports import Pending, Refused, Shares, Staging
from shared.domain.proof_rows import ALIKE, same_answers
from shared.domain.sharing import asked_of, given_calls, portion_text, shown, step_bake
from shared.flows.deployments import drop
from shared.flows.promotion.held_run import Run
from shared.flows.promotion.switch import Made, Switch, Unproven
from shared.flows.side_by_side import ServiceAway, compared
from shared.flows.staging import doubt_of_staged, stage_on, staged_answers, staging_of

log = logging.getLogger("relearn.sharing")

PATIENCE = timedelta(minutes=15)  #: how long shares may take, or both models may be away
LONG = timedelta(minutes=15)  #: between two looks at a step: each reads the shares then
SOON = 5.0  #: seconds until a proof is looked for again


@dataclass(frozen=True)
class Later:
    """There is nothing to do before so many seconds."""

    seconds: float


@dataclass(frozen=True)
class Sharing(Run):
    switch: Switch

    def look(self, change: Change, traffic: Traffic) -> Made | Later | str:
        """Take the change as far as it goes now; return the proof at its end, or the reason to go back."""
        if traffic.look_at and traffic.look_at > self.now():
            return Later((traffic.look_at - self.now()).total_seconds())  # a message that came early
        if change.phase is Phase.STAGING:
            outcome = self._stage(change, traffic)
            if not isinstance(outcome, Traffic):
                return outcome
            return self._give(change, outcome, fresh=True)
        if not traffic.given:
            return self._give(change, traffic)
        if traffic.step == len(traffic.plan) - 1:
            return self._proven(change, traffic)
        return self._watched(change, traffic)

    # STAGING

    def _stage(self, change: Change, traffic: Traffic) -> Traffic | Later | str:
        """Have the model ready and proven beside the live one; return the traffic at the first step once it is."""
        models = self._changed(change)
        patience = timedelta(seconds=self.pipeline.training.patience)
        if self.now() - change.begun > patience:
            return f"The model was not ready beside the live one within {patience}"
        if (wait := self._recorded(models)) is not None:
            return wait
        outcome = stage_on(self.endpoints, models)
        if isinstance(outcome, Refused):
            return outcome.reason
        if isinstance(outcome, Pending):
            return Later(pause(change.begun, self.now(), outcome.after).total_seconds())
        answers = staged_answers(self.endpoints, models, change.rows)
        if doubt := doubt_of_staged(answers, change.expected, change.answers):
            return doubt
        seen = {name: self._staging(name).shares() for name in models}
        if not all(each.settled for each in seen.values()):
            return Later(SOON)
        former = {name: given_calls(each.of) for name, each in seen.items()}
        return self._save(traffic, former=former, answers=answers, since=self.now(), look_at=None)

    def _recorded(self, models: Mapping[str, Model]) -> Later | None:
        """Record what is about to be deployed, once there is room: one model at most is beside the live one."""
        stored = self.records.deployments.load(self.pipeline.name)
        deployments, now = stored.record, self.now()
        wanted = {*models.values()}
        missing = [each for each in wanted if (there := deployments.of(each)) is None or there.gone]
        if not missing:
            return None
        others = [each for each in deployments.extra if each.model not in wanted and each.gone is None]
        for other in others:
            # A candidate that was there is staged again after this change.
            left = [drop(target, other.model) for target in staging_of(self.endpoints).values()]
            if any(left):
                return Later(max(each.after for each in left if each))
            deployments = deployments.having(other, gone=now)
        for model in missing:
            deployments = deployments.having(Deployment(model=model, since=now))
        self.records.deployments.save(stored, deployments)
        return None

    # SHARING

    def _give(self, change: Change, traffic: Traffic, *, fresh: bool = False) -> Made | Later | str:
        """Have every target take the shares of the step; `fresh` where this run has just written the step."""
        if self.now() - traffic.since > PATIENCE:
            return f"The shares of step {traffic.step + 1} were not taken within {PATIENCE}"
        pending: list[Pending] = []
        for name in self._changed(change):
            before, asked = (asked_of(change, traffic, name, traffic.step - back) for back in (1, 0))
            if not fresh:
                now = self._staging(name).shares()
                if not now.settled:
                    pending.append(Pending(SOON))
                    continue
                if given_calls(now.of) not in (before, asked):
                    return self._foreign(change, traffic, name, now.of)
            pending += filter(None, [self._shared(change, traffic.plan[traffic.step], name, asked)])
        if pending:
            return Later(max(each.after for each in pending))
        return self._given(change, traffic)

    def _shared(self, change: Change, portion: Portion, name: str, asked: Mapping[str, int]) -> Pending | None:
        mirror = {change.entry.models[name].sha256: portion.share} if portion.mirrored else None
        self.switch.keep()
        return self._staging(name).share(asked, mirror)

    def _given(self, change: Change, traffic: Traffic) -> Made | Later | str:
        now, portion = self.now(), traffic.plan[traffic.step]
        given = TrafficStep(at=now, share=portion.share, mirrored=portion.mirrored)
        bake = step_bake(self.pipeline.share, self.pipeline.bake)
        watch = Watch(
            entry=change.entry.number,
            begun=now,
            until=now + timedelta(seconds=bake.time),
            rows=change.rows,
            answers=traffic.answers,
            former={name: change.before[name] for name in self._changed(change)},
        )
        final, look_at = traffic.step == len(traffic.plan) - 1, next_look(watch, now, bake.time)
        steps = (*traffic.steps, given)
        traffic = self._save(traffic, given=True, steps=steps, watch=watch, look_at=None if final else look_at)
        self._note(change, portion_text(given))
        return self._proven(change, traffic) if final else Later((look_at - now).total_seconds())

    def _watched(self, change: Change, traffic: Traffic) -> Made | Later | str:
        """Look at both models; go back, on to the next step, or look again."""
        now, bake, watch = self.now(), step_bake(self.pipeline.share, self.pipeline.bake), traffic.watch
        assert watch is not None, "a step that was given is watched"
        # Each look at the shares is a call of the resource manager, which allows few. They were read when they were
        # given, and are read before the next ones are; in a long step in between as well.
        due = now >= watch.until or next_look(watch, now, bake.time) - now >= LONG
        for name in self._changed(change) if due else ():
            seen = self._seen(name)
            if seen and seen.settled and given_calls(seen.of) != asked_of(change, traffic, name, traffic.step):
                return self._foreign(change, traffic, name, seen.of)
        try:
            watch = compared(self.endpoints, watch, change.entry.models, self.now)
        except ServiceAway as error:
            if now - watch.until > PATIENCE:
                return str(error)
            return Later(SOON)
        if why := regression(watch, bake):
            return f"With {portion_text(traffic.plan[traffic.step])} {why}"
        if now < watch.until or watch.failed:
            look_at = next_look(watch, now, bake.time)
            self._save(traffic, watch=watch, look_at=look_at)
            return Later((look_at - now).total_seconds())
        traffic = self._save(traffic, step=traffic.step + 1, since=now, given=False, watch=None, look_at=None)
        return self._give(change, traffic, fresh=True)

    def _seen(self, name: str) -> Shares | None:
        """Return the shares, or None where they cannot be seen: the answers say how the model serves."""
        try:
            return self._staging(name).shares()
        except TryLater as error:
            log.warning("The shares of %s cannot be seen: %s", name, error)
            return None

    def _foreign(self, change: Change, traffic: Traffic, name: str, shares: Mapping[str, int]) -> Made | Later | str:
        """Overwrite the shares that somebody else gave, once; after that, or where they went all back, go back."""
        said = f"somebody else gave {name} other shares: {shown(given_calls(shares))}"
        log.error("Pipeline %s: %s", self.pipeline.name, said)
        if traffic.restored or given_calls(shares) == traffic.former[name]:
            return said[0].upper() + said[1:] + (", for the second time" if traffic.restored else "")
        step = TrafficStep(at=self.now(), share=traffic.plan[traffic.step].share, note=f"{said}; given again")
        self._note(change, step.note)
        steps = (*traffic.steps, step)
        traffic = self._save(
            traffic, restored=True, steps=steps, since=self.now(), given=False, watch=None, look_at=None
        )
        return self._give(change, traffic, fresh=True)

    def _proven(self, change: Change, traffic: Traffic) -> Made | Later | str:
        """Return the proof without a header: all calls are answered by the new model."""
        proof, answers = {}, {}
        since = traffic.steps[-1].at if traffic.steps else traffic.since
        for name in change.before:
            shown_by = self.switch.shown(change, name, (self.now() - since).total_seconds())
            if isinstance(shown_by, str):
                if (self.now() - since).total_seconds() >= self.switch.timeout:
                    return f"After {self.switch.timeout:.0f} s {shown_by}"
                return Later(SOON)
            proof[name], answers[name] = shown_by
        return Made(proof, answers)

    # The revert, and the end

    def revert(self, change: Change, traffic: Traffic) -> Later | str:
        """Give back the shares of before the change; return how sure it is that the former model is live."""
        if not traffic.former:
            return "no call was given to the other model"
        for name in reversed(self._changed(change)):
            self.switch.renew()
            if pending := given_back(self._staging(name), change.before[name], traffic.former[name]):
                if self.now() - traffic.since <= PATIENCE:
                    return Later(pending.after)
                shares = self._staging(name).shares()
                if not shares.settled or shares.of.get(change.entry.models[name].sha256):
                    return Later(pending.after)
                return f"somebody else gave {name} other shares: {shown(given_calls(shares.of))}"
        late = (self.now() - traffic.since).total_seconds() >= self.switch.timeout
        for name in self._changed(change):
            doubt = self.switch.doubt_of(name, change.before[name], change.rows, change.answers[name])
            if doubt is None:
                continue
            if not late:
                return Later(SOON)
            others = traffic.answers.get(name)
            if others and same_answers(others, self.switch.endpoint(name).score(change.rows), ALIKE):
                raise Unproven(f"{name} has its former shares, yet answers as the other model does")
            log.error("%s: %s", name, doubt)
            return f"{name} has its former shares, yet {doubt}"
        return "that is proven"

    def keep_the_former(self, change: Change) -> None:
        """Record until when the former models stay deployed for a rollback."""
        stored, until = self.records.deployments.load(self.pipeline.name), self.now() + keep_former(self.pipeline)
        deployments = stored.record
        for model in {*change.before.values()} - {*change.entry.models.values()}:
            deployments = deployments.having(Deployment(model=model, since=change.begun, until=until))
        if deployments != stored.record:
            self.records.deployments.save(stored, deployments)

    def served_by(self, change: Change) -> dict[str, dict[str, str]]:
        return {
            name: dict(target.describe(change.entry.models[name]))
            for name, target in staging_of(self.endpoints).items()
            if name in change.entry.models
        }

    def _changed(self, change: Change) -> dict[str, Model]:
        """Return the new model of each target that has another one now."""
        return {name: model for name, model in change.entry.models.items() if model != change.before.get(name)}

    def _staging(self, name: str) -> Staging:
        staging = self.switch.endpoint(name).staging
        if staging is None:
            raise BadConfiguration(f"The change under way is of the target {name!r}, which no longer has shares")
        return staging

    def _save(self, traffic: Traffic, phase: Phase = Phase.SHARING, **facts: Any) -> Traffic:
        traffic, champion = msgspec.structs.replace(traffic, **facts), self.held.champion
        assert champion.change is not None, "what is shared is a change under way"
        self.held.save(champion.replace(change=msgspec.structs.replace(champion.change, phase=phase, traffic=traffic)))
        return traffic

    def _note(self, change: Change, note: str) -> None:
        """Note it on the job that is promoted, once."""
        stored = self.records.jobs.load(change.request_id) if change.request_id == change.entry.job else None
        if stored and not stored.record.final and stored.record.steps[-1].note != note:
            self.records.jobs.save(stored, stored.record.noting(self.now(), note))


def given_back(staging: Staging, model: Model, former: Mapping[str, int]) -> Pending | None:
    """Have the former shares given; deploy the model first if nothing serves it."""
    try:
        return staging.share(former)
    except ServiceRefused as error:
        # Somebody may have deleted what served the former model.
        outcome = staging.stage(model)
        if isinstance(outcome, Pending):
            return outcome
        if isinstance(outcome, Refused):
            raise
        log.warning("The former model was deployed once more: %s", error)
        return staging.share(former)
