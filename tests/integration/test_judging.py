"""Champion and candidate are judged on the same held-out rows, scored by both."""

from __future__ import annotations

from itertools import count
from pathlib import Path

import pytest
from sklearn.metrics import roc_auc_score

from local.datasets import as_csv
from local.workplace import PIPELINE, Workplace
from shared.domain.gate.verdict import Outcome
from shared.domain.jobs import HeldOut, JobState, RetrainingJob
from shared.domain.messages import Command, Request
from shared.domain.rows import Rows
from shared.flows import judging
from studio.state.records import Job
from tests.support.crashing import wait_for_bes_jobs
from tests.support.dying import dying
from tests.support.flow import Flow, configured
from tests.support.waiting import until

ROWS = count(300, 3)
#: from "Finished" to the verdict; after each is a place to die
WRITES_AT_LEAST = 5


#: the gate's own numbers, and room for jobs that earlier tests have left
HERE = (("settle: 1s", "settle: 0.001s"), ("AUC >= 0.95", "AUC >= 0.5"), ("batch: each", "jobs: 9"))


@pytest.fixture
def flow(place: Workplace, tmp_path: Path) -> Flow:
    return Flow(place, configured(place, tmp_path, *HERE))


def dropped(flow: Flow) -> RetrainingJob:
    return flow.drop("new.csv", as_csv(flow.place.header, flow.place.rows[: next(ROWS)]))


def judged(flow: Flow, job: RetrainingJob) -> RetrainingJob:
    """Poll until the job has its verdict."""

    def has_verdict() -> bool:
        wait_for_bes_jobs(flow.place.studio.studio.folder)
        flow.poll()
        return flow.job(job.id).verdict is not None

    until(has_verdict, lambda: flow.job(job.id))
    return flow.job(job.id)


def auc(rows: Rows, answers: Rows) -> float:
    truth = [label == "malignant" for [label] in rows.only(["diagnosis"]).values]
    return float(roc_auc_score(truth, [float(p) for [p] in answers.only(["Scored Probabilities"]).values]))


def held_out_of(job: RetrainingJob) -> HeldOut:
    assert job.held_out is not None
    return job.held_out


def test_both_models_are_measured_on_the_rows_that_the_training_kept_back(flow: Flow) -> None:
    job = judged(flow, dropped(flow))
    verdict, held_out = job.verdict, held_out_of(job)
    assert verdict is not None
    assert verdict.champion is not None
    rows, champion = (
        flow.app.records.answers.rows(held_out.digest),
        flow.app.records.answers.load(held_out.digest, verdict.champion),
    )
    assert rows is not None
    assert champion is not None
    [finding] = [each for each in verdict.findings if each.champion is not None]
    assert finding.candidate == pytest.approx(auc(rows, rows))
    assert finding.champion == pytest.approx(auc(rows, champion))
    assert verdict.same_rows == len(rows.values) == held_out.rows
    assert finding.interval is not None
    assert finding.interval[0] < finding.interval[1]


def test_what_the_noise_leaves_open_is_asked_of_a_person_who_sees_the_numbers(place: Workplace, tmp_path: Path) -> None:
    changes = (
        ("AUC >= champion - 0.01", "Average Log Loss <= champion - 0.07"),
        ("undecided: promote", "undecided: ask"),
    )
    flow = Flow(place, configured(place, tmp_path, *HERE, *changes))
    # The new model is better by about 0.07, give or take some hundredths.
    job = judged(flow, dropped(flow))
    assert job.verdict is not None
    assert job.verdict.outcome is Outcome.UNDECIDED, job.verdict.reason
    assert job.state is JobState.AWAITING
    assert job.approval is not None
    approve = Request(pipeline=PIPELINE, action=Command.APPROVE, job=job.id, by="ann", seen=job.approval.seen)
    flow.app.flows.requests.carry_out(approve, "approval")
    assert flow.finish(job).state is JobState.PROMOTED
    live = flow.champion.live
    assert live is not None
    assert live.by == "ann"
    assert live.verdict == job.verdict


def test_many_rows_are_scored_by_a_bes_job_and_a_death_anywhere_starts_no_second_one(
    place: Workplace, flow: Flow, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(judging, "BY_REQUEST", 10)
    job = dropped(flow)
    wait_for_bes_jobs(place.studio.studio.folder)
    before = scorings(place)
    for after in range(1, 1000):
        with dying(after):
            flow.app.flows.training.poll()
        if flow.job(job.id).verdict:
            break
    assert after > WRITES_AT_LEAST
    assert scorings(place) == before + 1
    notes = [step.note for step in flow.job(job.id).steps]
    assert any(f"scores {held_out_of(flow.job(job.id)).rows} held-out rows" in note for note in notes)
    verdict = flow.job(job.id).verdict
    assert verdict is not None
    assert verdict.same_rows == held_out_of(flow.job(job.id)).rows


def scorings(place: Workplace) -> int:
    """Return how many BES jobs of the predictive web service were started."""
    return sum(
        each.queued is not None and str(each.inputs.get("input1")).find(".held-out.csv") > 0
        for each in place.studio.studio.records.all(Job)
    )


def test_when_the_champion_is_replaced_before_the_switch_the_candidate_is_judged_against_the_new_one(
    flow: Flow,
) -> None:
    first, second = dropped(flow), dropped(flow)
    judged(flow, first)
    judged(flow, second)
    for job in (first, second):
        flow.app.flows.requests.carry_out(Request(pipeline=PIPELINE, action=Command.PROMOTE, job=job.id), job.id)
    assert flow.job(first.id).state is JobState.PROMOTED
    assert flow.job(second.id).state is JobState.JUDGING
    done = flow.finish(second)
    live = flow.job(first.id).model
    assert live is not None
    assert done.verdict is not None
    assert done.verdict.champion == live.sha256
    assert f"The champion is another one now ({live.sha256[:12]})" in "\n".join(step.note for step in done.steps)
