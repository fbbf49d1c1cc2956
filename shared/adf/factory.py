"""All artefacts of one import, by name, as Data Factory compares names: the case does not count."""

from collections.abc import Iterable
from typing import Any

from shared.adf.artefacts import (
    Activity,
    Artefact,
    BatchExecution,
    DataSet,
    LinkedService,
    Other,
    Pipeline,
    Place,
    Text,
)
from shared.adf.translation import extension
from shared.base.errors import BadConfiguration


class Factory:
    """The artefacts by name. The same one twice is one; two that differ under one name are a mistake."""

    def __init__(self, artefacts: Iterable[Artefact]) -> None:
        self.pipelines: dict[str, Pipeline] = {}
        self.services: dict[str, LinkedService] = {}
        self.data_sets: dict[str, DataSet] = {}
        self.others: list[Other] = []
        for artefact in artefacts:
            match artefact:
                case Pipeline():
                    _add(self.pipelines, artefact, "pipeline")
                case LinkedService():
                    _add(self.services, artefact, "linked service")
                case DataSet():
                    _add(self.data_sets, artefact, "data set")
                case Other():
                    self.others.append(artefact)

    def service(self, activity: Activity) -> LinkedService | None:
        return self.services.get((activity.service or "").casefold())

    def data_set(self, place: Place) -> DataSet | None:
        return self.data_sets.get((place.dataset or "").casefold())

    def path(self, place: Place) -> Text | None:
        """Return where the place is: container/folder/file; None when its data set was not given."""
        if place.dataset is None:
            return place.path
        data_set = self.data_set(place)
        return data_set.path if data_set else None

    def endings(self, batch: BatchExecution) -> dict[str, str]:
        """Return the file extension of each output; empty for a folder and for what is not known."""
        paths = {port: self.path(place) for port, place in batch.outputs.items()}
        return {port: extension(path) if isinstance(path, str) else "" for port, path in paths.items()}


def _add(named: dict[str, Any], artefact: Any, what: str) -> None:
    known = named.setdefault(artefact.name.casefold(), artefact)
    if known != artefact:
        raise BadConfiguration(
            f"{artefact.file}: {what} {artefact.name!r} is another one in {known.file}; give one of the two files"
        )
