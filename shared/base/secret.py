"""Values that must never be seen: kept out of every repr, and cut out of every text that may carry one."""

import re

_SECRETS = re.compile(
    r"(?P<name>\bsig=|AccountKey=|SharedAccessSignature=|[?&]code=|\bBearer +)(?P<value>[^\s&;\"'<>]+)", re.IGNORECASE
)


class Secret:
    """A key, token or connection string. Read it with `reveal()`, and only where it is sent."""

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value

    def reveal(self) -> str:
        return self._value

    def __repr__(self) -> str:
        return "Secret(***)"


def redact(text: str) -> str:
    """Return the text with the signatures, account keys and bearer tokens in it replaced by `***`."""
    return _SECRETS.sub(lambda match: f"{match['name']}***", text)
