"""The flow from a finished BES job to a verdict: results are kept, the champion scores the same rows, the gate decides.

The rows are the training's held-out rows, as it gives them with the new model's scores. Few are scored by
request (RRS), many by a BES job of the predictive web service, whose id is recorded before it is started.
"""

import csv
import io
import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from typing import Any

import msgspec

from shared.base.errors import BadConfiguration, BadEvaluation, RetrainingError, ServiceUnavailable
from shared.base.retry import delay
from shared.base.suggestion import case_hint
from shared.base.threads import together
from shared.domain.champions import Champion
from shared.domain.evaluation import BYTES_AT_MOST, Evaluation, read_evaluation
from shared.domain.gate.decision import LiveModel, ScoredRows, judge
from shared.domain.gate.scored import read_champion_scored, read_scored
from shared.domain.gate.verdict import Outcome, Verdict
from shared.domain.jobs import Approval, ChampionScoring, HeldOut, JobState, Model, RetrainingJob, Telling
from shared.domain.logged_metrics import read_metrics
from shared.domain.pipelines import Pipeline
from shared.domain.ports import (
    BatchService,
    BlobReader,
    Cancelled,
    Endpoint,
    Endpoints,
    Failed,
    Finished,
    Models,
    NotStarted,
    Running,
    Staging,
    TrainingData,
)
from shared.domain.proof_rows import most_telling, scored_columns
from shared.domain.rows import Rows
from shared.domain.table import Table, Unreadable
from shared.flows.live import keep, live_model
from shared.store import Records
from shared.store.answers import KeptRows

log = logging.getLogger("relearn.judging")

BY_REQUEST = 1000  #: rows; more are scored by a BES job, where the service has some
FEW = 500  #: rows that are soon scored; of more, what a staged endpoint has answered is kept piece by piece
SCORE_SECONDS = 30.0  #: after which a step scores no further rows
IN_VAIN = 5  #: BES jobs of one judgement that may give nothing
LINK_SECONDS = 86400.0
BYTES_OF_ANSWERS = 64 << 20
REPLACED = "The champion was replaced while it scored the held-out rows"

_Judged = tuple[Verdict, Telling | None]  #: what the gate says, and the rows for the proof


@dataclass(frozen=True)
class JustRead:
    """What a run that took the results has for the verdict that follows, and need not read again."""

    champion: Champion
    held_out: KeptRows | None
    answered: Rows | None  #: what the first target answered for these rows meanwhile, whichever model it served


@dataclass(frozen=True)
class Judging:
    """`scoring` is the BES of the pipeline's first target, which is the one that is compared with."""

    records: Records
    data: TrainingData
    models: Models
    reader: Callable[[Pipeline], BlobReader]
    endpoints: Callable[[Pipeline], Endpoints]
    scoring: Callable[[Pipeline], BatchService]
    now: Callable[[], datetime]

    def take_results(
        self, job: RetrainingJob, pipeline: Pipeline, finished: Finished
    ) -> tuple[RetrainingJob, JustRead | None]:
        """Keep what the training gave, before the links to it expire."""
        training, results = pipeline.training, finished.results
        outputs = training.outputs
        for port in outputs:
            if port is not None and port not in results:
                hint = f"{case_hint(port, results)}its outputs are: {', '.join(sorted(results)) or 'none'}"
                reason = f"The {training.job_word} has no output {port!r}; {hint}"
                return job.end(JobState.FAILED, self.now(), reason), None
        reader = self.reader(pipeline)

        def take_rows() -> tuple[HeldOut, KeptRows, Rows | None] | None:
            if outputs.scored is None or pipeline.gate.label is None:
                return None
            content, gate = reader.read(results[outputs.scored]), pipeline.gate
            rows, total = read_scored(content, pipeline.gate.label, gate.rows_at_most, training.scored_columns)
            kept, answered = together(
                lambda: self.records.answers.keep_rows(rows),
                lambda: None if job.champion and outputs.champion else self._answered(pipeline, rows),
            )
            if job.champion and outputs.champion:
                theirs, label = reader.read(results[outputs.champion]), pipeline.gate.label
                answers = read_champion_scored(rows, total, theirs, label, gate.rows_at_most, training.scored_columns)
                self.records.answers.keep(kept.digest, job.champion.sha256, answers)
                kept = KeptRows(kept.digest, rows)
            return HeldOut(digest=kept.digest, rows=len(rows.values), of=total), kept, answered

        def take_evaluation() -> Evaluation:
            if outputs.evaluation is not None:
                return read_evaluation(_whole(reader.read(results[outputs.evaluation]), BYTES_AT_MOST))
            needed = pipeline.gate.looks_at(has_rows=outputs.scored is not None)
            return read_metrics(finished.metrics or {}, training.metrics, needed, pipeline.gate.kind)

        # What takes longest comes first: this thread does it, and does not wait for another to begin it.
        taken, evaluation, model, champion = together(
            take_rows,
            take_evaluation,
            lambda: keep(self.models, reader, results[outputs.model]),
            lambda: self.records.champions.load(pipeline.name),
        )
        held_out, kept, answered = taken or (None, None, None)
        note = f"model {model.sha256[:12]}" + (f", {held_out.rows} of {held_out.of} held-out rows" if held_out else "")
        facts = {"model": model, "evaluation": evaluation, "held_out": held_out}
        return job.move_to(JobState.JUDGING, self.now(), note, **facts), JustRead(champion, kept, answered)

    def _answered(self, pipeline: Pipeline, rows: Rows) -> Rows | None:
        """Return what the first target answers, where few rows are asked for. After an error, the judgement asks."""
        try:
            endpoint = self.endpoints(pipeline)[pipeline.targets[0].name]
            if not pipeline.gate.needs_rows or endpoint.staging or len(rows.values) > FEW:
                return None
            return endpoint.score(_asked(pipeline, rows))
        except RetrainingError:
            return None

    def with_champion(self, job: RetrainingJob, pipeline: Pipeline) -> RetrainingJob:
        """Return the job with the live model, which its training scores the held-out rows with too.

        Where another model is live by the time of the judgement, that one is asked through its endpoint.
        """
        model = self._live(pipeline, self.records.champions.load(pipeline.name))
        return job.noting(self.now(), f"its training gets the champion {model.sha256[:12]}", champion=model)

    def judge(self, job: RetrainingJob, pipeline: Pipeline, just_read: JustRead | None = None) -> RetrainingJob:
        """Take the job to its verdict, or one step towards it."""
        assert job.model is not None, "a job is judged once its results are kept"
        evaluation = job.evaluation
        assert evaluation is not None, "a job is judged once its results are kept"
        champion = just_read.champion if just_read else self.records.champions.load(pipeline.name)
        kept = just_read.held_out if just_read else None
        if job.held_out is None or pipeline.gate.label is None or not pipeline.gate.needs_rows:
            live = LiveModel(model=judged_against(champion, pipeline), evaluation=champion.evaluation)
            return self._decided(job, pipeline, judge(pipeline.gate, evaluation, live))
        if kept is None and (rows := self.records.answers.rows(job.held_out.digest)):
            kept = KeptRows(job.held_out.digest, rows)
        if kept is None:
            raise BadEvaluation(f"The held-out rows of job {job.id} are gone from the records")
        held_out, scored = job.held_out, ScoredRows(rows=kept.rows, label=pipeline.gate.label)

        def judged(model: Model, answers: Rows) -> _Judged:
            known = champion.evaluation if champion.live and model in champion.live.models.values() else None
            live = LiveModel(model=model.sha256, evaluation=known, answers=answers)
            return judge(pipeline.gate, evaluation, live, scored), _telling(pipeline, scored.rows, answers)

        if pipeline.targets[0].batch_output and len(kept.rows.values) > BY_REQUEST:
            model = self._live(pipeline, champion)
            answers = None if kept.new else self.records.answers.load(kept.digest, model.sha256)
            if answers is None:
                return self._scored_by_job(job, pipeline, model, _asked(pipeline, kept.rows), held_out)
            return self._decided(job, pipeline, *judged(model, answers))
        answered = just_read.answered if just_read else None
        job, found = self._scored_by_request(job, pipeline, champion, kept, answered, judged)
        return self._decided(job, pipeline, *found) if found else job

    def _live(self, pipeline: Pipeline, champion: Champion, endpoint: Endpoint | None = None) -> Model:
        """Return what the first target serves; a model that the champion's record names is not looked up again."""
        target = pipeline.targets[0].name
        known = champion.live.models.values() if champion.live else ()
        endpoint = endpoint or self.endpoints(pipeline)[target]
        return live_model(self.models, self.reader(pipeline), target, endpoint, known)

    def _scored_by_request(
        self,
        job: RetrainingJob,
        pipeline: Pipeline,
        champion: Champion,
        kept: KeptRows,
        answered: Rows | None,
        judged: Callable[[Model, Rows], _Judged],
    ) -> tuple[RetrainingJob, _Judged | None]:
        """Return what the gate says, and the job, which notes who has scored the rows; None: not yet.

        The champion is the one of the record until the endpoint says, after it has scored, that it serves another. The
        gate judges while the endpoint is asked for that. Of several models of an endpoint only one that is there can
        be asked, so the endpoint is asked first which one is live. `answered` is what it has just answered.
        """
        target = pipeline.targets[0].name
        endpoint = self.endpoints(pipeline)[target]
        recorded = champion.live.models.get(target) if champion.live and not endpoint.staging else None
        model = recorded or self._live(pipeline, champion, endpoint)
        while True:
            known = None if kept.new else self.records.answers.load(kept.digest, model.sha256)
            answers = known or (answered if recorded else None) or self._answers(pipeline, endpoint, model, kept)
            if answers is None:
                return job, None
            if known is not None and recorded is None:
                return job, judged(model, answers)
            new = None if known else answers
            live, found = together(
                partial(self._confirmed, pipeline, champion, endpoint, model, kept.digest, new),
                partial(_unless_bad, judged, model, answers),
            )
            if live == model:
                break
            if recorded is None:
                raise ServiceUnavailable(REPLACED)
            model, recorded = live, None
        if isinstance(found, BadEvaluation):
            raise found
        return (self._noting(job, model, f"{target} scored them by request") if new else job), found

    def _confirmed(
        self, pipeline: Pipeline, champion: Champion, endpoint: Endpoint, model: Model, digest: str, new: Rows | None
    ) -> Model:
        """Return the model that is live; if it is still this one, keep its new answers.

        With several models at the endpoint, this model's own deployment has answered, live or not.
        """
        live = model if endpoint.staging else self._live(pipeline, champion, endpoint)
        if new and live == model:
            self.records.answers.keep(digest, model.sha256, new)
        return live

    def _answers(self, pipeline: Pipeline, endpoint: Endpoint, model: Model, kept: KeptRows) -> Rows | None:
        """Return what the model answers; None where there are many rows, and the next poll goes on."""
        asked, staging = _asked(pipeline, kept.rows), endpoint.staging
        if staging is None:
            return endpoint.score(asked)
        if len(asked.values) <= FEW:
            return staging.score_staged(model, asked)
        return self._answers_in_pieces(kept.digest, model, asked, staging)

    def _answers_in_pieces(self, digest: str, model: Model, asked: Rows, staging: Staging) -> Rows | None:
        """Ask piece by piece. What is answered is kept where the endpoint is busy, or this takes long."""
        until, part = self.now() + timedelta(seconds=SCORE_SECONDS), self.records.answers.part(digest, model.sha256)
        before = len(part.record.values)
        answers = part.record
        try:
            for piece in staging.score_pieces(model, asked, before):
                answers = Rows(piece.columns, [*answers.values, *piece.values])
                if self.now() > until and len(answers.values) < len(asked.values):
                    return None
        finally:
            if before < len(answers.values) < len(asked.values):
                self.records.answers.keep_part(part, answers)
        return answers

    def _scored_by_job(
        self, job: RetrainingJob, pipeline: Pipeline, model: Model, asked: Rows, held_out: HeldOut
    ) -> RetrainingJob:
        service, scoring = self.scoring(pipeline), job.scoring
        if scoring is None or scoring.model != model.sha256:
            name = f"{pipeline.name}/{job.id}.held-out.csv"
            self.data.put(name, _as_csv(asked))
            named = f"{job.id}-champion-{model.sha256[:8]}-{job.scored_in_vain + 1}"
            bes_job = service.submit(named, self.data.link_joined(name, LINK_SECONDS), {})
            note = f"BES job {bes_job} created: the champion {model.sha256[:12]} scores {held_out.rows} held-out rows"
            return job.noting(
                self.now(), note, scoring=ChampionScoring(model=model.sha256, bes_job=bes_job, begun=self.now())
            )
        if not scoring.started:
            service.start(scoring.bes_job)
            return job.noting(self.now(), "started", scoring=msgspec.structs.replace(scoring, started=True))
        match service.status(scoring.bes_job):
            case NotStarted() | Running():
                spent, limit = self.now() - scoring.begun, timedelta(seconds=pipeline.training.patience)
                if spent <= limit:
                    return job
                service.cancel(scoring.bes_job)
                return self._again(job, f"BES job {scoring.bes_job} had not scored the champion's rows after {limit}")
            case Failed(details):
                return self._again(job, f"The champion's scoring failed: {details}")
            case Cancelled():
                return self._again(job, f"BES job {scoring.bes_job} was cancelled")
            case Finished(results):
                port = pipeline.targets[0].batch_output
                if port is None or port not in results:
                    raise BadConfiguration(f"The scoring has no output {port!r}; it has: {', '.join(sorted(results))}")
                table = _read_csv(_whole(self.reader(pipeline).read(results[port]), BYTES_OF_ANSWERS))
                answers = scored_columns(table)
                if len(answers.values) != held_out.rows or not answers.columns:
                    return self._again(job, f"The champion's scoring gave {len(answers.values)} rows")
                if self._live(pipeline, self.records.champions.load(pipeline.name)) != model:
                    raise ServiceUnavailable(REPLACED)
                self.records.answers.keep(held_out.digest, model.sha256, answers)
                return self._noting(job, model, f"BES job {scoring.bes_job} scored them")

    def _again(self, job: RetrainingJob, trouble: str) -> RetrainingJob:
        """Return the job before its champion was scored, or its end: each BES job that runs looks well for a while."""
        now, tries = self.now(), job.scored_in_vain + 1
        if tries == IN_VAIN:
            return job.end(JobState.FAILED, now, f"The champion could not be scored in {tries} tries: {trouble}")
        waiting = job.waiting(now + delay(tries), now, trouble)
        return msgspec.structs.replace(waiting, scoring=None, scored_in_vain=tries)

    def _noting(self, job: RetrainingJob, model: Model, how: str) -> RetrainingJob:
        return job.noting(self.now(), f"the champion {model.sha256[:12]} has scored the same held-out rows: {how}")

    def _decided(
        self, job: RetrainingJob, pipeline: Pipeline, verdict: Verdict, telling: Telling | None = None
    ) -> RetrainingJob:
        assert job.model is not None, "only a job with a model is judged"
        now = self.now()
        facts: dict[str, Any] = {"verdict": verdict, "scoring": None}
        undecided = verdict.outcome is Outcome.UNDECIDED
        if verdict.outcome is Outcome.FAILS or (undecided and pipeline.gate.undecided == "keep"):
            reason = f"undecided, so the champion is kept: {verdict.reason}" if undecided else verdict.reason
            return job.end(JobState.REJECTED, now, reason, **facts)
        facts["telling"] = telling
        if not pipeline.approval.required and not (undecided and pipeline.gate.undecided == "ask"):
            reason = f"undecided, and promoted all the same: {verdict.reason}" if undecided else verdict.reason
            return job.move_to(JobState.ACCEPTED, now, reason, **facts)
        seen, former = verdict.seen_with(job.model.sha256), job.approval
        if former and former.approved and former.seen == seen:
            return job.move_to(JobState.ACCEPTED, now, f"approved by {former.by} on the same numbers", **facts)
        note = f"approval asked for, seen {seen}: {verdict.reason}"
        if former and former.approved:
            note = f"The approval of {former.by} is void, the numbers have changed; {note}"
        approval = Approval(seen=seen, asked_at=now, expires_at=now + timedelta(seconds=pipeline.approval.within))
        return job.move_to(JobState.AWAITING, now, note, **facts, approval=approval)


def _unless_bad(judged: Callable[[Model, Rows], _Judged], model: Model, answers: Rows) -> _Judged | BadEvaluation:
    """Return what the gate says, or what is wrong: of answers that may be another model's by now."""
    try:
        return judged(model, answers)
    except BadEvaluation as error:
        return error


def _asked(pipeline: Pipeline, rows: Rows) -> Rows:
    try:
        return rows.only(pipeline.rows.columns)
    except ValueError as error:
        raise BadEvaluation(
            f"The champion cannot be judged on the held-out rows: the output {pipeline.training.outputs.scored} "
            f"{error}; proof.rows has it, so the job's data lacks it or the experiment drops it"
        ) from None


def _telling(pipeline: Pipeline, rows: Rows, answers: Rows) -> Telling | None:
    """Return the rows for the proof; None where they lack a column that is asked for."""
    if not {*pipeline.rows.columns} <= {*rows.columns}:
        return None
    given = scored_columns(rows)
    places = most_telling(given, answers)
    return Telling(asked=rows.only(pipeline.rows.columns).at(places), given=given.at(places))


def judged_against(champion: Champion, pipeline: Pipeline) -> str | None:
    """Return the model whose kept metrics a job is judged against, or None where the baseline stands in."""
    if not pipeline.gate.compares or not champion.live or not champion.evaluation:
        return None
    model = champion.live.models.get(pipeline.targets[0].name)  # the target may be new
    return model.sha256 if model else None


def _whole(chunks: Iterator[bytes], at_most: int) -> bytes:
    table = bytearray()
    for chunk in chunks:
        table += chunk
        if len(table) > at_most:
            raise BadEvaluation(
                f"A table of metrics or scores is larger than {at_most} bytes: is its port the model's?"
            )
    return bytes(table)


def _as_csv(rows: Rows) -> bytes:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows([rows.columns, *rows.values])
    return text.getvalue().encode()


def _read_csv(content: bytes) -> Rows:
    try:
        table = Table("The table of the champion's scores", [content])
        return Rows(table.names, [*table.full_rows()])
    except Unreadable as error:
        raise BadEvaluation(error.message) from None
