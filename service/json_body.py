"""A request's body as JSON, in the forms that clients write and Json.NET, which the service read with, took."""

from __future__ import annotations

import codecs
import json
import re
from typing import Any

import msgspec

#: a text, or a number that is not JSON's. An open text reaches to the end, so that no byte is read twice.
_TOKENS = re.compile(rb'"(?:[^"\\]|\\.)*+"?|-?\bNaN\b|-?\bInfinity\b', re.DOTALL)


class NotJson(ValueError):
    """The body cannot be read; the message says why."""


def read_json(body: bytes) -> Any:
    """Return the value. A byte order mark, UTF-16 and NaN (a missing number) are taken."""
    encoding = json.detect_encoding(body)
    try:
        text = body.removeprefix(codecs.BOM_UTF8) if encoding.startswith("utf-8") else _in_utf8(body, encoding)
        if b"NaN" in text or b"Infinity" in text:
            text = _TOKENS.sub(_as_json, text)
        return msgspec.json.decode(text)
    except RecursionError:
        raise NotJson("Its values are too deeply nested.") from None
    except UnicodeError:
        raise NotJson("It is not text in UTF-8.") from None
    except msgspec.MsgspecError as error:
        raise NotJson(f"{error}." if body.strip() else "It is empty.") from None


def _in_utf8(body: bytes, encoding: str) -> bytes:
    return body.decode(encoding).encode()


def _as_json(token: re.Match[bytes]) -> bytes:
    if token[0].startswith(b'"'):
        return token[0]
    return b"null" if token[0].endswith(b"NaN") else b'"%b"' % token[0]
