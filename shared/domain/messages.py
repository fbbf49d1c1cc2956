"""The messages of the queue `model-promotions`: what the app asks of itself, and what people ask of it.

README.md has an example of each. A message names a pipeline and a job, never an address. Promoting by hand a job that
is settled takes a `by`: without it the message is a second delivery of the app's own and does nothing.
"""

import base64
import codecs
import json
import re
from enum import Enum
from typing import Annotated, Any

import msgspec

from shared.base.decoding import converted, from_json
from shared.base.errors import BadMessage
from shared.domain.blob_pattern import fault_of

_ID = re.compile(r"[A-Za-z0-9-]{1,128}")
_MODEL = re.compile(r"[0-9a-f]{8,64}")
_Number = Annotated[int, msgspec.Meta(ge=1, le=10**9)]  #: of an entry of a history
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")  #: a terminal may obey these
_SHOWN = 200  #: bytes of a message that an error quotes


class Command(Enum):
    PROMOTE = "promote"
    ROLLBACK = "rollback"
    RESUME = "resume"  #: finish the change that an earlier run began; of a fleet, its rollout that was stopped
    RETRAIN = "retrain"  #: on the same data again, perhaps with other global parameters
    APPROVE = "approve"  #: a job that awaits it, on the numbers that were seen
    REJECT = "reject"
    CANCEL = "cancel"  #: a job that is not promoted yet
    REPLAY = "replay"  #: take up a path again that was set aside or left out


_OF_A_JOB = (Command.PROMOTE, Command.APPROVE, Command.REJECT, Command.CANCEL)
OF_A_FLEET = (Command.PROMOTE, Command.ROLLBACK, Command.RESUME, Command.CANCEL)


class Request(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """What one message asks for."""

    pipeline: str
    action: Command
    job: str | None = None
    by: str | None = None
    reason: str | None = None
    path: str | None = None
    parameters: dict[str, str] = {}
    seen: str | None = None  #: `approval.seen` of the job's record: what the decision is bound to
    to: _Number | None = None  #: number of the history entry to roll back to
    model: str | None = None  #: the kept model to roll back to, by the beginning of its SHA-256
    live: _Number | None = None  #: roll back only while this history entry is live
    id: str | None = None  #: in place of the message's own, so that it counts once however often it is sent

    @property
    def names_an_entry(self) -> bool:
        """Whether it says which entry or model is meant."""
        return any(each is not None for each in (self.to, self.model, self.live))

    @property
    def by_hand(self) -> bool:
        """Whether a person sent it, who looks for its outcome under the message's id."""
        return self.action not in (Command.PROMOTE, Command.RESUME) or self.by is not None


def read_request(body: bytes) -> Request:
    """Return the request, or raise `BadMessage` saying what is wrong and what would be right."""
    body = _json_of(body)
    try:
        # What is null is not given: some programs write all members of a class.
        given = {name: value for name, value in from_json(body, dict[str, Any]).items() if value is not None}
        request = converted(given, Request)
    except msgspec.MsgspecError as error:
        actions = (
            f"; the actions are: {', '.join(each.value for each in Command)}" if "`$.action`" in str(error) else ""
        )
        raise BadMessage(
            f"This is not a promotion message ({_form(body) or f'{error}{actions}'}): {body[:_SHOWN]!r}. "
            'Send for example {"pipeline": "income", "action": "rollback"}'
        ) from None
    if fault := _fault(request):
        raise BadMessage(f"{fault}: {body[:_SHOWN]!r}")
    return request


def _json_of(body: bytes) -> bytes:
    """Return the message's JSON: the body itself, or what it is the base64 of, as many programs send it."""
    inside = _from_base64(body)
    return inside if inside is not None and (_is_object(inside) or _form(inside)) else body


def _from_base64(text: bytes) -> bytes | None:
    plain = b"".join(text.split()).translate(bytes.maketrans(b"-_", b"+/")).rstrip(b"=")
    try:
        return base64.b64decode(plain + b"=" * (-len(plain) % 4), validate=True) or None
    except ValueError:
        return None


def _is_object(text: bytes) -> bool:
    return text.removeprefix(codecs.BOM_UTF8).lstrip()[:1] == b"{"


def _form(body: bytes) -> str | None:
    """Return which usual mistake made this of a JSON message, or None when it is none of them."""
    if not body.strip():
        return "it is empty"
    if wide := _wide(body):
        return f"it is {wide} text; encode it as UTF-8"
    if body.startswith((b"b'", b'b"')):
        return "it is Python's str() of bytes; decode the bytes to text first"
    inside = _from_base64(body)
    return "it is base64 twice; encode it once" if inside is not None and _is_object(inside) else None


def _wide(body: bytes) -> str | None:
    """Return UTF-16 or UTF-32 where the body begins with its byte order mark, or with a brace in it."""
    encoding = json.detect_encoding(body)
    if encoding.startswith("utf-8"):
        return None
    begins = body[:64].decode(encoding, errors="ignore").lstrip("\ufeff \t\r\n")
    return encoding[:6].upper() if encoding in ("utf-16", "utf-32") or begins.startswith("{") else None


def _fault(request: Request) -> str | None:
    """Return what is wrong with the message as a whole, or None."""
    action = request.action
    name = f'A message with "action": "{action.value}"'
    if fault := _fault_of_texts(request):
        return fault
    if request.job is not None and action not in _OF_A_JOB:
        return f'{name} takes no "job"'
    if request.job is None and action in _OF_A_JOB and not (action in OF_A_FLEET and request.by):
        return f'{name} needs the "job", or for a whole fleet a "by": who asks'
    if action in (Command.APPROVE, Command.REJECT, Command.CANCEL) and not request.by:
        return f'{name} needs a "by": who decides'
    if (action in (Command.APPROVE, Command.REJECT)) != (request.seen is not None):
        return 'An "approve" or "reject", and nothing else, takes "seen", as approval.seen of the job\'s record has it'
    if (action is Command.REPLAY) != (request.path is not None):
        return 'A "replay", and nothing else, takes the "path" of a blob'
    if request.parameters and action is not Command.RETRAIN:
        return 'Only a "retrain" takes "parameters"'
    if action is not Command.ROLLBACK and request.names_an_entry:
        return 'Only a "rollback" takes "to", "model" or "live"'
    if request.to is not None and request.model is not None:
        return 'A "rollback" goes "to" an entry of the history or to a "model", not both'
    return None


def _fault_of_texts(request: Request) -> str | None:
    # They become part of a record's name, which must not lead to another container.
    if request.job is not None and not _ID.fullmatch(request.job):
        return f"{request.job[:200]!r} is not a job's id, such as income-20261103T021500-1f0c2d3e4b"
    if request.id is not None and not _ID.fullmatch(request.id):
        return f"{request.id[:200]!r} is not an id; write letters, digits and dashes, 128 at most"
    if request.model is not None and not _MODEL.fullmatch(request.model):
        return f"{request.model[:80]!r} is not a model; write 8 or more digits of its SHA-256, as the history has it"
    if request.path is not None and (fault := fault_of(request.path)):
        return f'The "path" {request.path[:200]!r} cannot be a blob: {fault}'
    if request.by is not None and not (request.by.strip() and request.by.isprintable()):
        return f'The "by" {request.by[:80]!r} is not a name that can be shown'
    if request.reason is not None and _CONTROL.search(request.reason):
        return 'The "reason" has a control character'
    return None


def write_request(request: Request) -> str:
    return msgspec.json.encode(request).decode()


class _PoisonedBlob(msgspec.Struct, frozen=True, rename="pascal"):
    """What the host puts on its poison queue for a blob whose function failed at every try."""

    container_name: str
    blob_name: str


def read_poisoned_blob(body: bytes) -> tuple[str, str]:
    """Return the container and the blob's path within it."""
    body = _json_of(body)
    try:
        blob = from_json(body, _PoisonedBlob)
    except msgspec.MsgspecError as error:
        form = _form(body) or error
        raise BadMessage(f"This is not a message of the blob poison queue ({form}): {body[:_SHOWN]!r}") from None
    if fault := fault_of(blob.blob_name):
        raise BadMessage(f"{blob.blob_name[:200]!r} in the blob poison queue cannot be a blob: {fault}")
    return blob.container_name, blob.blob_name
