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
from typing import Any

import msgspec

from shared.base.errors import BadConfiguration, BadEvaluation, ServiceUnavailable
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
    Endpoints,
    Failed,
    Finished,
    Models,
    NotStarted,
    Running,
    TrainingData,
)
from shared.domain.proof_rows import most_telling, scored_columns
from shared.domain.rows import Rows
from shared.domain.table import Table, Unreadable
from shared.flows.by_request import FEW, REPLACED, Answered, ByRequest, Judged, asked
from shared.flows.live import keep
from shared.store import Records
from shared.store.answers import KeptRows

log = logging.getLogger("relearn.judging")

BY_REQUEST = 1000  #: rows; more are scored by a BES job, where the service has some
IN_VAIN = 5  #: BES jobs of one judgement that may give nothing
LINK_SECONDS = 86400.0
BYTES_OF_ANSWERS = 64 << 20


@dataclass(frozen=True)
class JustRead:
    """What a run that took the results has for the verdict that follows, and need not read again."""

    champion: Champion
    held_out: KeptRows | None
    answered: Answered | None  #: for these rows, meanwhile, by whichever model was live


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

    @property
    def _by_request(self) -> ByRequest:
        return ByRequest(self.records, self.models, self.reader, self.endpoints, self.now)

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
        by_rows = outputs.scored is not None and pipeline.gate.label is not None and pipeline.gate.needs_rows

        def take_rows() -> tuple[HeldOut, KeptRows, Answered | None] | None:
            if outputs.scored is None or pipeline.gate.label is None:
                return None
            content, gate = reader.read(results[outputs.scored]), pipeline.gate
            rows, total = read_scored(content, pipeline.gate.label, gate.rows_at_most, training.scored_columns)
            kept, answered = together(
                lambda: self._kept(pipeline, rows),
                lambda: None if job.champion and outputs.champion else self._by_request.answered(pipeline, rows),
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

        def take_numbers() -> tuple[Evaluation, Champion]:
            # Where rows are compared, the endpoint says which model is live, also if another process wrote the record.
            return take_evaluation(), self.records.champions.look(pipeline.name, recent=by_rows).stored.record

        # What takes longest comes first: this thread does it, and does not wait for another to begin it.
        taken, (evaluation, champion), model = together(
            take_rows, take_numbers, lambda: keep(self.models, reader, results[outputs.model])
        )
        held_out, kept, answered = taken or (None, None, None)
        note = f"model {model.sha256[:12]}" + (f", {held_out.rows} of {held_out.of} held-out rows" if held_out else "")
        facts = {"model": model, "evaluation": evaluation, "held_out": held_out}
        return job.move_to(JobState.JUDGING, self.now(), note, **facts), JustRead(champion, kept, answered)

    def _kept(self, pipeline: Pipeline, rows: Rows) -> KeptRows:
        """Store the rows, and have the gate draw from them while the champion scores them."""
        kept = self.records.answers.keep_rows(rows)
        if pipeline.gate.needs_rows:
            from shared.domain.gate.bootstrap import draw_ahead

            draw_ahead(len(rows.values))
        return kept

    def with_champion(self, job: RetrainingJob, pipeline: Pipeline) -> RetrainingJob:
        """Return the job with the live model, which its training scores the held-out rows with too.

        Where another model is live by the time of the judgement, that one is asked through its endpoint.
        """
        model = self._by_request.live(pipeline, self.records.champions.load(pipeline.name))
        return job.noting(self.now(), f"its training gets the champion {model.sha256[:12]}", champion=model)

    def judge(
        self,
        job: RetrainingJob,
        pipeline: Pipeline,
        just_read: JustRead | None = None,
        beside: list[Callable[[], None]] | None = None,
    ) -> RetrainingJob:
        """Take the job to its verdict, or one step towards it.

        `beside` gets what may be written at the same time as the job; without it, that is written before.
        """
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

        def judged(model: Model, answers: Rows) -> Judged:
            known = champion.evaluation if champion.live and model in champion.live.models.values() else None
            live = LiveModel(model=model.sha256, evaluation=known, answers=answers)
            return judge(pipeline.gate, evaluation, live, scored), _telling(pipeline, scored.rows, answers)

        if pipeline.targets[0].batch_output and len(kept.rows.values) > BY_REQUEST:
            model = self._by_request.live(pipeline, champion)
            answers = None if kept.new else self.records.answers.load(kept.digest, model.sha256)
            if answers is None:
                return self._scored_by_job(job, pipeline, model, asked(pipeline, kept.rows), held_out)
            return self._decided(job, pipeline, *judged(model, answers))
        answered = just_read.answered if just_read else None
        compared = self._by_request.compared(pipeline, champion, kept, answered, judged)
        if compared is None:
            return job
        if compared.keep:
            if beside is None or len(kept.rows.values) > FEW:
                compared.keep()
            else:
                beside.append(compared.keep)
            job = self._noting(job, compared.champion, f"{pipeline.targets[0].name} scored them by request")
        return self._decided(job, pipeline, *compared.found)

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
                if self._by_request.live(pipeline, self.records.champions.load(pipeline.name)) != model:
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


def _telling(pipeline: Pipeline, rows: Rows, answers: Rows) -> Telling | None:
    """Return the rows for the proof; None where they lack a column that is asked for."""
    if not {*pipeline.rows.columns} <= {*rows.columns}:
        return None
    given = scored_columns(rows)
    places = most_telling(given, answers)
    return Telling(asked=rows.at(places).only(pipeline.rows.columns), given=given.at(places))


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
