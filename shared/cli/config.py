"""`check`, `schema`, `import-adf`: the pipelines file."""

from __future__ import annotations

import argparse
import json
from typing import Any

from shared.adf.command import add_arguments, import_adf
from shared.base.settings import Settings
from shared.cli.output import show_json, show_table
from shared.cli.place import DONE, add_common, chosen_settings


def add(commands: Any) -> None:
    check = commands.add_parser("check", help="read the pipelines file with the settings")
    add_common(check)
    check.set_defaults(run=_check)

    schema = commands.add_parser("schema", help="print the JSON Schema of pipelines.yaml, for editors")
    schema.set_defaults(run=_schema, json=True, verbose=False)

    imported = commands.add_parser("import-adf", help="turn Data Factory pipelines into entries of pipelines.yaml")
    add_arguments(imported)
    imported.set_defaults(run=lambda chosen: import_adf(chosen.files, chosen.into), json=False, verbose=False)


def _check(chosen: argparse.Namespace) -> int:
    from shared.configuration.loading import load_pipelines
    from shared.flows.retention import read_rule

    settings = Settings(chosen_settings(chosen.settings)[0])
    pipelines = load_pipelines(settings.pipelines_file, settings)
    read_rule(settings)
    entries = [*pipelines.alone.values(), *(fleet.template for fleet in pipelines.fleets.values())]
    if chosen.json:
        show_json([{"pipeline": p.name, "blobs": p.blobs, "targets": [t.name for t in p.targets]} for p in entries])
    else:
        rows = [(p.name, p.blobs, ", ".join(target.name for target in p.targets)) for p in entries]
        show_table(("pipeline", "blobs", "targets"), rows)
    return DONE


def _schema(_: argparse.Namespace) -> int:
    from shared.configuration.file import schema

    print(json.dumps(schema(), indent=2))
    return DONE
