"""Errors as the resource manager answers them: `{"error": {"code", "message", "target", "details"}}`."""

from __future__ import annotations

from typing import Any


class ArmError(Exception):
    """An answer that is an error. `retry_after` are the seconds after which the call may be repeated."""

    def __init__(
        self, status: int, code: str, message: str, target: str | None = None, retry_after: int | None = None
    ) -> None:
        super().__init__(f"{code}: {message}")
        self.status, self.code, self.message, self.target = status, code, message, target
        self.retry_after = retry_after

    @property
    def detail(self) -> dict[str, Any]:
        """The error as it stands in an answer, and in a long-running operation that failed."""
        target = {"target": self.target} if self.target else {}
        return {"code": self.code, "message": self.message, **target, "details": [], "additionalInfo": []}

    @property
    def body(self) -> dict[str, Any]:
        return {"error": self.detail}

    @property
    def headers(self) -> dict[str, str]:
        return {} if self.retry_after is None else {"Retry-After": str(self.retry_after)}


def bad_request(message: str, target: str | None = None, code: str = "UserError") -> ArmError:
    return ArmError(400, code, message, target)


def unauthorized(message: str) -> ArmError:
    return ArmError(401, "InvalidAuthenticationToken", message)


def not_found(message: str, code: str = "UserError") -> ArmError:
    return ArmError(404, code, message)


def conflict(message: str, target: str | None = None) -> ArmError:
    return ArmError(409, "Conflict", message, target)
