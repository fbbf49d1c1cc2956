"""Blob references as Studio's protocols write them: `BaseLocation`, `RelativeLocation`, `SasBlobToken`."""

from typing import Any

from shared.adapters.http import understood
from shared.base.secret import Secret
from shared.domain.ports import BlobReference


def read_reference(blob: Any, what: str) -> BlobReference:
    """Return the reference in an answer; `what` names it in the error."""
    with understood(f"{what} is not a blob reference with BaseLocation and RelativeLocation"):
        sas = blob.get("SasBlobToken")
        return BlobReference(
            str(blob["BaseLocation"]), str(blob["RelativeLocation"]), Secret(str(sas)) if sas else None
        )


def write_reference(reference: BlobReference) -> dict[str, str | None]:
    sas = reference.sas
    return {
        "BaseLocation": reference.base,
        "RelativeLocation": reference.relative,
        "SasBlobToken": sas.reveal() if sas else None,
    }
