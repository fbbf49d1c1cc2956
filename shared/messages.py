"""The messages of the queue `model-promotions`: what the app asks of itself, and what people ask of it.

    {"pipeline": "income", "action": "promote", "job": "income-20261103T021500-1f0c2d3e4b"}
    {"pipeline": "income", "action": "rollback", "by": "ana", "reason": "too many refunds"}

A message names a pipeline and a job, never an address. Promoting by hand a job that is settled takes a `by`:
without it the message is a second delivery of the app's own and does nothing.
"""

from __future__ import annotations

import re
from enum import Enum

import msgspec

from shared.errors import BadMessage

_JOB = re.compile(r"[A-Za-z0-9-]{1,128}")


class Asked(Enum):
    PROMOTE = "promote"
    ROLLBACK = "rollback"
    RESUME = "resume"  #: finish the change that an earlier run began


class Request(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    pipeline: str
    action: Asked
    job: str | None = None
    by: str | None = None
    reason: str | None = None

    @property
    def by_hand(self) -> bool:
        """Whether a person sent it, who looks for its outcome under the message's id."""
        return self.action is Asked.ROLLBACK or self.by is not None


def read_request(body: bytes) -> Request:
    """Return the request, or raise `BadMessage` saying what is wrong and what would be right."""
    try:
        request = msgspec.json.decode(body, type=Request)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise BadMessage(
            f"This is no promotion message ({error}): {body[:200]!r}. "
            'Send for example {"pipeline": "income", "action": "rollback"}'
        ) from None
    if request.action is Asked.PROMOTE and not request.job:
        raise BadMessage(f'A message with "action": "promote" needs the "job" to promote: {body[:200]!r}')
    if request.job and not _JOB.fullmatch(request.job):
        # It becomes part of a record's name, which must not lead to another container.
        raise BadMessage(f"{request.job[:200]!r} is no job's id, such as income-20261103T021500-1f0c2d3e4b")
    if request.action is Asked.ROLLBACK and request.job:
        raise BadMessage(f'A rollback takes no "job"; send "promote" to make that job\'s model live: {body[:200]!r}')
    return request


def write_request(request: Request) -> str:
    return msgspec.json.encode(request).decode()
