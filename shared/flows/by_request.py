"""The champion scores the held-out rows by request (RRS), and the gate judges what it answers.

Few rows are scored as soon as they are read, while it is not known yet which model is live. A deployment of Azure
Machine Learning scores many of them piece by piece, over several polls.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial

from shared.base.errors import BadEvaluation, RetrainingError, ServiceUnavailable
from shared.base.threads import together
from shared.domain.champions import Champion
from shared.domain.gate.verdict import Verdict
from shared.domain.jobs import Model, Telling
from shared.domain.pipelines import Pipeline
from shared.domain.ports import BlobReader, BlobReference, Endpoint, Endpoints, Models, Staging
from shared.domain.rows import Rows
from shared.flows.live import live_model
from shared.store import Records
from shared.store.answers import KeptRows

FEW = 500  #: rows that are soon scored; of more, what a staged endpoint has answered is kept piece by piece
JUST_NAMED = timedelta(seconds=2)  #: after which the endpoint is asked again which model it serves
SCORE_SECONDS = 30.0  #: after which a step scores no further rows
REPLACED = "The champion was replaced while it scored the held-out rows"

Judged = tuple[Verdict, Telling | None]  #: what the gate says, and the rows for the proof


@dataclass(frozen=True)
class Compared:
    """Which champion the gate has compared with, and what it says. `keep` stores its answers, if they are new."""

    champion: Model
    found: Judged
    keep: Callable[[], None] | None = None


@dataclass(frozen=True)
class Answered:
    """What the first target answered for the held-out rows, and which model it named afterwards."""

    answers: Rows
    reference: BlobReference
    at: datetime


@dataclass(frozen=True)
class ByRequest:
    records: Records
    models: Models
    reader: Callable[[Pipeline], BlobReader]
    endpoints: Callable[[Pipeline], Endpoints]
    now: Callable[[], datetime]

    def answered(self, pipeline: Pipeline, rows: Rows) -> Answered | None:
        """Ask the first target for its answers, and then for its model.

        None for many rows and after an error: the judgement asks then.
        """
        try:
            endpoint = self.endpoints(pipeline)[pipeline.targets[0].name]
            if not pipeline.gate.needs_rows or endpoint.staging or len(rows.values) > FEW:
                return None
            answers, at = endpoint.score(asked(pipeline, rows)), self.now()
            return Answered(answers, endpoint.model(), at)
        except RetrainingError:
            return None

    def live(
        self,
        pipeline: Pipeline,
        champion: Champion,
        endpoint: Endpoint | None = None,
        reference: BlobReference | None = None,
    ) -> Model:
        """Return what the first target serves. `reference` is what it has just named, if it was asked already.

        A model that the champion's record names is not looked up again.
        """
        target = pipeline.targets[0].name
        known = champion.live.models.values() if champion.live else ()
        endpoint = endpoint or self.endpoints(pipeline)[target]
        return live_model(self.models, self.reader(pipeline), target, endpoint, known, reference)

    def compared(
        self,
        pipeline: Pipeline,
        champion: Champion,
        kept: KeptRows,
        answered: Answered | None,
        judged: Callable[[Model, Rows], Judged],
    ) -> Compared | None:
        """Return what the gate says of the champion's answers; None: it has not answered for all rows yet.

        The champion is the one of the record until the endpoint says, after it has scored, that it serves another. The
        gate judges while the endpoint is asked for that, unless `answered` has the model that it has just named. Of
        several models of an endpoint only one that is there can be asked, so the endpoint is asked first which one is
        live.
        """
        target = pipeline.targets[0].name
        endpoint = self.endpoints(pipeline)[target]
        recorded = champion.live.models.get(target) if champion.live and not endpoint.staging else None
        model = recorded or self.live(pipeline, champion, endpoint)
        while True:
            known = None if kept.new else self.records.answers.load(kept.digest, model.sha256)
            early = answered if recorded and known is None else None
            answers = known or (early.answers if early else self._answers(pipeline, endpoint, model, kept))
            if answers is None:
                return None
            if known is not None and recorded is None:
                return Compared(model, judged(model, answers))
            # It may have taken long to keep the candidate: another model may be live by now.
            reference = early.reference if early and abs(self.now() - early.at) <= JUST_NAMED else None
            live, found = together(
                partial(self._live_now, pipeline, champion, endpoint, model, reference),
                partial(_unless_bad, judged, model, answers),
            )
            if live == model:
                break
            if recorded is None:
                raise ServiceUnavailable(REPLACED)
            model, recorded = live, None
        keep = None if known else partial(self.records.answers.keep, kept.digest, model.sha256, answers)
        if isinstance(found, BadEvaluation):
            if keep:
                keep()
            raise found
        return Compared(model, found, keep)

    def _live_now(
        self, pipeline: Pipeline, champion: Champion, endpoint: Endpoint, model: Model, reference: BlobReference | None
    ) -> Model:
        """Return which model is live, now that this one has answered; `reference` is what the endpoint has just named.

        With several models at the endpoint, this model's own deployment has answered, live or not.
        """
        return model if endpoint.staging else self.live(pipeline, champion, endpoint, reference)

    def _answers(self, pipeline: Pipeline, endpoint: Endpoint, model: Model, kept: KeptRows) -> Rows | None:
        """Return what the model answers; None where there are many rows, and the next poll goes on."""
        wanted, staging = asked(pipeline, kept.rows), endpoint.staging
        if staging is None:
            return endpoint.score(wanted)
        if len(wanted.values) <= FEW:
            return staging.score_staged(model, wanted)
        return self._answers_in_pieces(kept.digest, model, wanted, staging)

    def _answers_in_pieces(self, digest: str, model: Model, wanted: Rows, staging: Staging) -> Rows | None:
        """Ask piece by piece. What is answered is kept where the endpoint is busy, or this takes long."""
        until, part = self.now() + timedelta(seconds=SCORE_SECONDS), self.records.answers.part(digest, model.sha256)
        before = len(part.record.values)
        answers = part.record
        try:
            for piece in staging.score_pieces(model, wanted, before):
                answers = Rows(piece.columns, [*answers.values, *piece.values])
                if self.now() > until and len(answers.values) < len(wanted.values):
                    return None
        finally:
            if before < len(answers.values) < len(wanted.values):
                self.records.answers.keep_part(part, answers)
        return answers


def asked(pipeline: Pipeline, rows: Rows) -> Rows:
    try:
        return rows.only(pipeline.rows.columns)
    except ValueError as error:
        raise BadEvaluation(
            f"The champion cannot be judged on the held-out rows: the output {pipeline.training.outputs.scored} "
            f"{error}; proof.rows has it, so the job's data lacks it or the experiment drops it"
        ) from None


def _unless_bad(judged: Callable[[Model, Rows], Judged], model: Model, answers: Rows) -> Judged | BadEvaluation:
    """Return what the gate says, or what is wrong: of answers that may be another model's by now."""
    try:
        return judged(model, answers)
    except BadEvaluation as error:
        return error
