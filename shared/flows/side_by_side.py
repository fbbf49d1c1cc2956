"""Scores the new model and the former one at the same time, each by its deployment, whatever their shares."""

from collections.abc import Callable
from datetime import datetime

from shared.base.errors import NeverAgain, RetrainingError, TryLater
from shared.domain.bake import after_look
from shared.domain.champions import Watch
from shared.domain.jobs import Model
from shared.domain.ports import Endpoints, Staging
from shared.domain.proof_rows import ALIKE, same_answers
from shared.domain.rows import Rows


class ServiceAway(TryLater):
    """Neither model answers: that says nothing about the new one."""


def compared(endpoints: Endpoints, watch: Watch, new: dict[str, Model], now: Callable[[], datetime]) -> Watch:
    """Return the watch after one look at both models on each target. Raises `ServiceAway`."""
    troubles, seconds, former = [], dict[str, float](), dict[str, float]()
    for name, model in watch.former.items():
        staging = endpoints[name].staging if name in endpoints else None
        if staging is None:
            continue
        before, away = _scored(staging, model, watch.rows, now)
        after, error = _scored(staging, new[name], watch.rows, now)
        if before:
            former[name] = before[1]
        if after is None:
            if away and not isinstance(away, NeverAgain) and not isinstance(error, NeverAgain):
                raise ServiceAway(f"Neither model of {name} answers: {error}")
            troubles.append(f"{name}: {error}")
        else:
            seconds[name] = after[1]
            if name in watch.answers and not same_answers(watch.answers[name], after[0], ALIKE):
                troubles.append(f"the answers of {name} to the kept rows are not those of the model any more")
    return after_look(watch, "; ".join(troubles), seconds, former)


def _scored(
    staging: Staging, model: Model, rows: Rows, now: Callable[[], datetime]
) -> tuple[tuple[Rows, float] | None, RetrainingError | None]:
    begun = now()
    try:
        answers = staging.score_staged(model, rows)
    except RetrainingError as error:
        return None, error
    return (answers, (now() - begun).total_seconds()), None
