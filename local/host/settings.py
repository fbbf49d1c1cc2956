"""The app's settings and its host.json, as the host reads them."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from shared.base.errors import BadConfiguration
from shared.base.json_file import read_json
from shared.base.settings import read_settings

_NAME = re.compile(r"%([^%]+)%")
_OVERRIDE = "AzureFunctionsJobHost__"
#: what `UseDevelopmentStorage=true` stands for, with the account key that every copy of Azurite has
_DEVELOPMENT = (
    "DefaultEndpointsProtocol=http;AccountName=devstoreaccount1;AccountKey=Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsu"
    "Fq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw==;BlobEndpoint=http://127.0.0.1:10000/devstoreaccount1;"
    "QueueEndpoint=http://127.0.0.1:10001/devstoreaccount1;"
)


class Wrong(Exception):
    """A setting or a trigger that the host cannot work with; the message says what to do."""


def take_settings(file: Path | None) -> None:
    """Put the Values of a local.settings.json into the environment; what is there already stays, as with Core Tools."""
    try:
        values = read_settings(file) if file else {}
    except BadConfiguration as error:
        raise Wrong(str(error)) from None
    for name, value in values.items():
        os.environ.setdefault(name, value)


def filled(text: str) -> str:
    """Return the text of a binding with each `%NAME%` replaced by that setting."""

    def setting(match: re.Match[str]) -> str:
        value = os.environ.get(match[1])
        if not value:
            raise Wrong(f"The setting {match[1]} is missing; a trigger needs it: {text}")
        return value

    return _NAME.sub(setting, text)


def connection(name: str) -> str:
    """Return the connection string that the setting holds."""
    value = os.environ.get(name)
    if not value:
        raise Wrong(f"The setting {name} is missing; on this machine it must be a storage connection string")
    return _DEVELOPMENT if value.strip().rstrip(";") == "UseDevelopmentStorage=true" else value


@dataclass(frozen=True)
class HostJson:
    """What of host.json concerns blob and queue triggers; times in seconds, defaults those of the host."""

    batch_size: int = 16
    new_batch_threshold: int = 8
    max_dequeue_count: int = 5
    visibility_timeout: float = 0.0
    max_polling_interval: float = 60.0
    base64: bool = True
    blob_parallelism: int = 8
    poison_blob_threshold: int = 5


def read_host_json(file: Path) -> HostJson:
    """Return the file's values; a setting `AzureFunctionsJobHost__extensions__queues__batchSize` goes before it."""
    try:
        extensions = read_json(file).get("extensions", {})
    except BadConfiguration as error:
        raise Wrong(str(error)) from None
    queues = {**extensions.get("queues", {}), **_overrides("queues")}
    blobs = {**extensions.get("blobs", {}), **_overrides("blobs")}
    default = HostJson()
    return HostJson(
        batch_size=int(queues.get("batchSize", default.batch_size)),
        new_batch_threshold=int(queues.get("newBatchThreshold", default.new_batch_threshold)),
        max_dequeue_count=int(queues.get("maxDequeueCount", default.max_dequeue_count)),
        visibility_timeout=_seconds(queues, "visibilityTimeout", default.visibility_timeout),
        max_polling_interval=_seconds(queues, "maxPollingInterval", default.max_polling_interval),
        base64=queues.get("messageEncoding", "base64") == "base64",
        blob_parallelism=int(blobs.get("maxDegreeOfParallelism", default.blob_parallelism)),
        poison_blob_threshold=int(blobs.get("poisonBlobThreshold", default.poison_blob_threshold)),
    )


def _overrides(extension: str) -> dict[str, str]:
    prefix = f"{_OVERRIDE}extensions__{extension}__"
    return {name.removeprefix(prefix): value for name, value in os.environ.items() if name.startswith(prefix)}


def _seconds(values: Mapping[str, Any], name: str, default: float) -> float:
    if name not in values:
        return default
    hours, minutes, seconds = str(values[name]).split(":")
    return int(hours) * 3600 + int(minutes) * 60 + float(seconds)
