"""The reason of a failure, taken out of the `Details` of a BES job.

Details are a line of ids around a JSON object of nested `Exception`s; the innermost `Message` is what went wrong.
"""

import json
from typing import Any

from shared.base.errors import readable

LONGEST = 1000
_READ = 1 << 20  #: characters of the details that are looked at
_TRIES = 50  #: braces at which the object is looked for


def innermost_message(details: str) -> str:
    """Return the innermost message, or the details themselves when they have another form."""
    details = details[:_READ]
    decoder = json.JSONDecoder()
    position = details.find("{")
    for _ in range(_TRIES):
        if position < 0:
            break
        try:
            found, _ = decoder.raw_decode(details, position)
        except (ValueError, RecursionError):
            found = None
        if message := _message(found):
            return readable(message)[:LONGEST]
        position = details.find("{", position + 1)
    return readable(details.strip())[:LONGEST]


def _message(found: Any) -> str | None:
    message = None
    while isinstance(found, dict):
        if isinstance(found.get("Message"), str):
            message = found["Message"]
        found = found.get("Exception")
    return message
