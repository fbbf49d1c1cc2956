"""`compare`: a candidate against the champion it was judged against, as a table and as a picture."""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from shared.cli.looking import add_job, find_job
from shared.cli.output import Cell, short, show_facts, show_json, show_table, tell
from shared.cli.place import DONE, FAILED, NOTHING, Stopped, add_common, open_app

if TYPE_CHECKING:
    from shared.app import App
    from shared.cli.curves import Curve
    from shared.evaluation import Evaluation
    from shared.jobs import RetrainingJob
    from shared.rows import Rows


def add(commands: Any) -> None:
    compare = commands.add_parser("compare", help="a job's model against the champion, as a table and as a picture")
    add_job(compare)
    compare.add_argument(
        "--svg",
        type=Path,
        metavar="FILE",
        help="draw what both answered for the held-out rows: ROC, residuals or confusion, by what was learnt",
    )
    add_common(compare)
    compare.set_defaults(run=_compare)


@dataclass(frozen=True)
class Compared:
    """`champion` is the SHA-256 of the model compared with; `theirs` its metrics when it was promoted: other rows."""

    job: RetrainingJob
    champion: str | None
    theirs: Evaluation | None

    @property
    def metrics(self) -> list[dict[str, float | str | None]]:
        ours = self.job.evaluation.metrics if self.job.evaluation else {}
        rows: list[dict[str, float | str | None]] = []
        for name, text in ours.items():
            theirs = self.theirs.value(name) if self.theirs else None
            rows.append({"metric": name, "candidate": float(text), "champion": theirs})
        return rows


def _compare(chosen: argparse.Namespace) -> int:
    app = open_app(chosen)
    job = find_job(app.records, chosen.job)
    if job.model is None:
        raise Stopped(f"job {job.id} is {job.state.value} and has no model to compare", NOTHING)
    compared = _compared(app, job)
    if chosen.json:
        findings = job.verdict.findings if job.verdict else ()
        show_json(
            {
                "job": job.id,
                "state": job.state,
                "candidate": job.model.sha256,
                "champion": compared.champion,
                "outcome": job.verdict.outcome if job.verdict else None,
                "same_rows": job.verdict.same_rows if job.verdict else 0,
                "findings": findings,
                "metrics": compared.metrics,
            }
        )
    else:
        _show(compared)
    if chosen.svg:
        _draw(app, compared, chosen.svg)
    return DONE


def _compared(app: App, job: RetrainingJob) -> Compared:
    live = app.records.champion(job.pipeline).live
    champion = job.verdict.champion if job.verdict else None
    if champion is None and live and live.job != job.id and len({*live.models.values()}) == 1:
        champion = next(iter(live.models.values())).sha256
    theirs = None
    for entry, _ in app.records.entries(job.pipeline) if champion else ():
        if entry.evaluation and champion in {model.sha256 for model in entry.models.values()}:
            theirs = entry.evaluation
    return Compared(job, champion, theirs)


def _show(compared: Compared) -> None:
    from shared.cli.views import data_facts, state, verdict_facts

    job = compared.job
    facts = [
        ("state", state(job)),
        ("candidate", job.model.sha256 if job.model else ""),
        ("champion", compared.champion or "none is known: the gate's baseline stands in"),
        *data_facts(job.parts),
        *verdict_facts(job.verdict),
    ]
    show_facts(job.id, facts)
    print()
    if job.verdict and any(finding.candidate is not None for finding in job.verdict.findings):
        show_table(
            ("rule", "candidate", "champion", "bound", "less the bound, within", "outcome"),
            map(_row, job.verdict.findings),
        )
        print()
    metrics = [
        (str(each["metric"]), _number(each["candidate"]), _number(each["champion"]), _difference(each))
        for each in compared.metrics
    ]
    show_table(("metric of its own held-out rows", "candidate", "champion", "difference"), metrics)


def _row(finding: Any) -> tuple[Cell, ...]:
    style = {"holds": "green", "fails": "red"}.get(finding.outcome.value, "yellow")
    rule = f"{finding.rule}, {finding.slice}" if finding.slice else finding.rule
    within = f"[{finding.interval[0]:.4f}, {finding.interval[1]:.4f}]" if finding.interval else ""
    numbers = (_number(each) for each in (finding.candidate, finding.champion, finding.bound))
    return (rule, *numbers, within, (finding.outcome.value, style))


def _number(value: Any) -> str:
    return f"{value:.4f}" if value is not None else ""


def _difference(metric: dict[str, Any]) -> str:
    return f"{metric['candidate'] - metric['champion']:+.4f}" if metric["champion"] is not None else ""


def _draw(app: App, compared: Compared, file: Path) -> None:
    from shared.cli.pictures import draw

    job = compared.job
    rows, curves = _curves(app, compared)
    against = f"against {short(compared.champion)}" if compared.champion and len(curves) > 1 else "alone"
    try:
        file.write_text(draw(f"{job.id} {against}", rows, curves), "utf-8")
    except ValueError as error:
        raise Stopped(f"job {job.id} cannot be drawn: {error}", FAILED) from None
    except OSError as error:
        raise Stopped(f"{file} cannot be written: {error.strerror}", FAILED) from None
    if len(curves) == 1:
        tell("the champion's answers for these rows are not in the records: the candidate is drawn alone")
    tell(f"drawn in {file}")


def _curves(app: App, compared: Compared) -> tuple[int, list[Curve]]:
    """Return how many rows there are and, on these same rows, the candidate's curve and the champion's if known."""
    from shared.cli.curves import curves

    job = compared.job
    pipeline = app.pipelines.get(job.pipeline)
    label = pipeline.gate.label if pipeline else None
    rows = app.answers.rows(job.held_out.digest) if job.held_out else None
    if rows is None or job.held_out is None or label is None:
        raise Stopped(
            f"job {job.id} has no held-out rows to draw; name the port that gives them in training.scored, and their "
            "label in checks.label or gate.label",
            NOTHING,
        )
    answers: list[Rows] = [rows]
    if compared.champion and (theirs := app.answers.of(job.held_out.digest, compared.champion)):
        answers.append(theirs)
    try:
        return len(rows.values), curves([cell for [cell] in rows.only([label]).values], answers)
    except ValueError as error:
        raise Stopped(f"job {job.id} cannot be drawn: {error}", FAILED) from None
