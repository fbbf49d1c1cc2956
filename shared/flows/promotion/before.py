"""What is known of the endpoints before a change: the rows of its proof, and what the live models answer for them."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from shared.base.threads import at_once
from shared.domain.jobs import Model
from shared.domain.ports import Endpoint, Endpoints
from shared.domain.rows import Rows


@dataclass(frozen=True)
class Served:
    """What an endpoint answers for some rows, and how long that took."""

    answers: Rows
    seconds: float


@dataclass(frozen=True)
class Before:
    """What was `served` for the rows while the champion was live, and what the new model is `expected` to answer."""

    champion: Model
    rows: Rows
    expected: Rows | None  #: for the last rows; None where that is not known
    served: dict[str, Served]  #: by target


def served_by(endpoints: Endpoints, rows: Rows, now: Callable[[], datetime]) -> dict[str, Served]:
    """Return what each endpoint answers for the rows now."""

    def served(endpoint: Endpoint) -> Served:
        begun = now()
        return Served(endpoint.score(rows), (now() - begun).total_seconds())

    return dict(zip(endpoints, at_once(served, endpoints.values()), strict=True))
