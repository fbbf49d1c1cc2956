"""The messages of the queue `model-promotions`: what the app asks of itself, and what people ask of it.

    {"pipeline": "income", "action": "promote", "job": "income-20261103T021500-1f0c2d3e4b"}
    {"pipeline": "income", "action": "rollback", "by": "ana", "reason": "too many refunds"}
    {"pipeline": "income", "action": "retrain", "parameters": {"Regularization weight": "0.5"}}
    {"pipeline": "income", "action": "replay", "path": "income/2026-11.csv"}

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
    RETRAIN = "retrain"  #: on the same data again, perhaps with other global parameters
    REPLAY = "replay"  #: take up a path again that was set aside or left out


class Request(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    pipeline: str
    action: Asked
    job: str | None = None
    by: str | None = None
    reason: str | None = None
    path: str | None = None
    parameters: dict[str, str] = {}

    @property
    def by_hand(self) -> bool:
        """Whether a person sent it, who looks for its outcome under the message's id."""
        return self.action in (Asked.ROLLBACK, Asked.RETRAIN, Asked.REPLAY) or self.by is not None


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
    if (request.action is Asked.REPLAY) != bool(request.path):
        raise BadMessage(f'A "replay", and nothing else, takes the "path" of a blob: {body[:200]!r}')
    if request.parameters and request.action is not Asked.RETRAIN:
        raise BadMessage(f'Only a "retrain" takes "parameters": {body[:200]!r}')
    if request.action is Asked.ROLLBACK and request.job:
        raise BadMessage(f'A rollback takes no "job"; send "promote" to make that job\'s model live: {body[:200]!r}')
    return request


def write_request(request: Request) -> str:
    return msgspec.json.encode(request).decode()


class _PoisonedBlob(msgspec.Struct, frozen=True, rename="pascal"):
    """What the host puts on its poison queue for a blob whose function failed at every try."""

    container_name: str
    blob_name: str


def read_poisoned_blob(body: bytes) -> tuple[str, str]:
    """Return the container and the blob's path within it."""
    try:
        blob = msgspec.json.decode(body, type=_PoisonedBlob)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise BadMessage(f"This is no message of the blob poison queue ({error}): {body[:200]!r}") from None
    return blob.container_name, blob.blob_name
