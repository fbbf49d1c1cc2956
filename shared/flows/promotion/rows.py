"""Finds the rows that show which of two models answers."""

import logging

from shared.domain.jobs import Model, RetrainingJob
from shared.domain.pipelines import Pipeline
from shared.domain.proof_rows import most_telling, scored_columns
from shared.domain.rows import Rows
from shared.store import Records

log = logging.getLogger("relearn.promotion")


def rows_to_prove(
    records: Records, pipeline: Pipeline, job: RetrainingJob | None, champion: Model | None
) -> tuple[Rows, Rows | None]:
    """Return the rows to prove the job's model on, and what it answers for the last of them, if that is known.

    They are those of the configuration and the held-out rows that candidate and champion differ most on.
    """
    kept = pipeline.rows
    if job and job.telling and _was_champion(job, champion) and job.telling.asked.columns == kept.columns:
        return Rows(kept.columns, kept.values + job.telling.asked.values), job.telling.given
    table = records.answers.rows(job.held_out.digest) if job and job.held_out else None
    if table is None or job is None or job.held_out is None:
        return kept, None
    try:
        asked, given = table.only(kept.columns), scored_columns(table)
    except ValueError as error:
        log.warning("Job %s: its held-out rows cannot be scored for the proof: the table %s", job.id, error)
        return kept, None
    places = most_telling(given, records.answers.load(job.held_out.digest, champion.sha256) if champion else None)
    return Rows(kept.columns, kept.values + asked.at(places).values), given.at(places)


def _was_champion(job: RetrainingJob, champion: Model | None) -> bool:
    """Return whether the job was compared with this model, which may not be recorded yet, on the same rows."""
    if job.verdict is None or not job.verdict.same_rows:
        return False
    return champion is None or job.verdict.champion == champion.sha256
