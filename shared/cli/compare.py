"""`compare`: a candidate against the champion it was judged against, as a table and as a picture."""

from __future__ import annotations

import argparse
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from shared.base.errors import BadConfiguration, BadEvaluation
from shared.cli.jobs import add_job, find_job
from shared.cli.output import Cell, Fact, short, show_facts, show_json, show_table, tell
from shared.cli.place import DONE, FAILED, NOTHING, Commands, Stopped, open_app
from shared.cli.views import OUTCOMES, data_facts, styled, verdict_facts
from shared.domain.evaluation import Evaluation
from shared.domain.gate.decision import LiveModel, ScoredRows, judge
from shared.domain.gate.verdict import Finding, Verdict
from shared.domain.jobs import RetrainingJob

if TYPE_CHECKING:
    from shared.app import App
    from shared.domain.gate.metrics import Answered


def add(commands: Commands) -> None:
    compare = commands.add("compare", _compare, "a job's model against the champion, as a table and as a picture")
    add_job(compare)
    compare.add_argument(
        "--svg",
        type=Path,
        metavar="FILE",
        help="draw both on the held-out rows: the ROC curve, the residuals or the confusion matrix",
    )


@dataclass(frozen=True)
class Compared:
    """`champion` is the SHA-256 of the model compared with; `theirs` its metrics when it was promoted: other rows.

    `models` are what the candidate and, if it is in the records, the champion answered for the same held-out rows.
    """

    job: RetrainingJob
    champion: str | None
    theirs: Evaluation | None
    models: Sequence[Answered]

    @property
    def rows(self) -> int:
        """How many held-out rows both answered."""
        return len(self.models[0].truth) if len(self.models) > 1 else 0

    @property
    def metrics(self) -> list[dict[str, Any]]:
        """Of both on the same rows, if there are any, else each by its own evaluation."""
        if self.rows:
            from shared.domain.gate.sample import metrics_of

            ours, theirs = map(metrics_of, self.models)
        else:
            ours, theirs = _numbers(self.job.evaluation), _numbers(self.theirs)
        return [
            {
                "metric": name,
                "candidate": value,
                "champion": theirs.get(name),
                "difference": value - theirs[name] if name in theirs else None,
            }
            for name, value in ours.items()
        ]


def _numbers(evaluation: Evaluation | None) -> dict[str, float]:
    return {name: float(text) for name, text in evaluation.metrics.items()} if evaluation else {}


def _compare(chosen: argparse.Namespace) -> int:
    app = open_app(chosen)
    job = find_job(app.records, chosen.job)
    if job.model is None:
        raise Stopped(f"job {job.id} is {job.state.value} and has no model to compare", NOTHING)
    compared = _compared(app, job, must_have_rows=bool(chosen.svg))
    if chosen.svg:
        _draw(compared, chosen.svg)
    if chosen.json:
        show_json(
            {
                "job": job.id,
                "state": job.state,
                "candidate": job.model.sha256,
                "champion": compared.champion,
                "outcome": job.verdict.outcome if job.verdict else None,
                "same_rows": job.verdict.same_rows if job.verdict else 0,
                "findings": job.verdict.findings if job.verdict else (),
                "rows": compared.rows,
                "metrics": [{name: _finite(value) for name, value in each.items()} for each in compared.metrics],
            }
        )
    else:
        _show(compared)
    return DONE


def _finite(value: Any) -> Any:
    """JSON has no other numbers."""
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _compared(app: App, job: RetrainingJob, must_have_rows: bool) -> Compared:
    champion, theirs = _champion_of(app, job)
    models: Sequence[Answered] = ()
    try:
        models = _answered(app, job, champion)
    except (BadConfiguration, BadEvaluation) as error:
        if must_have_rows:
            raise
        tell(f"not compared on the same rows: {error}")
    return Compared(job, champion, theirs, models)


def _champion_of(app: App, job: RetrainingJob) -> tuple[str | None, Evaluation | None]:
    """Return the model that the job was judged against, else the live one, and its metrics when it was promoted."""
    live = app.records.champions.load(job.pipeline).live
    champion = job.verdict.champion if job.verdict else None
    if champion is None and live and live.job != job.id and len({*live.models.values()}) == 1:
        champion = next(iter(live.models.values())).sha256
    theirs = None
    for entry, _ in app.records.champions.entries(job.pipeline) if champion else ():
        if entry.evaluation and champion in {model.sha256 for model in entry.models.values()}:
            theirs = entry.evaluation
    return champion, theirs


def _answered(app: App, job: RetrainingJob, champion: str | None) -> Sequence[Answered]:
    """Return what the candidate and, if it is in the records, the champion answered for the held-out rows, if any."""
    rows = app.records.answers.rows(job.held_out.digest) if job.held_out else None
    pipeline = app.pipelines.get(job.pipeline) if rows else None
    if job.held_out is None or rows is None or pipeline is None or pipeline.gate.label is None:
        return ()
    from shared.domain.gate.answers import read_answers

    theirs = app.records.answers.load(job.held_out.digest, champion) if champion else None
    return read_answers(rows, pipeline.gate.label, theirs, pipeline.gate.kind)[1]


def judged_now(app: App, job: RetrainingJob) -> Verdict:
    """Return what the gate of the pipelines file says of the job, by what the records have of it."""
    if job.evaluation is None:
        raise Stopped(f"job {job.id} is {job.state.value} and has no evaluation to judge", NOTHING)
    if job.pipeline not in app.pipelines:
        raise Stopped(f"the pipelines file has no entry {job.pipeline!r}, whose gate would judge job {job.id}", NOTHING)
    gate = app.pipelines[job.pipeline].gate
    champion, evaluation = _champion_of(app, job)
    rows = app.records.answers.rows(job.held_out.digest) if job.held_out and gate.label and gate.needs_rows else None
    answers = app.records.answers.load(job.held_out.digest, champion) if job.held_out and rows and champion else None
    if rows and gate.compares and answers is None:
        tell("the records have no answers of the champion for this job's rows: judged by numbers from different rows")
    live = LiveModel(model=champion, evaluation=evaluation, answers=answers)
    return judge(gate, job.evaluation, live, ScoredRows(rows=rows, label=gate.label) if rows and gate.label else None)


def _show(compared: Compared) -> None:
    job = compared.job
    facts: list[Fact] = [
        ("state", styled(job.state)),
        ("candidate", job.model.sha256 if job.model else ""),
        ("champion", compared.champion or "not known; the gate uses its baseline"),
        *data_facts(job.parts),
        *verdict_facts(job.verdict),
    ]
    show_facts(job.id, facts)
    print()
    if job.verdict and any(finding.candidate is not None for finding in job.verdict.findings):
        show_table(
            ("rule", "candidate", "champion", "bound", "candidate - bound", "outcome"), map(_row, job.verdict.findings)
        )
        print()
    metrics = [
        (each["metric"], _number(each["candidate"]), _number(each["champion"]), _number(each["difference"], "+"))
        for each in compared.metrics
    ]
    show_table((_heading(compared), "candidate", "champion", "difference"), metrics)


def _heading(compared: Compared) -> str:
    if compared.rows:
        return f"metric on the same {compared.rows:,} held-out rows"
    return "metric of its own held-out rows" + (", the champion's of other rows" if compared.theirs else "")


def _row(finding: Finding) -> tuple[Cell, ...]:
    rule = f"{finding.rule}, {finding.slice}" if finding.slice else finding.rule
    within = f"[{finding.interval[0]:.4f}, {finding.interval[1]:.4f}]" if finding.interval else ""
    numbers = (_number(each) for each in (finding.candidate, finding.champion, finding.bound))
    return (rule, *numbers, within, (finding.outcome.value, OUTCOMES[finding.outcome][1]))


def _number(value: float | None, sign: str = "") -> str:
    return f"{value:{sign}.4f}" if value is not None else ""


def _draw(compared: Compared, file: Path) -> None:
    from shared.cli.curves import curve
    from shared.cli.pictures import draw

    job, models = compared.job, compared.models
    if not models:
        raise Stopped(
            f"job {job.id} has no held-out rows to draw; name the port that gives them in training.scored, and their "
            "label in checks.label or gate.label",
            NOTHING,
        )
    against = f"against {short(compared.champion)}" if compared.champion and compared.rows else "alone"
    try:
        file.write_text(draw(f"{job.id} {against}", len(models[0].truth), [*map(curve, models)]), "utf-8")
    except ValueError as error:
        raise Stopped(f"job {job.id} cannot be drawn: {error}", FAILED) from None
    except OSError as error:
        raise Stopped(f"{file} cannot be written: {error.strerror}", FAILED) from None
    if not compared.rows:
        tell("the champion's answers for these rows are not in the records: the candidate is drawn alone")
    tell(f"drawn in {file}")
