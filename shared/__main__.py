"""`python -m shared`: check the configuration, write its JSON Schema, import it from Data Factory."""

from __future__ import annotations

import argparse
import json
import sys

from shared.adf.command import add_arguments, import_adf
from shared.errors import BadConfiguration
from shared.pipelines import load_pipelines, schema
from shared.settings import Settings


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m shared", description="Relearn's configuration.")
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("check", help="read the pipelines file with the settings of this environment")
    commands.add_parser("schema", help="print the JSON Schema of pipelines.yaml, for editors")
    add_arguments(commands.add_parser("import-adf", help="turn Data Factory pipelines into entries of pipelines.yaml"))
    arguments = parser.parse_args()
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
    return 0


if __name__ == "__main__":
    sys.exit(main())
