"""The messages of the queue `model-promotions`: what the app asks of itself, and what people ask of it.

    {"pipeline": "income", "action": "promote", "job": "income-20261103T021500-1f0c2d3e4b"}
    {"pipeline": "income", "action": "rollback", "by": "ann", "reason": "too many refunds"}
    {"pipeline": "income", "action": "rollback", "by": "ann", "to": 7}
    {"pipeline": "income", "action": "approve", "job": "income-...", "by": "ann", "seen": "5f0c2d3e4b1a6978"}
    {"pipeline": "income", "action": "cancel", "job": "income-...", "by": "ann"}
    {"pipeline": "income", "action": "retrain", "parameters": {"Regularization weight": "0.5"}}
    {"pipeline": "income", "action": "replay", "path": "income/2026-11.csv"}
    {"pipeline": "bike", "action": "promote", "by": "ann"}      all of the fleet `bike`; also rollback, resume, cancel

A message names a pipeline and a job, never an address. Promoting by hand a job that is settled takes a `by`:
without it the message is a second delivery of the app's own and does nothing.
"""

from __future__ import annotations

import re
from enum import Enum

import msgspec

from shared.base.decoding import from_json
from shared.base.errors import BadMessage

_JOB = re.compile(r"[A-Za-z0-9-]{1,128}")
_ID = re.compile(r"[A-Za-z0-9-]{1,128}")
_MODEL = re.compile(r"[0-9a-f]{8,64}")


class Asked(Enum):
    PROMOTE = "promote"
    ROLLBACK = "rollback"
    RESUME = "resume"  #: finish the change that an earlier run began; of a fleet, its rollout that was stopped
    RETRAIN = "retrain"  #: on the same data again, perhaps with other global parameters
    APPROVE = "approve"  #: a job that awaits it, on the numbers that were seen
    REJECT = "reject"
    CANCEL = "cancel"  #: a job that is not promoted yet
    REPLAY = "replay"  #: take up a path again that was set aside or left out


_OF_A_JOB = (Asked.PROMOTE, Asked.APPROVE, Asked.REJECT, Asked.CANCEL)
OF_A_FLEET = (Asked.PROMOTE, Asked.ROLLBACK, Asked.RESUME, Asked.CANCEL)


class Request(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    pipeline: str
    action: Asked
    job: str | None = None
    by: str | None = None
    reason: str | None = None
    path: str | None = None
    parameters: dict[str, str] = {}
    seen: str | None = None  #: `approval.seen` of the job's record: what the decision is bound to
    to: int | None = None  #: number of the history entry to roll back to
    model: str | None = None  #: the kept model to roll back to, by the beginning of its SHA-256
    live: int | None = None  #: roll back only while this history entry is live
    id: str | None = None  #: in place of the message's own, so that it counts once however often it is sent

    @property
    def by_hand(self) -> bool:
        """Whether a person sent it, who looks for its outcome under the message's id."""
        return self.action not in (Asked.PROMOTE, Asked.RESUME) or self.by is not None


def read_request(body: bytes) -> Request:
    """Return the request, or raise `BadMessage` saying what is wrong and what would be right."""
    try:
        request = from_json(body, Request)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise BadMessage(
            f"This is no promotion message ({error}): {body[:200]!r}. "
            'Send for example {"pipeline": "income", "action": "rollback"}'
        ) from None
    if fault := _fault(request):
        raise BadMessage(f"{fault}: {body[:200]!r}")
    return request


def _fault(request: Request) -> str | None:
    """Return what is wrong with the message as a whole, or None."""
    action = request.action
    name = f'A message with "action": "{action.value}"'
    # They become part of a record's name, which must not lead to another container.
    if request.job and not _JOB.fullmatch(request.job):
        return f"{request.job[:200]!r} is no job's id, such as income-20261103T021500-1f0c2d3e4b"
    if request.id and not _ID.fullmatch(request.id):
        return f"{request.id[:200]!r} is no id; write letters, digits and dashes, 128 at most"
    if request.model and not _MODEL.fullmatch(request.model):
        return f"{request.model[:80]!r} is no model; write 8 or more digits of its SHA-256, as the history has it"
    if request.job and action not in _OF_A_JOB:
        return f'{name} takes no "job"'
    if not request.job and action in _OF_A_JOB and not (action in OF_A_FLEET and request.by):
        return f'{name} needs the "job", or for a whole fleet a "by": who asks'
    if action in (Asked.APPROVE, Asked.REJECT, Asked.CANCEL) and not request.by:
        return f'{name} needs a "by": who decides'
    if (action in (Asked.APPROVE, Asked.REJECT)) != bool(request.seen):
        return 'An "approve" or "reject", and nothing else, takes "seen", as approval.seen of the job\'s record has it'
    if (action is Asked.REPLAY) != bool(request.path):
        return 'A "replay", and nothing else, takes the "path" of a blob'
    if request.parameters and action is not Asked.RETRAIN:
        return 'Only a "retrain" takes "parameters"'
    if action is not Asked.ROLLBACK and (request.to or request.model or request.live):
        return 'Only a "rollback" takes "to", "model" or "live"'
    if request.to and request.model:
        return 'A "rollback" goes "to" an entry of the history or to a "model", not both'
    return None


def write_request(request: Request) -> str:
    return msgspec.json.encode(request).decode()


class _PoisonedBlob(msgspec.Struct, frozen=True, rename="pascal"):
    """What the host puts on its poison queue for a blob whose function failed at every try."""

    container_name: str
    blob_name: str


def read_poisoned_blob(body: bytes) -> tuple[str, str]:
    """Return the container and the blob's path within it."""
    try:
        blob = from_json(body, _PoisonedBlob)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise BadMessage(f"This is no message of the blob poison queue ({error}): {body[:200]!r}") from None
    return blob.container_name, blob.blob_name
