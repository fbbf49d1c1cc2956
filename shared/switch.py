"""Give a pipeline's endpoints another model and prove that they serve it; put the former one back the same way.

An update that is answered well proves nothing. The proof is that the endpoint's definition names the model and that
its answers to the kept rows are others than before (or, after putting back, the same as before).
"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from shared.champions import Change
from shared.errors import AskHuman, NeverAgain, TryLater
from shared.jobs import Model
from shared.pipelines import Pipeline
from shared.ports import Answers, BlobReference, Endpoint, Endpoints

log = logging.getLogger("relearn.switch")

PAUSE = 1.0  #: seconds between two looks at an endpoint, at first
PAUSE_MOST = 5.0


class Unproven(NeverAgain):
    """An endpoint does not serve what it was given."""


@dataclass(frozen=True)
class Switch:
    """`renew` keeps the right to change the endpoints, or raises `Busy` when it is lost."""

    pipeline: Pipeline
    endpoints: Endpoints
    link: Callable[[Model], BlobReference]
    renew: Callable[[], None]
    now: Callable[[], datetime]
    sleep: Callable[[float], None]

    def answers(self) -> dict[str, Answers]:
        """Return what each endpoint answers for the kept rows now."""
        return {name: endpoint.score(self.pipeline.rows) for name, endpoint in self.endpoints.items()}

    def make(self, change: Change) -> dict[str, str]:
        """Give each endpoint the change's model; return the proof by endpoint, or raise `Unproven`."""
        proof = {}
        for name, endpoint in self.endpoints.items():
            after = change.entry.models[name]
            if after == change.before[name]:
                proof[name] = "served this model already"
                continue
            link = self.link(after)
            if endpoint.model().address != link.address:
                self.renew()
                endpoint.update(link, self._wait)
            proof[name] = self._prove(endpoint, link, change.answers[name], same=False)
        return proof

    def undo(self, change: Change) -> None:
        """Put the former models back, also where the update seems not to have taken: it may be on its way."""
        for name, endpoint in self.endpoints.items():
            link = self.link(change.before[name])
            self.renew()
            try:
                endpoint.update(link, self._wait)
            except (NeverAgain, AskHuman) as error:
                if not self._untouched(name, endpoint, change):
                    raise
                log.warning("%s refuses updates and was never changed: %s", name, error)
                continue
            self._prove(endpoint, link, change.answers[name], same=True)

    def _untouched(self, name: str, endpoint: Endpoint, change: Change) -> bool:
        if endpoint.model().address == self.link(change.entry.models[name]).address:
            return False
        return same_answers(change.answers[name], endpoint.score(self.pipeline.rows))

    def _prove(self, endpoint: Endpoint, link: BlobReference, before: Answers, *, same: bool) -> str:
        begun, pause = self.now(), PAUSE
        while (seen := self._doubt(endpoint, link, before, same)) is not None:
            if self._since(begun) >= self.pipeline.proof_timeout:
                raise Unproven(f"After {self.pipeline.proof_timeout:.0f} s {seen}")
            self._wait(pause)
            pause = min(pause * 1.5, PAUSE_MOST)
        return f"names the model and answers with it after {self._since(begun):.1f} s"

    def _doubt(self, endpoint: Endpoint, link: BlobReference, before: Answers, same: bool) -> str | None:
        """Return what speaks against the endpoint serving the model at `link`, or None."""
        try:
            if endpoint.model().address != link.address:
                return "the definition names another model than the one it was given"
            if same_answers(before, endpoint.score(self.pipeline.rows)) != same:
                return f"the answers to the kept rows are {'not those' if same else 'still those'} of the former model"
        except TryLater as error:
            return str(error)
        return None

    def _since(self, begun: datetime) -> float:
        return (self.now() - begun).total_seconds()

    def _wait(self, seconds: float) -> None:
        self.sleep(seconds)
        self.renew()


def same_answers(one: Answers, other: Answers) -> bool:
    """Return whether two answers are the same, up to the last digits of their numbers."""
    return len(one) == len(other) and all(
        len(a) == len(b) and all(map(_same_cell, a, b)) for a, b in zip(one, other, strict=True)
    )


def _same_cell(one: str, other: str) -> bool:
    if one == other:
        return True
    try:
        return math.isclose(float(one), float(other), rel_tol=1e-9, abs_tol=1e-12)
    except ValueError:
        return False
