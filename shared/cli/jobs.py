"""`jobs`, `job`: what became of each retraining."""

import argparse

from shared.cli.names import find_id, ids_of
from shared.cli.output import show_facts, show_json
from shared.cli.pages import add_page, one_of, show_page
from shared.cli.place import DONE, Commands, open_app
from shared.cli.views import JOBS, job_facts, job_rows
from shared.domain.jobs import JobState, RetrainingJob, pipeline_of
from shared.store import Records

STATES = "received, submitted, training, judging, awaiting approval, accepted, promoting, promoted, rejected, ..."


def add(commands: Commands) -> None:
    jobs = commands.add("jobs", _jobs, "the retrainings, those of the newest data first")
    jobs.add_argument("pipeline", nargs="?", metavar="PIPELINE|FLEET", help="only of this one")
    jobs.add_argument("--state", metavar="STATE", help=f"only those in this state: {STATES}")
    add_page(jobs, "job")

    job = commands.add("job", _job, "what happened to one retraining, step by step")
    add_job(job)


def add_job(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("job", metavar="JOB", help="its id, or the beginning or the end of it")


def find_job(records: Records, given: str) -> RetrainingJob:
    """Return the one job whose id is given, or begins or ends so."""
    if all(each.isalnum() or each == "-" for each in given) and (stored := records.jobs.load(given)):
        return stored.record
    return records.jobs.require(find_id(records.jobs.ids(), given, "job")).record


def _jobs(chosen: argparse.Namespace) -> int:
    one_of(chosen.state, JobState, "a state of a job")
    app = open_app(chosen)
    jobs = app.records.jobs

    def load(job_id: str) -> RetrainingJob | None:
        stored = jobs.load(job_id)
        return stored.record if stored and chosen.state in (None, stored.record.state.value) else None

    ids = ids_of(app, chosen.pipeline, jobs.ids, pipeline_of)
    return show_page(chosen, "job", ids, load, JOBS, job_rows)


def _job(chosen: argparse.Namespace) -> int:
    job = find_job(open_app(chosen).records, chosen.job)
    if chosen.json:
        show_json(job)
    else:
        show_facts(job.id, job_facts(job))
    return DONE
