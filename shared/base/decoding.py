"""Decodes JSON into records and messages of a type.

msgspec compiles a type at its first use, and threads that do so at once crash the process (0.22: a segmentation fault
in 7 of 8 tries of 16 threads). The Functions host runs functions in threads, so all of it is behind one lock.
"""

import codecs
from collections.abc import Callable
from datetime import datetime
from threading import Lock
from typing import Annotated, Any, TypeVar

import msgspec

T = TypeVar("T")

Moment = Annotated[datetime, msgspec.Meta(tz=True)]  #: a time without a zone can be compared with none that has one

_ONE = Lock()
_DECODERS: dict[Any, msgspec.json.Decoder[Any]] = {}


def from_json(content: bytes, kind: type[T]) -> T:
    """Return the value; raise `msgspec.MsgspecError` when the content is not of the type, or is not JSON.

    Every failure is of that class, also for text that is not UTF-8 or is nested too deep.
    """
    with _ONE:
        decoder: msgspec.json.Decoder[T] = _DECODERS.get(kind) or _DECODERS.setdefault(kind, msgspec.json.Decoder(kind))
    try:
        return decoder.decode(content.removeprefix(codecs.BOM_UTF8))
    except UnicodeDecodeError:
        raise msgspec.DecodeError("it is not UTF-8 text") from None
    except RecursionError:
        raise msgspec.DecodeError("it is nested too deep") from None


def converted(value: object, kind: type[T], dec_hook: Callable[[type, Any], Any] | None = None) -> T:
    """Return what plain lists and dicts say as a value of the type; raise `msgspec.ValidationError`."""
    with _ONE:
        return msgspec.convert(value, kind, dec_hook=dec_hook)
