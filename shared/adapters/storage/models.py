"""Every model that was a candidate or live, in one container.

{sha256}.ilearner        a model that is one file, by the hash of its content
{sha256}/{path}          the files of a model that is a folder, by the hash of its manifest
{sha256}.json            the manifest, written last; it stands for the folder when that is touched or removed
"""

import hashlib
import re
import tempfile
from collections.abc import Collection, Iterator
from contextlib import suppress
from datetime import datetime
from functools import lru_cache
from typing import IO, Any

import msgspec
from azure.core import MatchConditions
from azure.core.exceptions import ResourceExistsError, ResourceModifiedError, ResourceNotFoundError
from azure.storage.blob import BlobProperties

from shared.adapters.storage.accounts import BlobStore, storage_errors
from shared.adapters.storage.documents import create_container, upload
from shared.domain.folders import Files, Manifest, read_folder
from shared.domain.jobs import Model
from shared.domain.ports import BlobReference, KeptModel

LINK_SECONDS = 86400.0  #: how long a service may take to fetch a model it was given
_CLIENTS = 128  #: of single blobs that are kept
_IN_MEMORY = 8 << 20  #: bytes; larger models wait in a temporary file
_PIECE = 1 << 20  #: bytes that are in memory at once when a file of a folder is written
_SIZE = "relearn_size"  #: metadata of a manifest: the size of its folder
_NAME = re.compile(r"(?P<sha256>[0-9a-f]{64})(?P<kind>\.ilearner|\.json|/)")


class BlobModels:
    def __init__(self, store: BlobStore, container: str) -> None:
        self._store, self._name = store, container
        self._container = store.client.get_container_client(container)
        # To make a client takes as long as to sign a call, and what is kept is soon looked up.
        self._blob = lru_cache(_CLIENTS)(self._container.get_blob_client)

    def keep(self, chunks: Iterator[bytes]) -> Model:
        """Store the model under its content's hash. The same content is stored once."""
        digest = hashlib.sha256()
        with tempfile.SpooledTemporaryFile(max_size=_IN_MEMORY) as file:
            for chunk in chunks:
                digest.update(chunk)
                file.write(chunk)
            model = Model(sha256=digest.hexdigest(), size=file.tell())
            # One that is there may be removed before it is touched.
            while not self._upload(model, file) and not self.touch(model):
                pass
        return model

    def _upload(self, model: Model, file: tempfile.SpooledTemporaryFile[bytes]) -> bool:
        """Return whether it was not there before."""
        file.seek(0)
        with storage_errors(f"keeping the model {model.name}"), suppress(ResourceExistsError):
            try:
                self._blob(model.name).upload_blob(file, length=model.size, overwrite=False)
            except ResourceNotFoundError:
                create_container(self._container)
                return self._upload(model, file)
            return True
        return False

    def keep_folder(self, files: Files) -> Model:
        with tempfile.SpooledTemporaryFile(max_size=_IN_MEMORY) as copy:
            manifest = read_folder(files, copy)
            model = manifest.model
            with storage_errors(f"keeping the model {model.name}"):
                while not self.touch(model) and not self._write_folder(model, manifest, copy):
                    pass
        return model

    def _write_folder(self, model: Model, manifest: Manifest, copy: IO[bytes]) -> bool:
        """Return whether no other run has written the manifest first.

        A file that is there is written again: who removes a folder removes only what it has seen before.
        """
        create_container(self._container)
        copy.seek(0)
        for file in manifest.files:
            pieces = (copy.read(min(_PIECE, file.size - done)) for done in range(0, file.size, _PIECE))
            self._container.upload_blob(f"{model.name}{file.path}", pieces, length=file.size, overwrite=True)
        blob, content = self._container.get_blob_client(_stands_for(model)), msgspec.json.encode(manifest)
        with suppress(ResourceExistsError):
            upload(self._container, blob, content, overwrite=False, metadata=_about(model))
            return True
        return False

    def touch(self, model: Model) -> bool:
        with storage_errors(f"touching the model {model.name}"), suppress(ResourceNotFoundError):
            # Writing metadata, even none, gives a blob a new ETag and a new time.
            self._blob(_stands_for(model)).set_blob_metadata(_about(model))
            return True
        return False

    def listed(self) -> Iterator[KeptModel]:
        with storage_errors("listing the models"):
            for blob in self._names():
                if model := _model(blob):
                    yield KeptModel(model, blob.last_modified, blob.etag)

    def remove(self, kept: KeptModel) -> bool:
        model = kept.model
        with storage_errors(f"removing the model {model.name}"):
            files = [*self._container.list_blobs(name_starts_with=model.name)] if model.folder else []
            removed = self._remove(_stands_for(model), kept.etag)
            if removed:
                self._remove_files(files)
            return removed

    def remove_unfinished(self, before: datetime) -> None:
        with storage_errors("listing the models"):
            found = [match for blob in self._names() if (match := _NAME.fullmatch(blob.name))]
            finished = {match["sha256"] for match in found if match["kind"] == ".json"}
            for match in found:
                if match["kind"] == "/" and match["sha256"] not in finished:
                    files = [*self._container.list_blobs(name_starts_with=match[0])]
                    if all(file.last_modified < before for file in files):
                        self._remove_files(files)

    def _remove_files(self, files: list[BlobProperties]) -> None:
        """Remove the files of a folder, but not one that was written again since they were listed."""
        for file in files:
            self._remove(file.name, file.etag)

    def _remove(self, name: str, etag: str) -> bool:
        blob = self._container.get_blob_client(name)
        with suppress(ResourceModifiedError, ResourceNotFoundError):
            blob.delete_blob(etag=etag, match_condition=MatchConditions.IfNotModified)
            return True
        return False

    def _names(self, prefix: str | None = None) -> Iterator[BlobProperties]:
        """Yield the blobs, but not those within folders, each of which is one name with a final slash."""
        names: Any = self._container.walk_blobs(name_starts_with=prefix, include=["metadata"], delimiter="/")
        with suppress(ResourceNotFoundError):  # no model was kept yet
            yield from names

    def link(self, model: Model) -> BlobReference:
        return self._store.link(self._name, model.name, LINK_SECONDS)

    def find(self, sha256: str) -> list[Model]:
        with storage_errors(f"looking up the model {sha256}"):
            return [model for blob in self._names(sha256) if (model := _model(blob))]

    def identify(self, reference: BlobReference, known: Collection[Model] = ()) -> Model | None:
        prefix = f"{self._store.address}{self._name}/"
        match = _NAME.fullmatch(reference.address.removeprefix(prefix))
        if match is None or match["kind"] == ".json" or not reference.address.startswith(prefix):
            return None
        if model := next((each for each in known if each.name == match[0]), None):
            return model
        named = Model(sha256=match["sha256"], size=0, folder=match["kind"] == "/")
        with storage_errors(f"looking up the model {match[0]}"), suppress(ResourceNotFoundError):
            return _model(self._blob(_stands_for(named)).get_blob_properties())
        return None


def _stands_for(model: Model) -> str:
    """Return the name of the blob that is there as long as the model is kept."""
    return f"{model.sha256}.json" if model.folder else model.name


def _about(model: Model) -> dict[str, str] | None:
    return {_SIZE: str(model.size)} if model.folder else None


def _model(blob: BlobProperties) -> Model | None:
    """Return the model that the blob stands for, or None."""
    match = _NAME.fullmatch(blob.name)
    if match is None or match["kind"] == "/":
        return None
    folder = match["kind"] == ".json"
    size = int((blob.metadata or {}).get(_SIZE) or 0) if folder else blob.size
    return Model(sha256=match["sha256"], size=size, folder=folder)
