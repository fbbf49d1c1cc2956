"""What the data plane's two services share: an endpoint's ports and its global parameters."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from studio.errors import StudioError, bad_argument
from studio.learning.manifest import SUFFIX
from studio.learning.scoring import APPEND
from studio.state.blobs import parts
from studio.state.records import Endpoint, Reference


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
    # null is how some clients leave a value out
    values = {
        name: _text(name, value)
        for name, value in by_name(given, "GlobalParameters", "UserParameterInvalid").items()
        if value is not None
    }
    known = parameters(endpoint)
    if unknown := sorted(set(values) - set(known)):
        raise bad_argument(
            "UnexpectedParameter",
            f"Unexpected parameters provided: {', '.join(unknown)}; the service's parameters are: "
            f"{', '.join(known) or 'none'}.",
            unknown[0],
        )
    if values.get(APPEND, "True").lower() not in ("true", "false"):
        raise StudioError("BadUserArgument", "UserParameterInvalid", f"{APPEND!r} must be True or False.", APPEND)
    return values


def by_name(given: Any, member: str, detail: str = "RequestBodyInvalid") -> dict[str, Any]:
    """Return the member's values by their names. Without values, PHP and R write `[]` or "", others null."""
    if given in (None, "", []):
        return {}
    if not isinstance(given, dict):
        raise bad_argument(detail, f"{member} is not an object of names and values.", member)
    return given


def _text(name: str, value: Any) -> str:
    if not isinstance(value, (str, int, float)):
        raise bad_argument("UserParameterInvalid", f"The parameter {name!r} is neither a text nor a number.", name)
    return str(value)


def invalid_inputs(names: list[str]) -> StudioError:
    return bad_argument(
        "InvalidInputNames",
        f"Invalid service input name(s) specified in the request: {', '.join(names)}. "
        "Please map the input data to the correct service inputs and try again.",
        names[0],
    )


def check_inputs(given: Mapping[str, Any], ports: list[str]) -> None:
    """Raise for inputs that are not ports of the service."""
    unknown = sorted(set(given) - set(ports))
    if unknown and set(ports) <= set(given):
        raise bad_argument(
            "BatchJobInputsTooManySpecified",
            "The request specified more inputs than defined in the service. List of accepted input(s): "
            f"{', '.join(ports) or 'none'}. Please ensure all input data is specified correctly and try again.",
            unknown[0],
        )
    if unknown:
        raise invalid_inputs(unknown)


def check_extension(reference: Reference, known: tuple[str, ...], target: str, direction: str) -> None:
    """Raise unless the reference names a blob with one of the extensions; `direction` is input or output."""
    parts(reference, target)
    location = reference.relative_location or ""
    if not location.lower().endswith(known):
        raise bad_argument(
            "InvalidBlobExtension",
            f"The blob reference: {location} has an invalid or missing file extension. "
            f'Supported file extensions for this {direction} type are: "{", ".join(known)}".',
            target,
        )
