"""`run` and `publish`: what a person did on the canvas, from an experiment's file to web services."""

from __future__ import annotations

import argparse
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from service.commands import Stopped
from service.listening import running
from service.output import add_json, print_json, print_table
from studio.cli.place import add_data, open_new
from studio.experiments.loading import load_experiment
from studio.experiments.types import Experiment

if TYPE_CHECKING:
    from studio.publishing import Published


def add(commands: Any) -> None:
    run = commands.add_parser("run", help="train an experiment on a table and print its evaluation; publish nothing")
    _add_what(run)
    run.set_defaults(run=_run)
    publish = commands.add_parser(
        "publish",
        help="run an experiment and deploy it as web services",
        description="Run and evaluate an experiment, make its predictive experiment, and deploy it: as a Classic and "
        "as a New web service and with its retraining web service, unless options choose among them.",
    )
    _add_what(publish)
    add_data(publish)
    publish.add_argument("--classic", action="store_true", help="deploy the predictive experiment Classic")
    publish.add_argument("--new", metavar="NAME", help="deploy the predictive experiment New, under this name")
    publish.add_argument("--training", action="store_true", help="deploy the retraining web service")
    publish.add_argument(
        "--endpoint",
        metavar="NAME",
        action="append",
        default=[],
        help="an endpoint to add to the Classic web service, where models are updated; may be repeated (retrained)",
    )
    publish.set_defaults(run=_publish)


def _add_what(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("experiment", metavar="EXPERIMENT", help="one that comes with the Studio, or a .yaml file")
    parser.add_argument("table", metavar="DATA", type=Path, help="the training data: .csv, .tsv or .arff")
    add_json(parser)


def _run(chosen: argparse.Namespace) -> int:
    experiment, content = _experiment(chosen), _content(chosen)

    from studio.learning.tables import read_table
    from studio.learning.training import train

    trained = train(experiment, read_table(content, chosen.table.name), {})
    evaluations = [each.evaluation for each in trained]
    if chosen.json:
        print_json({"evaluations": _evaluations(experiment, evaluations)})
    else:
        _show_evaluations(experiment, evaluations)
    return 0


def _publish(chosen: argparse.Namespace) -> int:
    experiment, content = _experiment(chosen), _content(chosen)
    studio = open_new(chosen.data)
    everything = not (chosen.classic or chosen.new or chosen.training or chosen.endpoint)
    predictive = studio.run(experiment, content, chosen.table.name)
    published: list[tuple[str, Published]] = []
    if everything or chosen.new:
        name = chosen.new or re.sub(r"[^a-z0-9]", "", experiment.name.lower())
        published.append(("New", studio.deploy_new(predictive, name)))
    if everything or chosen.classic or chosen.endpoint:
        added = studio.deploy_classic(predictive, chosen.endpoint or ["retrained"])
        published += [("Classic", each) for each in added]
    if everything or chosen.training:
        published.append(("training", studio.deploy_training(experiment)))
    at = running(chosen.data, "address") or ""
    services: list[dict[str, Any]] = [
        {
            "kind": kind,
            "endpoint": each.name,
            "address": f"{at}{each.path}",
            "management": f"{at}{each.management}",
            "models": each.models,
        }
        for kind, each in published
    ]
    if chosen.json:
        print_json({"evaluations": _evaluations(experiment, predictive.evaluations), "services": services})
        return 0
    _show_evaluations(experiment, predictive.evaluations)
    for each in services:
        print()
        models = [("resource", model) for model in each["models"]]
        print_table(
            [each["kind"], each["endpoint"]],
            [("address", each["address"]), ("management", each["management"]), *models],
        )
    print("\npython -m studio keys ENDPOINT prints the keys")
    return 0


def _experiment(chosen: argparse.Namespace) -> Experiment:
    try:
        return load_experiment(chosen.experiment)
    except ValueError as error:
        raise Stopped(str(error)) from None


def _content(chosen: argparse.Namespace) -> bytes:
    try:
        return bytes(chosen.table.read_bytes())
    except OSError as error:
        raise Stopped(f"the table {chosen.table} cannot be read: {error.strerror}") from None


def _evaluations(experiment: Experiment, evaluations: list[dict[str, float]]) -> list[dict[str, Any]]:
    from studio.learning.tables import number

    return [
        {
            "resource": part.resource,
            "label": part.learnt.label,
            # JSON has no infinity: what the evaluation table writes as a word is one here too.
            "metrics": {name: value if value - value == 0 else number(value) for name, value in values.items()},
        }
        for part, values in zip(experiment.parts(), evaluations, strict=True)
    ]


def _show_evaluations(experiment: Experiment, evaluations: list[dict[str, float]]) -> None:
    for part, values in zip(experiment.parts(), evaluations, strict=True):
        print_table([part.resource, ""], [(name, f"{value:.6f}") for name, value in values.items()])
