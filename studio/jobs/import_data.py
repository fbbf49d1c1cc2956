"""The Import Data module over blob storage, which read by an account name and a key: here, the Studio's own storage.

A path is `container/blob`, `container/directory`, a container, or a pattern with `*` and `?` behind the container's
name; several files are one table, by the order of their names. The numbers of its errors are those
of the module's reference. That `*` stays within a folder, and that a directory means all below it, is nowhere said.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from azure.core.exceptions import AzureError, ResourceNotFoundError
from azure.storage.blob import BlobProperties

from studio.errors import ModuleError, StudioError
from studio.learning.tables import Columns, read_table
from studio.state.blobs import Blobs

_MODULE = "Reader"  #: as failed jobs name it
_WILD = {"*": "[^/]*", "?": "[^/]"}


def import_table(blobs: Blobs, path: str) -> Columns:
    """Return the table that the path's blobs are. Raises `ModuleError`, which names the path."""
    if not path:
        raise ModuleError(_MODULE, 3, "NullOrEmpty", 'Input "Path to container, directory or blob" is null or empty.')
    table: Columns | None = None
    first = ""
    for blob in _found(blobs, path):
        columns = _read(blobs, f"{blob.container}/{blob.name}", blob.blob_type.value)
        if table is None:
            table, first = columns, blob.name
            continue
        _check_same(table, columns, first, blob.name)
        for name, cells in columns.items():
            table[name] += cells
    if table is None:
        raise ModuleError(_MODULE, 65, "InvalidBlobName", f'The Azure storage blob name "{path}" is incorrect.')
    return table


def _found(blobs: Blobs, path: str) -> Iterator[BlobProperties]:
    container, _, name = path.partition("/")
    wild = re.search(r"[*?]", name)
    pattern = "".join(_WILD.get(sign) or re.escape(sign) for sign in name.rstrip("/"))
    below = "" if wild else "(/.*)?" if name else ".*"
    try:
        if not container or re.search(r"[*?]", container):
            raise ResourceNotFoundError
        for blob in blobs.listed(container, name[: wild.start()] if wild else name.rstrip("/")):
            if re.fullmatch(pattern + below, blob.name, re.DOTALL):
                yield blob
    except ResourceNotFoundError:
        raise ModuleError(
            _MODULE,
            9,
            "InvalidStorageAccountOrContainer",
            f'The Azure storage account name "{blobs.account}" or container name "{container}" is incorrect; '
            f"a container name of the format container/blob was expected. The path is {path!r}.",
        ) from None
    except AzureError as error:
        raise _not_downloaded(path, type(error).__name__) from None


def _read(blobs: Blobs, path: str, kind: str) -> Columns:
    if kind != "BlockBlob":
        raise _not_downloaded(path, f"it is of type {kind}, and only block blobs are read")
    try:
        return read_table(blobs.read(blobs.own(path)), path)
    except StudioError as error:
        raise _not_downloaded(path, error.message) from None
    except ModuleError as error:
        raise ModuleError(error.module, error.number, error.error_id, f"{error.message} (in {path})") from None


def _check_same(table: Columns, other: Columns, first: str, name: str) -> None:
    if len(table) != len(other):
        sizes = f"{len(table)} and {len(other)} columns"
        raise ModuleError(
            _MODULE, 27, "MismatchedSize", f'The size of "{first}" is inconsistent with size of "{name}": {sizes}.'
        )
    for index, (ours, theirs) in enumerate(zip(table, other, strict=True)):
        if ours != theirs:
            raise ModuleError(
                _MODULE,
                10,
                "ColumnNamesMismatch",
                f"Column names are not the same for column {index} (zero-based) of input datasets "
                f"({first} and {name} respectively).",
            )


def _not_downloaded(path: str, why: str) -> ModuleError:
    return ModuleError(_MODULE, 30, "UnableToDownloadFile", f"Unable to download a file: {path}: {why}")
