"""`jobs`, `job`: what became of each retraining."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from shared.cli.names import add_page, after, find_id, fleet_of, known, page
from shared.cli.output import show_facts, show_json, show_table, tell
from shared.cli.place import DONE, NOTHING, USAGE, Stopped, add_common, open_app

if TYPE_CHECKING:
    from shared.app import App
    from shared.domain.jobs import RetrainingJob
    from shared.store import Records

STATES = "received, submitted, training, judging, awaiting approval, accepted, promoting, promoted, rejected, ..."


def add(commands: Any) -> None:
    jobs = commands.add_parser("jobs", help="the retrainings, those of the newest data first")
    jobs.add_argument("pipeline", nargs="?", metavar="PIPELINE|FLEET")
    jobs.add_argument("--state", metavar="STATE", help=f"only those in this state: {STATES}")
    add_page(jobs, "job")
    add_common(jobs)
    jobs.set_defaults(run=_jobs)

    job = commands.add_parser("job", help="what happened to one retraining, step by step")
    add_job(job)
    add_common(job)
    job.set_defaults(run=_job)


def add_job(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("job", metavar="JOB", help="its id, or the beginning or the end of it")


def find_job(records: Records, given: str) -> RetrainingJob:
    """Return the one job whose id is given, or begins or ends so."""
    if all(each.isalnum() or each == "-" for each in given) and (stored := records.jobs.load(given)):
        return stored.record
    return records.jobs.require(find_id(records.jobs.ids(), given, "job")).record


def _jobs(chosen: argparse.Namespace) -> int:
    from shared.cli.views import JOBS, job_rows
    from shared.domain.jobs import JobState

    states = {state.value for state in JobState}
    if chosen.state and chosen.state not in states:
        raise Stopped(f"{chosen.state!r} is not a state of a job; write one of: {', '.join(sorted(states))}", USAGE)
    app = open_app(chosen)
    ids = after(_ids(app, chosen.pipeline), chosen.before, "job")

    def load(job_id: str) -> RetrainingJob | None:
        stored = app.records.jobs.load(job_id)
        return stored.record if stored and chosen.state in (None, stored.record.state.value) else None

    found = page(ids, load, chosen.limit)
    more = next(ids, None) is not None
    if chosen.json:
        show_json({"jobs": found, "more": more})
    elif found:
        show_table(JOBS, job_rows(found), below="why")
        if more:
            tell(f"there are more; go on with --before {found[-1].id}")
    if not found:
        if not chosen.json:
            tell("there is no such job")
        return NOTHING
    return DONE


def _ids(app: App, name: str | None) -> list[str]:
    """Return the ids of the jobs of all, of a pipeline, or of all members of a fleet."""
    from shared.domain.jobs import pipeline_of

    ids = app.records.jobs.ids(name)
    if name is None or ids or known(app, name) not in app.pipelines.fleets:
        return ids
    return [each for each in app.records.jobs.ids() if fleet_of(pipeline_of(each), [name])]


def _job(chosen: argparse.Namespace) -> int:
    from shared.cli.views import job_facts

    job = find_job(open_app(chosen).records, chosen.job)
    if chosen.json:
        show_json(job)
    else:
        show_facts(job.id, job_facts(job))
    return DONE
