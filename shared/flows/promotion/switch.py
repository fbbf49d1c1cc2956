"""Give a pipeline's endpoints another model and prove that they serve it; put the former one back the same way.

An update that is answered well proves nothing. The proof is that the endpoint's definition names the model and that
its answers to the kept rows are the new model's: those that the training service gave for it, where they are known,
or others than before (or, after putting back, the same as before).
"""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from functools import partial

from shared.base.errors import AskHuman, BadConfiguration, NeverAgain, TryLater
from shared.base.threads import together
from shared.domain.champions import Change, Proof
from shared.domain.jobs import Model
from shared.domain.ports import BlobReference, Endpoint, Endpoints
from shared.domain.proof_rows import ALIKE, last, same_answers
from shared.domain.rows import Rows

log = logging.getLogger("relearn.switch")

PAUSE = 1.0  #: seconds between two looks at an endpoint, at first
PAUSE_MOST = 5.0
OTHER_MODEL = "the definition names another model than the one it was given"
SERVED_ALREADY = "served this model already"


class Unproven(NeverAgain):
    """An endpoint does not serve the model that it was given."""


@dataclass(frozen=True)
class Made:
    """By target: the proof of the switch, and what the new model answers for the change's rows."""

    proof: dict[str, Proof]
    answers: dict[str, Rows]


@dataclass(frozen=True)
class Switch:
    """`renew` keeps the right to change the endpoints, or raises `Busy` when another run has it.

    `keep` does so only where that was not done a short time ago.
    """

    endpoints: Endpoints
    timeout: float  #: seconds
    link: Callable[[Model], BlobReference]
    renew: Callable[[], None]
    keep: Callable[[], None]
    now: Callable[[], datetime]
    sleep: Callable[[float], None]

    def make(self, change: Change, *, fresh: bool = False) -> Made:
        """Give each endpoint the change's model; raise `Unproven` when one does not serve it in time.

        `fresh`: this run has just seen that the endpoints name the former models.
        """
        proof, answers = {}, {}
        changed = [name for name, before in change.before.items() if change.entry.models[name] != before]
        for name in change.before:
            endpoint, after = self.endpoint(name), change.entry.models[name]
            if name not in changed:
                proof[name], answers[name] = Proof(proven=True, text=SERVED_ALREADY), change.answers[name]
                continue
            link = self.link(after)
            if fresh or endpoint.model().address != link.address:
                self.keep()
                endpoint.update(link, self.wait)
            # The history is written after the last look. That look finds out whether this run has been overtaken.
            keep = self.renew if name == changed[-1] else self.keep
            proof[name], answers[name] = self._prove(endpoint, link, change, change.answers[name], keep)
        return Made(proof, answers)

    def revert(self, change: Change) -> str:
        """Put the former models back, also where the update seems not to have taken: it may be on its way.

        Return how sure it is that they are live again; raise `Unproven` where an endpoint may still serve the new one.
        """
        text = "that is proven"
        for name in reversed(list(change.before)):
            endpoint, link = self.endpoint(name), self.link(change.before[name])
            self.renew()
            try:
                endpoint.update(link, self.wait)
            except (NeverAgain, AskHuman) as error:
                if not self._untouched(name, endpoint, change):
                    raise
                log.warning("%s refuses updates and was never changed: %s", name, error)
                continue
            try:
                self._await(partial(_doubt_of_former, endpoint, link, change.rows, change.answers[name]))
                self.renew()
            except Unproven as error:
                if not self._answers_as_neither(endpoint, link, change):
                    raise
                # What answered before the change was not what its definition named.
                text = f"{name} names it, yet answers otherwise than before the change and than the new model: {error}"
                log.error("%s", text)
        return text

    def _answers_as_neither(self, endpoint: Endpoint, link: BlobReference, change: Change) -> bool:
        """Return whether the endpoint names the former model and surely does not serve the new one."""
        if change.expected is None or endpoint.model().address != link.address:
            return False
        answers = endpoint.score(change.rows)
        return not same_answers(change.expected, last(answers, len(change.expected.values)), ALIKE)

    def endpoint(self, name: str) -> Endpoint:
        if name not in self.endpoints:
            raise BadConfiguration(
                f"The change under way is of the target {name!r}, which the pipelines file does not have any more; "
                "put it back until the change is finished"
            )
        return self.endpoints[name]

    def _untouched(self, name: str, endpoint: Endpoint, change: Change) -> bool:
        if endpoint.model().address == self.link(change.entry.models[name]).address:
            return False
        return same_answers(change.answers[name], endpoint.score(change.rows))

    def _prove(
        self, endpoint: Endpoint, link: BlobReference, change: Change, before: Rows, keep: Callable[[], None]
    ) -> tuple[Proof, Rows]:
        seen: list[Rows] = []
        doubt = partial(self._doubt, endpoint, link, change, before, seen)
        seconds = self._await(lambda: together(doubt, keep)[0])
        return _proof(before, seen[-1], change, seconds), seen[-1]

    def _doubt(
        self, endpoint: Endpoint, link: BlobReference, change: Change, before: Rows, seen: list[Rows]
    ) -> str | None:
        """Return what speaks against the endpoint's serving the new model; what it answers goes to `seen`."""
        answers, reference = together(lambda: endpoint.score(change.rows), endpoint.model)
        if reference.address != link.address:
            return OTHER_MODEL
        seen.append(answers)
        return doubt_of_answers(seen[-1], before, change.expected)

    def shown(self, change: Change, name: str, seconds: float) -> tuple[Proof, Rows] | str:
        """Return what one look, so many seconds after the update, shows of the new model, or what speaks against it."""
        endpoint, after, before = self.endpoint(name), change.entry.models[name], change.answers[name]
        if after == change.before[name]:
            return Proof(proven=True, text=SERVED_ALREADY), before
        seen: list[Rows] = []
        doubt = _or_trouble(lambda: self._doubt(endpoint, self.link(after), change, before, seen))
        return doubt if doubt is not None else (_proof(before, seen[-1], change, seconds), seen[-1])

    def doubt_of(self, name: str, model: Model, rows: Rows, answers: Rows | None) -> str | None:
        """Return what speaks, in one look, against the endpoint's serving the model with these answers, if known."""
        known = answers if answers and answers.columns else None
        return _or_trouble(lambda: _doubt_of_former(self.endpoint(name), self.link(model), rows, known))

    def _await(self, doubt: Callable[[], str | None]) -> float:
        """Look until the switch is proven; return the seconds that took, or raise `Unproven`."""
        begun, pause = self.now(), PAUSE
        while (seen := _or_trouble(doubt)) is not None:
            if self._since(begun) >= self.timeout:
                raise Unproven(f"After {self.timeout:.0f} s {seen}")
            self.wait(pause)
            pause = min(pause * 1.5, PAUSE_MOST)
        return self._since(begun)

    def _since(self, begun: datetime) -> float:
        return (self.now() - begun).total_seconds()

    def wait(self, seconds: float) -> None:
        self.sleep(seconds)
        self.renew()


def _proof(before: Rows, answers: Rows, change: Change, seconds: float) -> Proof:
    if same_answers(before, answers, ALIKE):
        text = f"names the model; both models answer alike for all {len(change.rows.values)} kept rows"
        return Proof(proven=False, text=text)
    how = "answers as it did in training" if change.expected else "answers otherwise than before"
    return Proof(proven=True, text=f"names the model and {how} after {seconds:.1f} s")


def _doubt_of_former(endpoint: Endpoint, link: BlobReference, rows: Rows, answers: Rows | None) -> str | None:
    if endpoint.model().address != link.address:
        return OTHER_MODEL
    if answers and not same_answers(answers, endpoint.score(rows), ALIKE):
        return "the answers to the kept rows are not those of the former model"
    return None


def doubt_of_answers(answers: Rows, before: Rows, expected: Rows | None) -> str | None:
    """Return what speaks against these being the new model's answers, or None.

    `expected` are its answers for the last rows. Where they are those of the former model too, nothing can.
    """
    changed = not same_answers(before, answers)
    if expected is None:
        return None if changed else "the answers to the kept rows are still those of the former model"
    if same_answers(expected, last(answers, len(expected.values)), ALIKE):
        return None
    how = "neither the former model's nor those" if changed else "still the former model's and not those"
    return f"the answers to the kept rows are {how} that the new model gave in training"


def _or_trouble(doubt: Callable[[], str | None]) -> str | None:
    try:
        return doubt()
    except TryLater as error:
        return str(error)
