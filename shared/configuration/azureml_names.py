"""The names of resources, ports and metrics that an entry has for Azure Machine Learning v2."""

import re
from collections.abc import Iterator

from shared.configuration.file import Entry, Wrong
from shared.domain.azureml import AzureMLOnlineTarget, AzureMLTraining

#: what a name has in the service's paths, where another sign would lead to another resource
_RESOURCE = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,254}")
_PORT = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,254}")


def check_names(entry: Entry, wrong: Wrong) -> None:
    """Raise for the first name that no resource, port or metric can have, and for a parameter that is the data."""
    for path, name, pattern in _names(entry):
        # The {key} of a fleet is looked at elsewhere.
        if not pattern.fullmatch(name) and not (entry.for_each and "{" in name):
            signs = "letters, digits and '_'" if pattern is _PORT else "letters, digits, '-', '_' and '.'"
            raise wrong(path, f"is {name[:80]!r}, which is not a name of the service; it has {signs}")
    training = entry.training
    if not isinstance(training, AzureMLTraining):
        return
    for metric, name in training.metrics.items():
        if not name.strip():
            raise wrong(f".training.metrics.{metric}", "is empty; write the metric's name in the run")
    if training.data in training.parameters:
        raise wrong(f".training.parameters.{training.data}", "is the input that gets the data; remove it here")
    if training.champion and training.champion.input in (training.data, *training.parameters):
        raise wrong(
            ".training.champion.input",
            f"is {training.champion.input!r}, which is also the data's or a parameter's input",
        )


def _names(entry: Entry) -> Iterator[tuple[str, str, re.Pattern[str]]]:
    training = entry.training
    if isinstance(training, AzureMLTraining):
        for key in ("datastore", "compute", "experiment"):
            if (name := getattr(training, key)) is not None:
                yield f".training.{key}", name, _RESOURCE
        yield ".training.data", training.data, _PORT
        yield ".training.model.output", training.model.output, _PORT
        if training.scored:
            yield ".training.scored.output", training.scored.output, _PORT
        if champion := training.champion:
            yield ".training.champion.input", champion.input, _PORT
            yield ".training.champion.scored", champion.scored, _PORT
            yield ".training.champion.datastore", champion.datastore or training.datastore, _RESOURCE
        for name in training.parameters:
            yield f".training.parameters.{name}", name, _PORT
    for index, target in enumerate(entry.targets):
        if isinstance(target, AzureMLOnlineTarget):
            yield f".targets[{index}].datastore", target.datastore, _RESOURCE
            yield f".targets[{index}].model", target.model, _RESOURCE
