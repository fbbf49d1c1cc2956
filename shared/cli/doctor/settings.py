"""Checks the settings: present, resolved and of the right form; and those that the pipelines file names."""

import re
from collections.abc import Callable, Iterator
from pathlib import Path

from shared.adapters.storage.accounts import connection_string
from shared.base.errors import BadConfiguration
from shared.base.settings import Settings
from shared.cli.doctor.finding import Finding, ok, warning, wrong
from shared.configuration.loading import SETTING
from shared.domain.values import LOOPBACK, is_schedule

_CONNECTIONS = {
    "AzureWebJobsStorage": ("blobServiceUri", "queueServiceUri"),
    "TRAINING_DATA": ("blobServiceUri", "queueServiceUri"),
    "RETRAINING_STORE": ("blobServiceUri",),
    "PROMOTIONS": ("queueServiceUri",),
}
#: what it looks like, and whether the app goes on without it
_FORMS = {
    "FUNCTIONS_WORKER_RUNTIME": ("python", re.compile("python"), True),
    "TRAINING_DATA_PATH": ("training-data/{name}", re.compile(r"[^/{}]+/\{name\}"), False),
    "TRAINING_DATA_SOURCE": ("polling or eventgrid", re.compile("polling|eventgrid", re.IGNORECASE), True),
    "PROMOTIONS_QUEUE": (
        "lower-case letters, digits and dashes: model-promotions",
        re.compile("[a-z0-9](?:-?[a-z0-9]){2,54}"),
        False,
    ),
}
_DEVELOPMENT = re.compile("UseDevelopmentStorage=true;?", re.IGNORECASE)
_KEY_LENGTH = 88  #: 64 bytes in base64
_LONGEST_SHOWN = 40  #: characters
_SCHEDULES = {"POLL_SCHEDULE": "*/15 * * * * *", "SWEEP_SCHEDULE": "0 */10 * * * *"}


def look(settings: Settings) -> Iterator[Finding]:
    yield from (_connection(settings, name, members) for name, members in _CONNECTIONS.items())
    for name, (right, form, optional) in _FORMS.items():
        yield _value(settings, name, right, form.fullmatch, optional)
    for name, right in _SCHEDULES.items():
        yield _value(settings, name, f"six fields, seconds first: {right}", is_schedule)


def of_the_file(file: Path, settings: Settings) -> Iterator[Finding]:
    """Look at each setting that the pipelines file names; loading the file reports only the first."""
    try:
        text = re.sub(r"(^|\s)#.*", "", file.read_text("utf-8"), flags=re.MULTILINE)
    except (OSError, UnicodeDecodeError):
        return  # loading it says why
    for name in sorted(set(SETTING.findall(text))):
        yield _value(settings, name, f"what ${{{name}}} stands for in {file.name}", bool)


def _connection(settings: Settings, name: str, members: tuple[str, ...]) -> Finding:
    what = f"setting {name}"
    try:
        if connection := settings.get(name):
            return _of_string(settings, name, connection)
        if account := settings.get(f"{name}__accountName"):
            return ok(what, f"an identity at the account {account}")
        missing = [f"{name}__{member}" for member in members if not settings.get(f"{name}__{member}")]
        if settings.get(f"{name}__serviceUri"):  # another name of the first
            missing = [each for each in missing if each != f"{name}__blobServiceUri"]
    except BadConfiguration as error:
        return wrong(what, str(error), "correct the reference, or the identity's right to read the vault's secrets")
    if not missing:
        return ok(what, "an identity")
    return wrong(what, "is missing", f"set a connection string, or for an identity {' and '.join(missing)}")


def _of_string(settings: Settings, name: str, connection: str) -> Finding:
    """Look at the kind of string, and at the key's length: only the storage itself refuses a part of a key."""
    what = f"setting {name}"
    if name == "AzureWebJobsStorage" and _DEVELOPMENT.fullmatch(connection.strip()):
        return ok(what, "Azurite on its usual ports, for the host alone (UseDevelopmentStorage=true)")
    try:
        connection_string(settings, name)
    except BadConfiguration as error:
        return wrong(what, str(error), "set a connection string with AccountKey, or an identity")
    key = re.search(r"AccountKey=([^;\s]*)", connection, re.IGNORECASE)
    if key is None or len(key[1]) == _KEY_LENGTH:
        return _of_key(what, connection)
    problem = f"its AccountKey has {len(key[1])} characters, and the key of a storage account has {_KEY_LENGTH}"
    return warning(what, problem, "copy the whole connection string, up to the == at the end of its key")


def _of_key(what: str, connection: str) -> Finding:
    """Say that a hosted account is opened by its key; Azurite, on this machine, has no other way by HTTP."""
    blobs = re.search(r"(?:Blob|Queue)Endpoint=https?://(?P<host>\[[^\]]*\]|[^:/;]+)", connection, re.IGNORECASE)
    if blobs and blobs["host"].strip("[]") in LOOPBACK:
        return ok(what, "a connection string with the account's key, on this machine")
    name = what.removeprefix("setting ")
    return warning(
        what,
        "has the account's key, which opens the whole account to whoever reads it",
        f"use an identity: {name}__blobServiceUri, __queueServiceUri, __credential and __clientId (docs/azure.md)",
    )


def _value(settings: Settings, name: str, right: str, fits: Callable[[str], object], optional: bool = False) -> Finding:
    what = f"setting {name}"
    try:
        text = settings.get(name)
    except BadConfiguration as error:
        return wrong(what, str(error), "correct the reference, or the identity's right to read the vault's secrets")
    if text is None:
        return ok(what, "is not set, and need not be") if optional else wrong(what, "is missing", f"set it: {right}")
    if fits(text):
        return ok(what, "is set")
    # What is long, or has the signs of a connection string, may be a secret in the wrong place.
    shown = repr(text) if len(text) <= _LONGEST_SHOWN and "=" not in text else "a value that does not fit"
    return wrong(what, f"is {shown}", f"write {right}")
