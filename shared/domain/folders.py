"""A model that is a folder: the manifest whose hash is the model's, and the paths that its files may have."""

import hashlib
from collections.abc import Iterable, Iterator
from typing import IO

import msgspec

from shared.base.errors import BadModel
from shared.domain.jobs import Model

FILES_AT_MOST = 2000
BYTES_AT_MOST = 4 << 30
PATH_AT_MOST = 800  #: characters; a blob's name has 1,024, the model's hash included

Files = Iterable[tuple[str, Iterator[bytes]]]  #: the path and the content of each file


class ModelFile(msgspec.Struct, frozen=True, kw_only=True):
    path: str
    sha256: str
    size: int


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    """The files of a model, in the order in which they were read."""

    files: tuple[ModelFile, ...]

    @property
    def model(self) -> Model:
        lines = "".join(f"{each.sha256} {each.path}\n" for each in sorted(self.files, key=lambda each: each.path))
        digest = hashlib.sha256(lines.encode()).hexdigest()
        return Model(sha256=digest, size=sum(each.size for each in self.files), folder=True)


def read_folder(files: Files, copy: IO[bytes]) -> Manifest:
    """Copy the files one behind the other; return the manifest. Raise `BadModel` for what no model can be."""
    read: dict[str, ModelFile] = {}
    for path, chunks in files:
        check_path(path)
        if path in read or len(read) == FILES_AT_MOST:
            problem = "twice" if path in read else f"as one more than the {FILES_AT_MOST} files that a model may have"
            raise BadModel(f"The model's folder has the file {path!r} {problem}")
        digest, begin = hashlib.sha256(), copy.tell()
        for chunk in chunks:
            digest.update(chunk)
            if copy.write(chunk) and copy.tell() > BYTES_AT_MOST:
                raise BadModel(f"The model's folder is larger than {BYTES_AT_MOST} bytes")
        read[path] = ModelFile(path=path, sha256=digest.hexdigest(), size=copy.tell() - begin)
    if not read:
        raise BadModel("The model's folder has no file")
    return Manifest(files=tuple(read.values()))


def check_path(path: str) -> None:
    """Raise `BadModel` for a path that could lead out of the model's folder, or that no blob can have."""
    steps = path.split("/")
    if "\\" in path or not path.isprintable() or any(step in ("", ".", "..") or step.endswith(".") for step in steps):
        raise BadModel(f"The model's folder has the file {path[:200]!r}, which is not a path within the folder")
    if len(path) > PATH_AT_MOST:
        raise BadModel(
            f"The model's folder has a path of {len(path)} characters, {path[:80]}...; {PATH_AT_MOST} is most"
        )
