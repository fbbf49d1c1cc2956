"""The `.ilearner` file: a zip of a manifest and a scikit-learn pipeline in skops' format.

Its bytes depend on nothing but what it holds, so the same training gives the same file. Loading runs no code that the
file brings: only the types listed here are ever made.
"""

from __future__ import annotations

import hashlib
import io
import zipfile
from functools import lru_cache
from pathlib import Path
from typing import Any

import msgspec
import skops.io

from studio.errors import StudioError, bad_argument
from studio.experiments import Kind

SUFFIX = ".ilearner"
_DATED = (1980, 1, 1, 0, 0, 0)
_BYTES_AT_MOST = 512 << 20  #: of a part of the file once unpacked
#: types that skops does not trust by itself and that the learners here need
_TRUSTED = ["numpy.dtype"]


class Column(msgspec.Struct, frozen=True):
    """A feature: `numeric` or `text`."""

    name: str
    numeric: bool


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    """What the model takes and gives. `classes` are in the order of its probabilities; the last is the positive."""

    experiment: str
    kind: Kind
    label: str
    features: list[Column]
    classes: list[str] = []

    @property
    def metadata(self) -> tuple[object, ...]:
        """What a model must share with the one it replaces: the graph around it stays."""
        return (self.kind, self.label, tuple(self.features), tuple(self.classes))


class TrainedModel(msgspec.Struct, frozen=True):
    manifest: Manifest
    pipeline: Any


def pack(model: TrainedModel) -> bytes:
    """Return the file's content."""
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as file:
        _write(file, "manifest.json", msgspec.json.format(msgspec.json.encode(model.manifest)))
        _write(file, "model.skops", _canonical(skops.io.dumps(model.pipeline)))
    return content.getvalue()


def unpack(content: bytes) -> TrainedModel:
    """Return the model, or raise the `InvalidBlob` error that says what the file is instead."""
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as file:
            if any(part.file_size > _BYTES_AT_MOST for part in file.infolist()):
                raise _invalid("it unpacks to more than a model can be")
            manifest = msgspec.json.decode(file.read("manifest.json"), type=Manifest)
            pipeline = file.read("model.skops")
        return TrainedModel(manifest, skops.io.loads(pipeline, trusted=_TRUSTED))
    except StudioError:
        raise
    except Exception as error:
        # A stranger's file can break a reader in any way.
        raise _invalid(f"it is no ilearner file ({type(error).__name__})") from None


class Models:
    """The model files this Studio keeps for its endpoints, by content hash."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder / "models"
        self._folder.mkdir(parents=True, exist_ok=True)
        self.load = lru_cache(maxsize=256)(self._load)

    def keep(self, content: bytes) -> str:
        """Check and keep the file; return its hash."""
        unpack(content)
        sha256 = hashlib.sha256(content).hexdigest()
        file = self._folder / f"{sha256}{SUFFIX}"
        if not file.exists():
            part = file.with_suffix(".part")
            part.write_bytes(content)
            part.replace(file)
        return sha256

    def read(self, sha256: str) -> bytes:
        return (self._folder / f"{sha256}{SUFFIX}").read_bytes()

    def _load(self, sha256: str) -> TrainedModel:
        return unpack(self.read(sha256))


def check_replaces(new: Manifest, old: Manifest) -> None:
    """Raise unless the model fits the graph that the old one was made for."""
    if new.kind != old.kind:
        raise StudioError(
            "InvalidOperation", "IncompatibleModel", f"The model is a {new.kind} model; a {old.kind} model is needed."
        )
    if new.metadata != old.metadata:
        raise StudioError(
            "Conflict",
            "ModelOutputMetadataMismatch",
            f"The model was trained on other columns or labels: {_difference(new, old)}.",
        )


def _difference(new: Manifest, old: Manifest) -> str:
    names = {column.name for column in new.features}, {column.name for column in old.features}
    if missing := sorted(names[1] - names[0]):
        return f"it has no feature {missing[0]!r}"
    if extra := sorted(names[0] - names[1]):
        return f"it has the feature {extra[0]!r}, which the service's input has not"
    if new.classes != old.classes:
        return f"its labels are {', '.join(new.classes)}; they were {', '.join(old.classes)}"
    return "their types or order differ"


def _invalid(why: str) -> StudioError:
    return bad_argument("InvalidBlob", f"The provided blob is not a trained model: {why}.")


def _write(file: zipfile.ZipFile, name: str, content: bytes) -> None:
    file.writestr(zipfile.ZipInfo(name, _DATED), content, zipfile.ZIP_DEFLATED)


def _canonical(archive: bytes) -> bytes:
    """Return skops' archive with nothing of the process in it: it names objects by their place in memory."""
    content = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(archive)) as old, zipfile.ZipFile(content, "w") as new:
        numbers: dict[int, int] = {}
        files: dict[str, str] = {}

        def renamed(node: Any) -> Any:
            if isinstance(node, list):
                return [renamed(each) for each in node]
            if not isinstance(node, dict):
                return node
            node = {key: renamed(each) for key, each in node.items()}
            if isinstance(node.get("__id__"), int):
                node["__id__"] = numbers.setdefault(node["__id__"], len(numbers) + 1)
            if isinstance(node.get("file"), str):
                suffix = node["file"].rpartition(".")[2]
                node["file"] = files.setdefault(node["file"], f"{len(files) + 1}.{suffix}")
            return node

        schema = renamed(msgspec.json.decode(old.read("schema.json")))
        _write(new, "schema.json", msgspec.json.encode(schema))
        for name, number in files.items():
            _write(new, number, old.read(name))
    return content.getvalue()
