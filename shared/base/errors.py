"""Every exception raised on purpose, by what the caller should do next.

Three answers exist: try again later (`TryLater`), never again (`NeverAgain`), ask a human (`AskHuman`).
"""

from collections.abc import Mapping, Sequence

from shared.base.secret import redact

LONGEST = 4000  #: characters of a message; what a service or a file says may be of any length


class RetrainingError(Exception):
    """The base of all of them. Its message never carries a signature, a key or a token.

    It can be stored and shown: it has no control characters and no half of a surrogate pair.
    """

    def __init__(self, message: str) -> None:
        super().__init__(readable(message))


def readable(text: str) -> str:
    """Return the text as a record and a terminal may have it: no secret, not too long, control characters escaped."""
    text = redact(text)
    return printable(text if len(text) <= LONGEST else f"{text[:LONGEST]} ...")


def printable(text: str) -> str:
    """Return the text with its control characters escaped, and those that change the direction of writing."""
    if text.isprintable():
        return text
    return "".join(each if each.isprintable() or each in "\n\t\xa0" else ascii(each)[1:-1] for each in text)


class TryLater(RetrainingError):
    """Nothing is wrong with what was asked; the same call is worth another try.

    `retry_after` is in seconds, as the service asked for, or None.
    """

    def __init__(self, message: str, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class NeverAgain(RetrainingError):
    """The same call would be refused again."""


class AskHuman(RetrainingError):
    """Only a person can correct it: a key, a permission, the configuration."""


class ServiceUnavailable(TryLater):
    """A service did not answer, or asked to be called later. `status` is 0 where it did not answer."""

    def __init__(self, message: str, retry_after: float | None = None, status: int = 0) -> None:
        super().__init__(message, retry_after)
        self.status = status


class UnexpectedAnswer(TryLater):
    """A service answered something its protocol does not know."""


class NotYetReadable(TryLater):
    """The storage brings a blob back from its archive, which takes hours."""


class RecordChanged(TryLater):
    """Another run wrote the record first: what it says now has to be read again."""


class Busy(TryLater):
    """Another run holds the lease."""


class ServiceRefused(NeverAgain):
    """A service understood and said no. `headers` of its answer may say more."""

    def __init__(
        self, message: str, status: int, codes: Sequence[str] = (), headers: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(message)
        self.status = status
        self.codes = tuple(codes)
        self.headers = headers or {}


class BadMessage(NeverAgain):
    """A queue message that asks for nothing this app can do."""


class BadEvaluation(NeverAgain):
    """The training service's evaluation is not a table of metrics."""


class BadModel(NeverAgain):
    """What a training gave as its model cannot be kept as one."""


class IllegalTransition(NeverAgain):
    """A job cannot take this step from the state it is in."""


class AccessRefused(AskHuman):
    """A service did not accept the key or the identity. `status` 401 may be a token that has expired."""

    def __init__(self, message: str, status: int = 403) -> None:
        super().__init__(message)
        self.status = status


class DataChanged(NeverAgain):
    """A blob no longer holds the version that was to be read."""


class HeadersDiffer(NeverAgain):
    """Files of one batch are not one table."""


class BadConfiguration(AskHuman):
    """A setting or the pipelines file is missing something or is wrong."""
