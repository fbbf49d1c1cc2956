"""`init`: the first entry of pipelines.yaml, from what hosted web services say of themselves."""

from __future__ import annotations

import argparse
import getpass
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from shared.adf.command import put_out
from shared.adf.report import Report
from shared.adf.targets import classic_target, new_target
from shared.adf.translation import classic_endpoint, new_service, plain_address
from shared.base.errors import BadConfiguration
from shared.base.settings import Settings
from shared.base.suggestion import differs_in_case, suggestion
from shared.cli.place import DONE, USAGE, Commands, Stopped, chosen_settings
from shared.configuration.starting import gate
from shared.configuration.writing import Remarked
from shared.domain.evaluation import Kind
from shared.domain.fleets import NAME
from shared.domain.services import Description, ScoringService
from shared.domain.values import Address, read_key

if TYPE_CHECKING:
    from shared.app import App

PORTS = ("model", "evaluation", "scored")


def add(commands: Commands) -> None:
    init = commands.add(
        "init",
        _init,
        "make the first entry of pipelines.yaml from the addresses of your web services",
        description="Ask the training service and the scoring service for their ports and columns, and write an entry "
        "of pipelines.yaml. The keys come from the settings NAME_TRAINING_KEY and NAME_ENDPOINT_KEY, or are asked for.",
    )
    init.add_argument("name", metavar="NAME", help="name of the pipeline: lower-case letters, digits and dashes")
    init.add_argument(
        "--training", required=True, metavar="ADDRESS", help="of the training service, or its swagger.json"
    )
    init.add_argument("--scoring", required=True, metavar="ADDRESS", help="of the scoring service, or its swagger.json")
    init.add_argument(
        "--update",
        required=True,
        metavar="ADDRESS",
        help="what gets the model: the PATCH address of a Classic endpoint, or the address of a New web service",
    )
    init.add_argument("--label", required=True, metavar="COLUMN", help="the column to predict")
    init.add_argument("--kind", required=True, choices=[kind.value for kind in Kind], help="what the label is")
    init.add_argument("--into", type=Path, metavar="FILE", help="add to this pipelines file, or make it; else stdout")


def _init(chosen: argparse.Namespace) -> int:
    from shared.app import App

    if not NAME.fullmatch(chosen.name):
        raise Stopped(f"{chosen.name!r} is not a pipeline's name: lower-case letters, digits and dashes", USAGE)
    app, report = App(Settings(chosen_settings(chosen.settings)[0])), Report()
    training, scoring = _base(chosen.training), _base(chosen.scoring)
    described = _describe(app, f"{chosen.name} training", training)
    scored = _describe(app, f"{chosen.name} endpoint", scoring)
    check_label(chosen.label, training=described, scoring=scored)
    entry = _entry(chosen, report, (training, described), (scoring, scored))
    put_out({chosen.name: entry}, report, chosen.into)
    return DONE


def _base(given: str) -> Address:
    """Return the base address of a service, given its own address or its swagger document's."""
    address = plain_address(given)
    if address is None:
        raise Stopped(f"{given!r} is not an address that can be called: https://..., or http:// to this machine", USAGE)
    return Address(re.sub(r"/(swagger\.json|jobs|execute)$", "", address))


def _describe(app: App, wish: str, address: Address) -> Description:
    """Ask the service for its description. The key never stands on the command line, where others can read it."""
    setting = f"{re.sub(r'[^A-Z0-9]+', '_', wish.upper())}_KEY"
    given = app.settings.get(setting)
    if not given and sys.stdin.isatty():
        given = getpass.getpass(f"key of {address}: ")
    if not given:
        raise Stopped(f"the setting {setting} is missing: the API key of {address}")
    try:
        key = read_key(given)
    except ValueError as error:
        raise BadConfiguration(f"{setting}: {error}") from None
    return app.describe(f"the service {address}", ScoringService(address=address, key=key))


def check_label(label: str, *, training: Description, scoring: Description) -> None:
    """Stop if the label is not a column of the data that the services describe.

    The training takes the label from its input. A scoring service may have an input without it, and a training
    service that reads a folder describes no columns.
    """
    trained, scored = (_columns(each) for each in (training, scoring))
    if trained and label not in trained:
        hint = suggestion(label, trained, all_of="its columns are:")
        raise Stopped(f"--label {label!r}: the input of the training service has no such column; {hint}", USAGE)
    if label not in trained | scored and (near := differs_in_case(label, scored)):
        raise Stopped(
            f"--label {label!r}: the input of the scoring service has no such column; {near!r} differs in case only",
            USAGE,
        )


def _label(label: str, known: frozenset[str]) -> Any:
    return label if label in known else Remarked(label, "no service describes it: compare it with the data's header")


def _columns(described: Description) -> frozenset[str]:
    return frozenset[str]().union(*described.columns.values())


def _entry(
    chosen: argparse.Namespace,
    report: Report,
    training: tuple[Address, Description],
    scoring: tuple[Address, Description],
) -> dict[str, Any]:
    name, (address, described) = chosen.name, training
    inputs, outputs = sorted(described.inputs), sorted(described.outputs)
    key = f"pipelines.{name}"
    columns = sorted(_columns(scoring[1]) - {chosen.label})
    asked = {"columns": [{"name": each} for each in columns]} if 0 < len(columns) <= 60 else {}
    return {
        "blobs": Remarked(f"{name}/*.csv", "within the container of TRAINING_DATA_PATH"),
        "checks": {**asked, "label": _label(chosen.label, _columns(described) | _columns(scoring[1]))},
        "training": {
            "address": str(address),
            "key": report.setting(f"{name}_TRAINING_KEY", f"the API key of {address}"),
            **_input(report, key, inputs, sorted(described.parameters)),
            **{port: _port(report, f"{key}.training", port, outputs, place) for place, port in enumerate(PORTS)},
        },
        "gate": gate(Kind(chosen.kind), None),
        "targets": [_target(chosen, report, scoring)],
        "proof": {
            "rows": report.fill_in(f"{key}.proof.rows", "ROWS_FILE", "a CSV file with a header and 1 to 100 rows")
        },
    }


def _input(report: Report, key: str, inputs: list[str], parameters: list[str]) -> dict[str, Any]:
    if inputs:
        return {"input": inputs[0]}
    path = next((each for each in parameters if "path" in each.casefold()), None)
    what = "the global parameter with the path of the experiment's Import Data module"
    return {"folder": path or report.fill_in(f"{key}.training.folder", "FOLDER", what)}


def _port(report: Report, key: str, port: str, outputs: list[str], place: int) -> Any:
    """Return the output port; the description names the ports but does not say which gives what."""
    if place >= len(outputs):
        return report.fill_in(
            f"{key}.{port}", port.upper(), f"an output port; the service has {', '.join(outputs) or 'none'}"
        )
    return Remarked(outputs[place], f"one of {', '.join(outputs)}: check which one gives the {port}")


def _target(chosen: argparse.Namespace, report: Report, scoring: tuple[Address, Description]) -> dict[str, Any]:
    address, described = scoring
    key = report.setting(f"{chosen.name}_ENDPOINT_KEY", f"the API key of {address}")
    update = plain_address(chosen.update) or ""
    model = report.fill_in(
        f"pipelines.{chosen.name}.targets", "TRAINED_MODEL", "the exact name of the model, '... [trained model]'"
    )
    scored: dict[str, Any] = {"address": str(address), "key": key}
    for member, ports in (("input", described.inputs), ("output", described.outputs)):
        if ports and f"{member}1" not in ports:
            scored[member] = min(ports)
    if new := new_service(update):
        return new_target("live", new, model, scored)
    if classic_endpoint(update):
        return classic_target("live", update, model, scored)
    raise Stopped(
        f"--update {chosen.update!r} is not the address of a Classic endpoint, "
        ".../webservices/{id}/endpoints/{name}, nor of a New web service, .../webServices/{name}",
        USAGE,
    )
