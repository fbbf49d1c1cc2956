"""Blobs and folders of files: what a job reads is downloaded, what it writes is uploaded."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from azure.core.exceptions import ResourceExistsError, ResourceNotFoundError
from azure.storage.blob import ContainerClient

from aml.errors import bad_request
from aml.storage.accounts import Account
from aml.storage.addresses import Place


def download(account: Account, place: Place, folder: Path, *, one_file: bool) -> Path:
    """Download a blob or a folder of blobs into the folder, and return the path of the file or folder."""
    container = account.client.get_container_client(place.container)
    try:
        may_be_a_blob = one_file or not place.path.endswith("/")
        if may_be_a_blob and is_file(account, place):
            file = folder / place.path.rpartition("/")[2]
            _write(container, place.path, file, folder)
            return file
        if one_file:
            raise _missing(place)
        prefix = f"{place.path.rstrip('/')}/" if place.path else ""
        found = False
        for name in _names(container, prefix):
            found = True
            _write(container, name, folder / name.removeprefix(prefix), folder)
        if not found:
            raise _missing(place)
        return folder
    except ResourceNotFoundError:  # the container, or a blob that somebody deleted meanwhile
        raise _missing(place) from None


def is_file(account: Account, place: Place) -> bool:
    """Return whether one blob is at the place."""
    return bool(place.path) and account.client.get_blob_client(place.container, place.path).exists()


def upload(account: Account, place: Place, source: Path) -> int:
    """Upload a file, or every file of a folder, and return how many."""
    container = container_of(account, place.container)
    if source.is_file():
        upload_to(container, place.path.rstrip("/"), source)
        return 1
    files = sorted(each for each in source.rglob("*") if each.is_file() and not each.is_symlink())
    prefix = f"{place.path.rstrip('/')}/" if place.path else ""
    for file in files:
        upload_to(container, f"{prefix}{file.relative_to(source).as_posix()}", file)
    return len(files)


def upload_to(container: ContainerClient, name: str, file: Path) -> None:
    with file.open("rb") as content:
        container.upload_blob(name, content, overwrite=True)


def container_of(account: Account, name: str) -> ContainerClient:
    """Return the container, made if it is not there."""
    container = account.client.get_container_client(name)
    with suppress(ResourceExistsError):
        container.create_container()
    return container


def _names(container: ContainerClient, prefix: str) -> Iterator[str]:
    for blob in container.list_blobs(name_starts_with=prefix or None):
        if not blob.name.endswith("/"):
            yield blob.name


def _write(container: ContainerClient, name: str, file: Path, folder: Path) -> None:
    # A blob's name may lead out of the folder: storage takes any text.
    if not file.resolve().is_relative_to(folder.resolve()) or file == folder:
        raise bad_request(f"The blob {name[:200]!r} cannot be a file: its name leads out of its folder.")
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("wb") as opened:
        container.download_blob(name).readinto(opened)


def _missing(place: Place) -> Exception:
    return bad_request(f"The blob {place.container}/{place.path[:300]} does not exist.")
