"""What the Functions host does with an event of Event Grid, so far as an app sees it.

The webhook of the blob trigger takes an array of events, answers the handshake of a new subscription, and puts the blob
that each subject names on its queue: neither the trigger's path nor the blob's ETag is looked at.
"""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

_SUBJECT = re.compile(r"/blobServices/default/containers/(?P<container>[^/]+)/blobs/(?P<name>.+)")


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
        "url": f"https://stdata.blob.core.windows.net/{container}/{name}",
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
    """Return the container and the name of each blob that the host would start the trigger with.

    Raises `ValueError` for what the host answers with 400, and puts on no queue.
    """
    events = json.loads(body)
    if not isinstance(events, list):
        raise ValueError("an array of events was expected")
    found = [_SUBJECT.fullmatch(str(event.get("subject"))) for event in events]
    if not all(found):
        raise ValueError("a subject does not name a blob")
    return [(each["container"], each["name"]) for each in found if each]
