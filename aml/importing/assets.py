"""What a file needs of the workspace: the ids of assets that it names, and its local files uploaded."""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec
import yaml
from azure.core.exceptions import AzureError
from azure.storage.blob import ContainerClient

from aml.importing.document import Document
from aml.remote import Remote
from aml.storage.blobs import upload_to
from service.commands import Failed

ANONYMOUS = {"components": "azureml_anonymous", "environments": "CliV2AnonymousEnvironment"}
_LEFT_OUT = frozenset({".git", "__pycache__", ".ipynb_checkpoints"})


class Assets:
    def __init__(self, remote: Remote) -> None:
        self.remote = remote

    def id_of(self, document: Document, name: str, collection: str) -> str:
        """Return the ARM id of the asset or compute that a key names: azureml:NAME:VERSION, NAME@latest, or an id."""
        given = document.text(name)
        text = given.removeprefix("azureml:")
        if text.startswith("//registries/"):
            return given
        if text.startswith("/subscriptions/"):
            return text
        asset, version = text, ""
        if collection != "computes":
            asset, at, label = text.partition("@")
            asset, colon, version = (asset, "", label) if at else text.rpartition(":")
            if not asset or not version or (at and version != "latest") or not (at or colon):
                raise document.error(
                    f"{name!r} is {given!r}; it can be azureml:NAME:VERSION or azureml:NAME@latest", name
                )
            version = f"/versions/{self._latest(collection, asset) if at else version}"
        return f"{self.remote.workspace}/{collection}/{asset}{version}"

    def next_version(self, collection: str, name: str) -> str:
        """Return the version that a file gets which names none."""
        found = self.remote.find(f"{collection}/{name}")
        return str(found["properties"]["nextVersion"]) if found else "1"

    def _latest(self, collection: str, name: str) -> str:
        found = self.remote.get(f"{collection}/{name}")["properties"]
        if "latestVersion" not in found:
            raise Failed(f"{collection}/{name} has no version")
        return str(found["latestVersion"])

    def make(self, collection: str, properties: Mapping[str, Any]) -> str:
        """Make an asset that a file has in place of a name; the same one is made once. Return its id."""
        content = msgspec.json.encode(properties, order="deterministic")
        version = str(uuid.UUID(bytes=hashlib.sha256(content).digest()[:16]))
        path = f"{collection}/{ANONYMOUS.get(collection, version)}/versions/{version}"
        self.remote.put(path, {"properties": {**properties, "isAnonymous": True}})
        return f"{self.remote.workspace}/{path}"

    def code(self, document: Document, name: str) -> str:
        """Return the id of the code that a key names."""
        if (path := document.local(name)) is None:
            return self.id_of(document, name, "codes")
        address, digest = self.upload(path)
        place = f"codes/{digest}/versions/1"
        self.remote.put(place, {"properties": {"codeUri": address, "properties": {"hash_sha256": digest}}})
        return f"{self.remote.workspace}/{place}"

    def address(self, document: Document, name: str, collection: str) -> str:
        """Return the address of the data that a key names; a local file or folder is uploaded."""
        given = document.text(name)
        if path := document.local(name):
            path = path.resolve()
            address, _ = self.upload(path, f"{path.name}/" if path.is_dir() else "")
            return f"{address}/{path.name}" + ("/" if path.is_dir() else "")
        return self.id_of(document, name, collection) if given.startswith("azureml:") and "//" not in given else given

    def upload(self, path: Path, below: str = "") -> tuple[str, str]:
        """Upload a file or folder into a container that its content has alone; return the address and the digest."""
        files = files_of(path)
        digest = _digest(files)
        begun = self.remote.post(f"codes/{digest}/versions/1/startPendingUpload", {})["blobReferenceForConsumption"]
        try:
            with ContainerClient.from_container_url(begun["credential"]["sasUri"]) as container:
                for name, file in files.items():
                    upload_to(container, f"{below}{name}", file)
        except AzureError as error:
            raise Failed(f"{path} could not be uploaded: {type(error).__name__}") from None
        return str(begun["blobUri"]), digest


def files_of(path: Path) -> dict[str, Path]:
    """Return the files of a folder by their names in it. A link is followed to a file, and not to a folder."""
    if path.is_file():
        return {path.name: path}
    found = {each.relative_to(path): each for each in sorted(path.rglob("*")) if each.is_file()}
    return {name.as_posix(): each for name, each in found.items() if not _LEFT_OUT & set(name.parts)}


def _digest(files: Mapping[str, Path]) -> str:
    total = hashlib.sha256()
    for name, file in files.items():
        with file.open("rb") as content:
            total.update(f"{name}\0{hashlib.file_digest(content, 'sha256').hexdigest()}\n".encode())
    return total.hexdigest()


def common(document: Document) -> dict[str, Any]:
    """Return the members that every kind has."""
    found: dict[str, Any] = {name: texts(document.below(name)) for name in ("tags", "properties")}
    return found | ({"description": document.text("description")} if "description" in document.content else {})


def texts(document: Document) -> dict[str, str]:
    return {name: document.text(name, "") for name in document.content}


def environment(assets: Assets, document: Document, name: str = "environment") -> str:
    """Return the id of the environment that a key names or holds."""
    if isinstance(document.content.get(name), dict):
        return assets.make("environments", environment_body(assets, document.below(name)))
    return assets.id_of(document, name, "environments")


def environment_body(assets: Assets, document: Document) -> dict[str, Any]:
    body = common(document)
    for name, member in (("image", "image"), ("os_type", "osType")):
        if name in document.content:
            body[member] = document.text(name).capitalize() if name == "os_type" else document.text(name)
    conda = document.content.get("conda_file")
    if isinstance(conda, dict):
        body["condaFile"] = yaml.safe_dump(conda, sort_keys=False)
    elif conda is not None and (file := document.local("conda_file")):
        body["condaFile"] = file.read_text("utf-8")
    if "inference_config" in document.content:
        routes = document.below("inference_config").content
        body["inferenceConfig"] = {name.replace("_route", "Route"): route for name, route in routes.items()}
    if "build" in document.content:
        build = document.below("build")
        body["build"] = {"contextUri": assets.address(build, "path", "data")}
        body["build"]["dockerfilePath"] = build.text("dockerfile_path", "Dockerfile")
    return body


def model(assets: Assets, document: Document) -> str:
    """Return the id of the model that a deployment names or holds."""
    if isinstance(document.content.get("model"), dict):
        return assets.make("models", model_body(assets, document.below("model")))
    return assets.id_of(document, "model", "models")


def model_body(assets: Assets, document: Document) -> dict[str, Any]:
    kind = {"modelType": document.text("type", "custom_model"), "modelUri": assets.address(document, "path", "models")}
    stage = {"stage": document.text("stage")} if "stage" in document.content else {}
    return {**common(document), **kind, **stage, "flavors": document.content.get("flavors") or {}}


def data_body(assets: Assets, document: Document) -> dict[str, Any]:
    kind = document.text("type", "uri_folder")
    return {**common(document), "dataType": kind, "dataUri": assets.address(document, "path", "data")}
