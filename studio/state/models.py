"""The model files that this Studio keeps for its endpoints, by content hash, and which may take another's place."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from functools import cache, lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from service.keys import new_id
from service.loading import loading
from service.private import make_private
from studio.errors import StudioError
from studio.learning.manifest import SUFFIX, Manifest

if TYPE_CHECKING:
    from studio.learning.ilearner import TrainedModel

LOADED = 2048  #: models that stay in memory


@cache
def _reader() -> Callable[[bytes], TrainedModel]:
    """Return what reads a model file. Its libraries take seconds to load: a server starts without them."""
    with loading():
        from studio.learning.ilearner import unpack
    return unpack


class Models:
    def __init__(self, folder: Path) -> None:
        self._folder = folder / "models"
        make_private(self._folder)
        self._kept: tuple[str, TrainedModel | None] = ("", None)
        self.load = lru_cache(maxsize=LOADED)(self._load)

    @property
    def ready(self) -> bool:
        """Return whether the libraries that read a model are loaded."""
        return _reader.cache_info().currsize > 0

    def keep(self, content: bytes) -> str:
        """Check and keep the file; return its hash."""
        sha256 = hashlib.sha256(content).hexdigest()
        file = self._folder / f"{sha256}{SUFFIX}"
        if not file.exists():
            self._kept = sha256, _reader()(content)
            part = file.with_suffix(f".{new_id()}.part")
            part.write_bytes(content)
            part.replace(file)
        return sha256

    def read(self, sha256: str) -> bytes:
        return (self._folder / f"{sha256}{SUFFIX}").read_bytes()

    def _load(self, sha256: str) -> TrainedModel:
        kept, model = self._kept  # a model that was just kept is loaded next
        return model if model and kept == sha256 else _reader()(self.read(sha256))


def check_replaces(new: Manifest, old: Manifest) -> None:
    """Raise unless the model fits the graph that the old one was made for: the graph stays as it is."""
    if new.kind != old.kind:
        raise StudioError(
            "InvalidOperation", "IncompatibleModel", f"The model is a {new.kind} model; a {old.kind} model is needed."
        )
    if difference := _difference(new, old):
        raise StudioError(
            "Conflict",
            "ModelOutputMetadataMismatch",
            f"The model was trained on other columns or labels: {difference}.",
        )


def _difference(new: Manifest, old: Manifest) -> str | None:
    theirs, ours = ({column.name: column.numeric for column in each.features} for each in (new, old))
    if missing := sorted(ours.keys() - theirs):
        return f"it has no feature {missing[0]!r}"
    if extra := sorted(theirs.keys() - ours):
        return f"it has the feature {extra[0]!r}, which the service's input has not"
    if other := sorted(name for name in ours if ours[name] != theirs[name]):
        kinds = ("numeric", "text") if ours[other[0]] else ("text", "numeric")
        return f"its feature {other[0]!r} was {kinds[1]}, and the service's input is {kinds[0]}"
    if new.label.name != old.label.name:
        return f"it predicts {new.label.name!r}, not {old.label.name!r}"
    if new.classes != old.classes:
        return f"its labels are {', '.join(new.classes)}; they were {', '.join(old.classes)}"
    return None
