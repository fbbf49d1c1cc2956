"""What JSON becomes: records and messages of a type.

msgspec works a type out at its first use, and threads that do so at once crash the process (0.22: a segmentation fault
in 7 of 8 tries of 16 threads). The Functions host runs functions in threads, so all of it is behind one lock.
"""

from __future__ import annotations

from collections.abc import Callable
from threading import Lock
from typing import Any, TypeVar

import msgspec

T = TypeVar("T")

_ONE = Lock()
_DECODERS: dict[Any, msgspec.json.Decoder[Any]] = {}


def from_json(content: bytes, kind: type[T]) -> T:
    """Return the value; raise `msgspec.MsgspecError` when the content is none of the type, or no JSON."""
    with _ONE:
        decoder: msgspec.json.Decoder[T] = _DECODERS.get(kind) or _DECODERS.setdefault(kind, msgspec.json.Decoder(kind))
    return decoder.decode(content)


def converted(value: object, kind: type[T], dec_hook: Callable[[type, Any], Any]) -> T:
    """Return what plain lists and dicts say as a value of the type; raise `msgspec.ValidationError`."""
    with _ONE:
        return msgspec.convert(value, kind, dec_hook=dec_hook)
