"""The one sentence that matters in the `Details` of a failed BES job.

Details are a line of ids around a JSON object of nested `Exception`s; the innermost `Message` is what went wrong.
"""

from __future__ import annotations

import json
from typing import Any

LONGEST = 1000


def innermost_message(details: str) -> str:
    """Return the innermost message, or the details themselves when they have another form."""
    decoder = json.JSONDecoder()
    position = details.find("{")
    while position >= 0:
        try:
            found, _ = decoder.raw_decode(details, position)
        except ValueError:
            found = None
        if message := _message(found):
            return message[:LONGEST]
        position = details.find("{", position + 1)
    return details.strip()[:LONGEST]


def _message(found: Any) -> str | None:
    message = None
    while isinstance(found, dict):
        if isinstance(found.get("Message"), str):
            message = found["Message"]
        found = found.get("Exception")
    return message
