"""What the Functions host does with an event of Event Grid, so far as an app sees it.

The webhook of the blob trigger takes an array of events, or one, answers the handshake of a new subscription, and puts
the blob that `data.url` names on its queue. Nothing looks at the subject, the trigger's path or the blob's ETag.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote, unquote, urlsplit
from uuid import uuid4


def created(container: str, name: str, **changes: Any) -> dict[str, Any]:
    """Return the event of a new blob, as storage accounts raise it (event schema of Event Grid)."""
    data = {
        "api": "PutBlob",
        "clientRequestId": str(uuid4()),
        "requestId": str(uuid4()),
        "eTag": "0x8DE2C0FFEE00001",
        "contentType": "text/csv",
        "contentLength": 524288,
        "blobType": "BlockBlob",
        "url": f"https://stdata.blob.core.windows.net/{container}/{quote(name)}",
        "sequencer": "00000000000004420000000000028963",
        "storageDiagnostics": {"batchId": str(uuid4())},
    }
    return {
        "topic": "/subscriptions/a/resourceGroups/b/providers/Microsoft.Storage/storageAccounts/stdata",
        "subject": f"/blobServices/default/containers/{container}/blobs/{name}",
        "eventType": "Microsoft.Storage.BlobCreated",
        "eventTime": datetime.now(UTC).isoformat(),
        "id": str(uuid4()),
        "data": data,
        "dataVersion": "",
        "metadataVersion": "1",
        **changes,
    }


def delivered(body: str) -> list[tuple[str, str]]:
    """Return the container and the name of each blob that the host puts on its queue.

    Raises `ValueError` for what the host fails at: Event Grid sends it again, and at last to the dead letters.
    """
    events = json.loads(body)
    return [_blob(event) for event in (events if isinstance(events, list) else [events])]


def _blob(event: Any) -> tuple[str, str]:
    try:
        address, kind = urlsplit(event["data"]["url"]), event["data"]["blobType"]
    except (KeyError, TypeError):
        raise ValueError("an event without data.url and data.blobType") from None
    if not address.scheme or kind not in ("BlockBlob", "PageBlob", "AppendBlob"):
        raise ValueError(f"{address.geturl()!r} is not an address, or {kind!r} not a kind of blob")
    container, _, name = address.path.lstrip("/").partition("/")
    return container, unquote(name)
