"""What the data plane's two services share: an endpoint's ports and its global parameters."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from studio.errors import StudioError, bad_argument
from studio.ilearner import SUFFIX
from studio.records import Endpoint
from studio.scoring import APPEND


def outputs(endpoint: Endpoint) -> dict[str, str]:
    """Return the endpoint's output ports with the extension of what comes out of each."""
    if endpoint.training is None:
        return {scorer.output: ".csv" for scorer in endpoint.scorers}
    ports: dict[str, str] = {}
    for part in endpoint.training.parts():
        ports |= {part.model: SUFFIX, part.evaluation: ".csv", part.scored: ".csv"}
    return ports


def parameters(endpoint: Endpoint) -> dict[str, str]:
    """Return the endpoint's global parameters with their defaults."""
    return dict(endpoint.training.parameters) if endpoint.training else {APPEND: "True"}


def global_parameters(endpoint: Endpoint, given: Any) -> dict[str, str]:
    """Return the parameters of a request, as text. Raises the catalogue's errors."""
    if not isinstance(given or {}, Mapping):
        raise bad_argument("UserParameterInvalid", "GlobalParameters is no object of names and values.")
    values = {str(name): value if isinstance(value, str) else str(value) for name, value in (given or {}).items()}
    known = parameters(endpoint)
    if unknown := sorted(set(values) - set(known)):
        raise bad_argument(
            "UnexpectedParameter",
            f"Unexpected parameter {unknown[0]!r}; the service's parameters are: {', '.join(known) or 'none'}.",
            unknown[0],
        )
    if values.get(APPEND, "True").lower() not in ("true", "false"):
        raise StudioError("BadUserArgument", "UserParameterInvalid", f"{APPEND!r} must be True or False.", APPEND)
    return values


def invalid_inputs(names: list[str]) -> StudioError:
    return bad_argument(
        "InvalidInputNames",
        f"Invalid service input name(s) specified in the request: {', '.join(names)}. "
        "Please map the input data to the correct service inputs and try again.",
        names[0],
    )
