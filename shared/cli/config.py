"""`check`, `schema`, `import-adf`: the pipelines file."""

import argparse
import json

from shared.adf.command import add_arguments, import_adf
from shared.base.settings import Settings
from shared.cli.compare import judged_now
from shared.cli.jobs import find_job
from shared.cli.output import show_facts, show_json, show_table, tell
from shared.cli.place import DONE, FAILED, Commands, chosen_settings, open_app
from shared.cli.views import data_facts, verdict_facts
from shared.configuration.azureml import notes
from shared.configuration.file import schema
from shared.configuration.loading import load_pipelines
from shared.domain.gate.verdict import Outcome


def add(commands: Commands) -> None:
    check = commands.add("check", _check, "read the pipelines file with the settings; --against JOB tries its gate")
    check.add_argument(
        "--against",
        metavar="JOB",
        help="what the gate of the file says of this job's model now, on the rows and answers that the records have",
    )

    schema = commands.add("schema", _schema, "print the JSON Schema of pipelines.yaml, for editors")
    schema.set_defaults(json=True, verbose=False)

    summary = "turn Data Factory pipelines into entries of pipelines.yaml"
    imported = commands.add("import-adf", _import, summary)
    add_arguments(imported)
    imported.set_defaults(json=False, verbose=False)


def _import(chosen: argparse.Namespace) -> int:
    return import_adf(chosen.files, chosen.into, with_workspaces=chosen.azureml)


def _check(chosen: argparse.Namespace) -> int:
    from shared.flows.retention import read_rule

    if chosen.against:
        return _against(chosen)
    settings = Settings(chosen_settings(chosen.settings)[0])
    pipelines = load_pipelines(settings.pipelines_file, settings)
    read_rule(settings)
    entries = [*pipelines.alone.values(), *(fleet.template for fleet in pipelines.fleets.values())]
    noted = {p.name: list(notes(p, pipelines.fleets.get(p.name))) for p in entries}
    if chosen.json:
        show_json(
            [
                {"pipeline": p.name, "blobs": p.blobs, "targets": [t.name for t in p.targets], "notes": noted[p.name]}
                for p in entries
            ]
        )
    elif not entries:
        tell(f"{settings.pipelines_file} does not have a pipeline yet")
    else:
        rows = [(p.name, p.blobs, ", ".join(target.name for target in p.targets)) for p in entries]
        show_table(("pipeline", "blobs", "targets"), rows)
        for note in (note for of_entry in noted.values() for note in of_entry):
            tell(note)
    return DONE


def _against(chosen: argparse.Namespace) -> int:
    """Judge the job once more by the file's gate. Nothing is trained, scored or recorded."""
    app = open_app(chosen)
    job = find_job(app.records, chosen.against)
    verdict = judged_now(app, job)
    pipeline = app.pipelines[job.pipeline]
    became = "accepted" if verdict.accepted else "rejected"
    if verdict.outcome is Outcome.UNDECIDED:
        became = {"keep": "rejected", "promote": "accepted", "ask": "awaiting approval"}[pipeline.gate.undecided]
    if became == "accepted" and pipeline.approval.required:
        became = "awaiting approval"
    if chosen.json:
        show_json({"job": job.id, "state": job.state, "then": job.verdict, "now": verdict, "would_be": became})
    else:
        facts = [
            *data_facts(job.parts),
            *(verdict_facts(job.verdict, "recorded") or [("recorded", "no verdict is recorded")]),
            *verdict_facts(verdict, "now"),
            ("a new job would be", became),
        ]
        show_facts(job.id, facts)
    return FAILED if became == "rejected" else DONE


def _schema(_: argparse.Namespace) -> int:
    print(json.dumps(schema(), indent=2))
    return DONE
