"""`python -m shared`: check the configuration, import it from Data Factory, take data up again, train again."""

from __future__ import annotations

import argparse
import json
import sys
from uuid import uuid4

from shared.adf.command import add_arguments, import_adf
from shared.configuration.file import schema
from shared.configuration.loading import load_pipelines
from shared.errors import BadConfiguration, RetrainingError
from shared.messages import Asked, Request
from shared.settings import Settings


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m shared", description="Relearn's configuration.")
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("check", help="read the pipelines file with the settings of this environment")
    commands.add_parser("schema", help="print the JSON Schema of pipelines.yaml, for editors")
    add_arguments(commands.add_parser("import-adf", help="turn Data Factory pipelines into entries of pipelines.yaml"))
    replay = commands.add_parser("replay", help="take up once more what was set aside or left out")
    replay.add_argument("pipeline")
    replay.add_argument("path", help="the blob's path within its container: income/2026-11.csv")
    retrain = commands.add_parser("retrain", help="train once more on the data that is live")
    retrain.add_argument("pipeline")
    retrain.add_argument("--parameter", action="append", default=[], metavar="NAME=VALUE", type=_parameter)
    arguments = parser.parse_args()
    if arguments.command in ("replay", "retrain"):
        return _ask(arguments)
    if arguments.command == "import-adf":
        return import_adf(arguments.files, arguments.into)
    if arguments.command == "schema":
        print(json.dumps(schema(), indent=2))
        return 0
    settings = Settings()
    try:
        pipelines = load_pipelines(settings.pipelines_file, settings)
    except BadConfiguration as error:
        print(error, file=sys.stderr)
        return 1
    for pipeline in pipelines.values():
        print(f"{pipeline.name}: {pipeline.blobs} -> {', '.join(target.name for target in pipeline.targets)}")
    for fleet in pipelines.fleets.values():
        names = ", ".join(target.name for target in fleet.template.targets)
        print(f"{fleet.name}, for each {fleet.key}: {fleet.template.blobs} -> {names}")
    return 0


def _parameter(text: str) -> tuple[str, str]:
    name, sign, value = text.partition("=")
    if not sign:
        raise argparse.ArgumentTypeError(f"{text!r} is no global parameter; write NAME=VALUE")
    return name, value


def _ask(arguments: argparse.Namespace) -> int:
    """Do what the message of the same name does; the timers of the app do the rest."""
    from shared.app import app

    request = Request(
        pipeline=arguments.pipeline,
        action=Asked(arguments.command),
        path=getattr(arguments, "path", None),
        parameters=dict(getattr(arguments, "parameter", ())),
    )
    try:
        print(app().ask(request, f"command-{uuid4().hex}"))
    except RetrainingError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
