"""Every model that was a candidate or live, as `{sha256}.ilearner` in one container."""

from __future__ import annotations

import hashlib
import re
import tempfile
from collections.abc import Collection, Iterator

from azure.core import MatchConditions
from azure.core.exceptions import ResourceExistsError, ResourceModifiedError, ResourceNotFoundError

from shared.adapters.storage.accounts import BlobStore, storage_errors
from shared.adapters.storage.documents import create_container
from shared.domain.jobs import Model
from shared.domain.ports import BlobReference, KeptModel

LINK_SECONDS = 86400.0  #: how long a service may take to fetch a model it was given
_IN_MEMORY = 8 << 20  #: bytes; larger models wait in a temporary file
_NAME = re.compile(r"(?P<sha256>[0-9a-f]{64})\.ilearner")


class BlobModels:
    def __init__(self, store: BlobStore, container: str) -> None:
        self._store, self._name = store, container
        self._container = store.client.get_container_client(container)

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
        with storage_errors(f"keeping the model {model.name}"):
            try:
                self._container.upload_blob(model.name, file, length=model.size, overwrite=False)
            except ResourceExistsError:
                return False
            except ResourceNotFoundError:
                create_container(self._container)
                return self._upload(model, file)
            return True

    def touch(self, model: Model) -> bool:
        with storage_errors(f"touching the model {model.name}"):
            try:
                # Writing metadata, even none, gives a blob a new ETag and a new time.
                self._container.get_blob_client(model.name).set_blob_metadata()
            except ResourceNotFoundError:
                return False
            return True

    def listed(self) -> Iterator[KeptModel]:
        with storage_errors("listing the models"):
            try:
                for blob in self._container.list_blobs():
                    if match := _NAME.fullmatch(blob.name):
                        model = Model(sha256=match["sha256"], size=blob.size)
                        yield KeptModel(model, blob.last_modified, blob.etag)
            except ResourceNotFoundError:
                return

    def remove(self, kept: KeptModel) -> bool:
        with storage_errors(f"removing the model {kept.model.name}"):
            try:
                self._container.get_blob_client(kept.model.name).delete_blob(
                    etag=kept.etag, match_condition=MatchConditions.IfNotModified
                )
            except (ResourceModifiedError, ResourceNotFoundError):
                return False
            return True

    def link(self, model: Model) -> BlobReference:
        return self._store.link(self._name, model.name, LINK_SECONDS)

    def find(self, sha256: str) -> list[Model]:
        with storage_errors(f"looking up the model {sha256}"):
            try:
                blobs = list(self._container.list_blobs(name_starts_with=sha256))
            except ResourceNotFoundError:
                return []
        found = [(_NAME.fullmatch(blob.name), blob.size) for blob in blobs]
        return [Model(sha256=match["sha256"], size=size) for match, size in found if match]

    def identify(self, reference: BlobReference, known: Collection[Model] = ()) -> Model | None:
        prefix = f"{self._store.address}{self._name}/"
        match = _NAME.fullmatch(reference.address.removeprefix(prefix))
        if match is None or not reference.address.startswith(prefix):
            return None
        if model := next((each for each in known if each.sha256 == match["sha256"]), None):
            return model
        with storage_errors(f"looking up the model {match[0]}"):
            try:
                size = self._container.get_blob_client(match[0]).get_blob_properties().size
            except ResourceNotFoundError:
                return None
        return Model(sha256=match["sha256"], size=size)
