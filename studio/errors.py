"""Errors as Studio answers them: `{"error": {"code", "message", "details": [{"code", "target"?, "message"}]}}`.

Top codes and their HTTP status are those of the service's catalogue of error codes.
"""

from __future__ import annotations

from typing import Any

_TOP: dict[str, tuple[int, str]] = {
    "BadArgument": (400, "Invalid argument provided."),
    "BadUserArgument": (400, "Invalid user argument provided."),
    "InvalidOperation": (400, "The request is invalid in the current context."),
    "LibraryExecutionError": (400, "Module execution encountered an internal library error."),
    "ModuleExecutionError": (400, "Module execution encountered an error."),
    "WebServicePackageError": (400, "Invalid web service package."),
    "BadRequest": (400, "The request is invalid."),
    "Unauthorized": (401, "Request is unauthorized to access resource."),
    "Forbidden": (403, "The request may not be made from there."),
    "NotFound": (404, "Resource not found."),
    "Conflict": (409, "The request conflicts with the current state of the service."),
    "MemoryQuotaViolation": (413, "The request needs more memory than it may have."),
    "TooManyRequests": (429, "The request was throttled."),
    "InternalError": (500, "Execution encountered an internal error."),
    "ServiceUnavailable": (503, "Service is temporarily unavailable."),
}


class StudioError(Exception):
    """An answer that is an error: a top code of the catalogue and one detail.

    `top` is the sentence of the top code where it is another than the catalogue's.
    """

    def __init__(self, code: str, detail: str, message: str, target: str | None = None, top: str | None = None) -> None:
        super().__init__(f"{code}/{detail}: {message}")
        self.code, self.detail, self.message, self.target = code, detail, message, target
        self.top = top or _TOP[code][1]

    @property
    def status(self) -> int:
        return _TOP[self.code][0]

    @property
    def body(self) -> dict[str, Any]:
        detail = {"code": self.detail, **({"target": self.target} if self.target else {}), "message": self.message}
        return {"error": {"code": self.code, "message": self.top, "details": [detail]}}


class ModuleError(Exception):
    """A module of an experiment failed: its number and sentence, as a failed job's details have them."""

    def __init__(self, module: str, number: int, error_id: str, message: str) -> None:
        super().__init__(message)
        self.module, self.number, self.error_id, self.message = module, number, error_id, message


def bad_argument(detail: str, message: str, target: str | None = None) -> StudioError:
    return StudioError("BadArgument", detail, message, target)


def body_invalid(why: str = "") -> StudioError:
    message = "No request body provided or error in deserializing the request body."
    return bad_argument("RequestBodyInvalid", f"{message} {why}".rstrip())


def unauthorized(detail: str) -> StudioError:
    """`detail` is ScoreRequestUnauthorized on the data plane, ManagementRequestUnauthorized elsewhere."""
    return StudioError("Unauthorized", detail, "Invalid credentials provided.")


def not_found(detail: str, message: str) -> StudioError:
    return StudioError("NotFound", detail, message)
