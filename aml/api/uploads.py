"""Where a client puts the files of a code asset before it makes a version of it."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime, timedelta

from azure.core.exceptions import AzureError
from azure.storage.blob import ContainerSasPermissions, generate_container_sas
from starlette.responses import Response

from aml.api import scope
from aml.call import Call
from aml.context import Context
from aml.errors import ArmError, bad_request
from aml.identity.names import is_of_this_machine
from aml.storage.blobs import container_of
from service.keys import new_id

LASTING = timedelta(hours=8)  #: of a signature
_KIND = "TemporaryBlobReference"  #: the only kind of upload that a client asks for


def start_upload(context: Context, call: Call) -> Response:
    """Answer a container and a signature that opens it alone. The same version always gets the same container."""
    for name in ("name", "version"):
        scope.check_name(call.names[name], name)
    kind = call.json().get("pendingUploadType", _KIND)
    if kind != _KIND:
        raise bad_request(f"The pendingUploadType {str(kind)[:80]!r} is invalid. It is {_KIND}.", "pendingUploadType")
    workspace, account = context.workspace, context.workspace.account
    version = call.path.partition("/workspaces/")[2].lower()
    container = f"upload-{hashlib.sha256(version.encode()).hexdigest()[:40]}"
    try:
        container_of(account, container)
    except AzureError as error:
        message = f"The storage could not be used: {type(error).__name__}. Try again later."
        raise ArmError(503, "StorageError", message) from None
    signature = generate_container_sas(
        account_name=account.name,
        container_name=container,
        account_key=account.key,
        permission=ContainerSasPermissions(read=True, write=True, create=True, add=True, list=True),
        expiry=datetime.now(UTC) + LASTING,
    )
    address = account.address if is_of_this_machine(call.base) else f"https://{account.name}.blob.{account.suffix}"
    known = workspace.identity
    group = f"/subscriptions/{known.subscription}/resourceGroups/{known.group}"
    reference = {
        "blobUri": f"{address}/{container}",
        "storageAccountArmId": f"{group}/providers/Microsoft.Storage/storageAccounts/{account.name}",
        "credential": {"credentialType": "SAS", "sasUri": f"{address}/{container}?{signature}"},
    }
    return scope.answer(
        {
            "pendingUploadId": new_id(),
            "pendingUploadType": _KIND,
            "blobReferenceForConsumption": reference,
        }
    )


_UPLOAD = f"{scope.WORKSPACE}/codes/{{name}}/versions/{{version}}/startPendingUpload"
ADDRESSES = [("arm.codes.upload", "POST", _UPLOAD, start_upload)]
