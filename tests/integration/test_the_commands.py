"""`python -m shared` against Azurite and the local Studio: what it shows, does, refuses, and finds wrong."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
import requests
import yaml
from sklearn import metrics

from local.azurite import KEY
from local.children import ROOT
from local.datasets import LABEL, as_csv, with_a_short_row
from local.workplace import PIPELINE, Workplace
from shared.cli.place import DONE, FAILED, NOTHING, USAGE, WAITING
from shared.domain.arrivals import ArrivalState
from shared.domain.jobs import JobState
from shared.domain.messages import Asked, Request
from shared.domain.rows import Rows
from tests.support.flow import Flow
from tests.support.terminal import SETTINGS, CommandLine, screen
from tests.support.waiting import until


@pytest.fixture(scope="module")
def flow(place: Workplace, tmp_path_factory: pytest.TempPathFactory) -> Flow:
    """A pipeline that asks for approvals, with two promoted jobs."""
    folder = tmp_path_factory.mktemp("commands")
    flow = Flow(place)
    for rows in (400, 450):
        job = flow.finish(flow.drop(f"{rows}.csv", as_csv(place.header, place.rows[:rows])))
        assert job.state is JobState.PROMOTED, job.reason
    return Flow(place, {"PIPELINES_FILE": str(changed_file(folder, lambda entry: approving(entry)))})


def approving(entry: dict[str, Any]) -> None:
    entry["approval"] = {"required": True}


def changed_file(folder: Path, change: Callable[[dict[str, Any]], None]) -> Path:
    body = yaml.safe_load((ROOT / "pipelines.sample.yaml").read_text("utf-8"))
    entry = body["pipelines"][PIPELINE]
    entry["proof"]["rows"] = str(ROOT / entry["proof"]["rows"])
    change(entry)
    file = folder / "pipelines.yaml"
    file.write_text(yaml.safe_dump(body), "utf-8")
    return file


@dataclass
class Terminal(CommandLine):
    flow: Flow


@pytest.fixture
def terminal(flow: Flow, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Terminal:
    settings = {**flow.place.settings, "PIPELINES_FILE": str(flow.app.settings.pipelines_file)}
    return Terminal(settings, tmp_path, capsys, flow)


def test_status_jobs_job_history_and_verify_agree_on_what_is_live(terminal: Terminal) -> None:
    [status] = terminal.json("status")
    jobs = terminal.json("jobs", PIPELINE)["jobs"]
    promoted = [job for job in jobs if job["id"] == status["live"]["job"]]
    assert promoted[0]["state"] == "promoted"
    assert terminal.json("job", promoted[0]["id"][-10:]) == promoted[0]
    history = terminal.json("history", PIPELINE)
    assert [entry["live"] for entry in history] == [False] * (len(history) - 1) + [True]
    [verified] = terminal.json("verify")
    assert (verified["whole"], verified["head"]) == (True, history[-1]["sha256"])
    day = history[0]["at"][:10]
    assert terminal.json("history", PIPELINE, "--on", day)[0]["number"] == 1

    _, told, _ = terminal.run("history", PIPELINE, "--on", "2100-01-01")
    data = promoted[0]["parts"][0]
    for each in (promoted[0]["id"], data["sha256"], data["dataset"]["path"], "AUC 0.99", "PROVEN", "✓ AUC"):
        assert each in told


def test_pages_of_jobs_follow_each_other(terminal: Terminal) -> None:
    every = [job["id"] for job in terminal.json("jobs")["jobs"]]
    first = terminal.json("jobs", "--limit", "1")
    assert ([first["jobs"][0]["id"]], first["more"]) == (every[:1], True)
    assert [job["id"] for job in terminal.json("jobs", "--before", every[0])["jobs"]] == every[1:]


@pytest.mark.parametrize(
    ("command", "code", "told"),
    [
        (("job", "nobody"), NOTHING, "there is no job nobody"),
        (("jobs", "--state", "failed"), NOTHING, "there is no such job"),
        (("history", "bike"), NOTHING, f"'bike' has no history; pipelines that have: {PIPELINE}"),
        (("history", PIPELINE, "--on", "2020-01-01"), NOTHING, "nothing was recorded as live"),
        (("verify", PIPELINE, "--head", "00"), FAILED, "no entry has the SHA-256 00"),
        (("retrain", "bike"), NOTHING, f"there is no pipeline 'bike'; the pipelines are: {PIPELINE}"),
        (("replay", PIPELINE, "gone.csv"), NOTHING, "there is no blob gone.csv"),
        (("rollback", PIPELINE, "--to", "99"), FAILED, f"Pipeline {PIPELINE} has no entry 99"),
        (("rollback", PIPELINE, "--model", "00000000"), FAILED, "The model 00000000 is not kept any more"),
        (("doctor", "bike"), NOTHING, "there is no pipeline 'bike'"),
    ],
)
def test_what_is_not_there_or_refused_is_one_line_and_a_code(
    terminal: Terminal, command: tuple[str, ...], code: int, told: str
) -> None:
    ended, _, err = terminal.run(*command)
    assert ended == code
    assert told in err
    assert len(err.splitlines()) == 1


def test_a_rollback_and_a_promotion_by_command_are_proven_and_in_the_history(terminal: Terminal) -> None:
    flow = terminal.flow
    before, live = flow.answers(), flow.champion.live
    assert live is not None
    code, out, _ = terminal.run("rollback", PIPELINE, "--by", "ann", "--reason", "wrong labels", "--yes")
    assert code == DONE
    assert "done: entry" in out
    assert "PROVEN" in out
    assert flow.answers()["classic"] != before["classic"]
    assert flow.champion.live is not None
    assert "asked for by ann; wrong labels" in flow.champion.live.reason

    shown = terminal.json("promote", str(live.job), "--by", "ann", "--yes")
    assert shown["outcome"].startswith("done: entry")
    assert shown["entry"]["job"] == live.job
    assert flow.answers() == before
    assert terminal.json("verify", PIPELINE)[0]["whole"]


@pytest.mark.parametrize("command", ["rollback", "promote", "retrain"])
def test_a_change_is_shown_and_asked_for_before_it_is_made(terminal: Terminal, command: str) -> None:
    flow = terminal.flow
    what = job_of(terminal, "400.csv") if command == "promote" else PIPELINE
    before = (flow.champion, flow.answers(), terminal.json("jobs")["jobs"])
    code, out, err = terminal.run(command, what, "--by", "ann")
    assert (code, "give --yes to do it, or --dry-run to look only" in err) == (USAGE, True)
    code, out, err = terminal.run(command, what, "--by", "ann", "--dry-run")
    assert (code, "nothing was changed" in err) == (DONE, True)
    assert "400.csv" in out or command == "retrain"
    assert terminal.json(command, what, "--by", "ann", "--dry-run")["dry_run"] is True
    arguments = ("-m", "shared", command, what, "--by", "ann", "--settings", str(terminal.folder / SETTINGS))
    assert any("nothing was changed" in line for line in screen(80, *arguments, answer="n\n"))
    assert (flow.champion, flow.answers(), terminal.json("jobs")["jobs"]) == before


def test_a_person_who_agrees_on_the_terminal_has_it_done(terminal: Terminal) -> None:
    flow = terminal.flow
    last = flow.champion.last
    terminal.run("status")
    arguments = ("-m", "shared", "rollback", PIPELINE, "--by", "ann", "--settings", str(terminal.folder / SETTINGS))
    shown = screen(80, *arguments, answer="y\n")
    assert any("make this model live? [y/N]" in line for line in shown)
    assert any("done: entry" in line for line in shown), shown
    assert flow.champion.last == last + 1
    terminal.run("promote", job_of(terminal, "450.csv"), "--by", "ann", "--yes")


def test_a_job_is_judged_by_changed_rules_and_nothing_is_recorded(terminal: Terminal) -> None:
    job = job_of(terminal, "450.csv")
    before = terminal.json("job", job)
    code, out, _ = terminal.run("check", "--against", job[-10:])
    assert (code, out.count("✓ AUC 0.99")) == (DONE, 4)
    gate = {"rules": ["AUC >= 0.99999", "AUC >= champion - 0.01"]}
    file = str(changed_file(terminal.folder, lambda entry: entry["gate"].update(gate)))
    code, out, _ = terminal.run("check", "--against", job, PIPELINES_FILE=file)
    assert (code, "a new job would be  rejected" in out, "✗ AUC" in out) == (FAILED, True, True)
    shown = json.loads(terminal.run("check", "--against", job, "--json", PIPELINES_FILE=file)[1])
    assert (shown["then"]["outcome"], shown["now"]["outcome"]) == ("holds", "fails")
    assert shown["now"]["same_rows"] == shown["then"]["same_rows"] > 0
    assert terminal.json("job", job) == before


def test_a_command_that_finds_another_run_at_work_changes_nothing_and_says_so(terminal: Terminal) -> None:
    last = terminal.flow.champion.last
    with terminal.flow.app.records.champions.hold(PIPELINE):
        code, _, err = terminal.run("rollback", PIPELINE, "--by", "ann", "--tries", "1", "--yes")
    assert code == WAITING
    assert "another run holds the lease; no endpoint was touched for this, so ask again" in err
    assert terminal.flow.champion.last == last


def test_a_change_that_a_service_broke_off_is_told_of_and_finished_by_the_app(terminal: Terminal) -> None:
    flow = terminal.flow
    place, last = flow.place, flow.champion.last
    fault = {"kind": "unavailable", "operation": "classic.update", "count": 1}
    requests.post(f"{place.studio.control}/faults", json=fault, timeout=10).raise_for_status()
    code, out, err = terminal.run("rollback", PIPELINE, "--by", "ann", "--tries", "1", "--json", "--yes")
    assert code == WAITING
    assert json.loads(out)["exit"] == WAITING
    assert "the change is begun, and the app's timer finishes it" in err
    [status] = terminal.json("status")
    assert status["change"]["to"]["number"] == last + 1
    flow.app.flows.requests.carry_out(Request(pipeline=PIPELINE, action=Asked.RESUME), "the timer's")
    [status] = terminal.json("status")
    assert (status["change"], status["live"]["number"]) == (None, last + 1)


def test_an_approval_is_bound_to_what_was_shown(terminal: Terminal) -> None:
    flow = terminal.flow
    terminal.run("promote", job_of(terminal, "450.csv"), "--by", "ann", "--yes")
    code, out, _ = terminal.run("retrain", PIPELINE, "--parameter", "Regularization weight=2", "--by", "ann", "--yes")
    assert code == DONE
    job = out.split()[-1]
    wait(flow, job, JobState.AWAITING)
    assert f"approve or reject {job}" in terminal.json("status")[0]["attention"][0]
    assert "approve it instead" in terminal.run("promote", job, "--by", "ann", "--yes")[2]

    code, out, err = terminal.run("approve", job, "--by", "ann")
    assert (code, "give --seen DIGEST, or --yes" in err) == (USAGE, True)
    assert "✓ AUC" in out
    code, _, err = terminal.run("approve", job, "--by", "ann", "--seen", "5f0c2d3e4b1a6978")
    assert (code, "awaits an approval of other numbers" in err) == (FAILED, True)

    approval = terminal.json("job", job)["approval"]
    shown = terminal.json("approve", job, "--by", "ann", "--comment", "looks right", "--seen", approval["seen"])
    assert shown["outcome"] == f"job {job} is accepted"
    code, _, err = terminal.run("reject", job, "--by", "bob", "--yes")
    assert (code, "awaits no approval" in err) == (FAILED, True)
    assert terminal.run("promote", job, "--by", "ann", "--yes")[0] == DONE
    assert flow.champion.live is not None
    assert flow.champion.live.approval is not None
    assert (flow.champion.live.approval.by, flow.champion.live.approval.comment) == ("ann", "looks right")


def test_a_job_is_rejected_or_cancelled_by_command_and_stays_so(terminal: Terminal) -> None:
    flow = terminal.flow
    terminal.run("promote", job_of(terminal, "450.csv"), "--by", "ann", "--yes")
    parameters = [f"Regularization weight={weight}" for weight in (3, 4)]
    asked = [terminal.json("retrain", PIPELINE, "--parameter", each, "--yes") for each in parameters]
    rejected, cancelled = (each["outcome"].split()[-1] for each in asked)
    wait(flow, rejected, JobState.AWAITING)
    assert terminal.run("reject", rejected, "--by", "ann", "--comment", "no", "--yes")[0] == DONE
    assert terminal.run("cancel", cancelled, "--by", "ann", "--reason", "not needed")[0] == DONE
    flow.poll()
    assert flow.job(rejected).reason == "rejected by ann: no"
    assert flow.job(cancelled).reason == "cancelled by ann: not needed"
    code, _, err = terminal.run("cancel", str(flow.champion.live and flow.champion.live.job), "--by", "ann")
    assert (code, "roll back instead" in err) == (FAILED, True)


def test_quarantined_data_is_taken_up_again_by_command(terminal: Terminal) -> None:
    flow = terminal.flow
    path = flow.place.drop("broken.csv", with_a_short_row(flow.place.header, flow.place.rows))
    assert flow.arrive(path) == []
    code, out, _ = terminal.run("replay", PIPELINE, path, "--by", "ann")
    assert (code, "taken up again as arrival" in out) == (DONE, True)
    flow.arrive(path)
    states = [each.state for each in flow.arrivals() if each.dataset.path == path]
    assert states == [ArrivalState.QUARANTINED, ArrivalState.QUARANTINED]


def test_status_shows_the_poll_the_last_data_and_what_waits(terminal: Terminal) -> None:
    flow = terminal.flow
    path = flow.place.drop("short.csv", with_a_short_row(flow.place.header, flow.place.rows[1:]))
    flow.arrive(path)
    flow.poll()
    [shown] = terminal.json("status", PIPELINE)
    assert shown["polled_at"] is not None
    assert (shown["last_data"]["path"], shown["last_data"]["state"]) == (path, "quarantined")
    _, out, _ = terminal.run("status")
    assert out.startswith("the app polls; last noted at ")
    assert f"{path} was set aside: data show {shown['last_data']['id'][-16:]}" in out


def test_data_is_listed_by_state_in_pages_and_shown_with_its_columns_and_drift(terminal: Terminal) -> None:
    flow = terminal.flow
    path = flow.place.drop("ragged.csv", with_a_short_row(flow.place.header, flow.place.rows[2:]))
    flow.arrive(path)
    every = terminal.json("data", PIPELINE)["data"]
    assert every == sorted(every, key=lambda each: each["id"], reverse=True)
    aside = terminal.json("data", PIPELINE, "--state", "quarantined")["data"]
    assert aside == [each for each in every if each["state"] == "quarantined"]
    page = terminal.json("data", "--limit", "1")
    assert (page["data"], page["more"]) == (every[:1], True)
    assert terminal.json("data", "--before", every[0]["id"][-10:])["data"] == every[1:]

    shown = terminal.json("data", "show", next(each["id"][-10:] for each in every if each["state"] == "taken"))
    assert shown["compared_with"] is not None
    columns = {each["name"]: each for each in shown["columns"]}
    assert set(columns) == set(flow.place.header)
    assert columns[LABEL]["type"] == "text"
    assert columns["mean radius"]["type"] == "number"
    assert 0 <= columns["mean radius"]["drift"] < 0.1
    for name in (path, "ragged.csv"):
        _, out, _ = terminal.run("data", "show", name)
        assert "quarantined" in out
        assert "values where the header has" in out
    code, _, err = terminal.run("data", "show", "nobody.csv")
    assert (code, "there is no record of data nobody.csv" in err) == (NOTHING, True)
    code, _, err = terminal.run("data", "--state", "lost")
    assert (code, "write one of: gone, moving, quarantined" in err) == (USAGE, True)


def test_what_became_of_requests_is_listed_the_newest_first(terminal: Terminal) -> None:
    requests = [terminal.json("replay", PIPELINE, terminal.flow.place.drop(f"{n}.csv", b"x\n")) for n in "ab"]
    shown = terminal.json("requests", PIPELINE, "--limit", "2")["requests"]
    assert {each["request"] for each in shown} == {each["request"] for each in requests}
    assert shown[0]["at"] >= shown[1]["at"]
    _, out, _ = terminal.run("requests", "--limit", "1")
    assert shown[0]["outcome"] in out
    assert terminal.run("requests", "bike")[0] == NOTHING


def test_candidate_and_champion_are_compared_and_drawn_on_the_same_rows(terminal: Terminal) -> None:
    second = job_of(terminal, "450.csv")
    job = terminal.flow.job(second)
    assert job.verdict is not None
    assert job.held_out is not None
    assert job.verdict.champion is not None
    shown = terminal.json("compare", second)
    assert (shown["champion"], shown["rows"]) == (job.verdict.champion, job.held_out.rows)
    answers = terminal.flow.app.records.answers
    candidate, champion = answers.rows(job.held_out.digest), answers.of(job.held_out.digest, job.verdict.champion)
    assert candidate is not None
    assert champion is not None
    truth = [cell for [cell] in candidate.only([LABEL]).values]
    ours, theirs = by_scikit_learn(truth, candidate), by_scikit_learn(truth, champion)
    assert ours != theirs
    expected = [(name, ours[name], theirs[name], ours[name] - theirs[name]) for name in ours]
    for each, row in zip(shown["metrics"], expected, strict=True):
        assert tuple(each.values()) == pytest.approx(row, abs=1e-9)
    file = terminal.folder / "roc.svg"
    code, out, err = terminal.run("compare", second, "--svg", str(file))
    assert (code, f"drawn in {file}" in err) == (DONE, True)
    head, *table = [re.split(r"\s{2,}", line.strip()) for line in out.splitlines()[-1 - len(expected) :]]
    assert head[0] == f"metric on the same {job.held_out.rows} held-out rows"
    assert table == [[name, f"{a:.4f}", f"{b:.4f}", f"{c:+.4f}"] for name, a, b, c in expected]
    told = ElementTree.parse(file).getroot().findtext("{http://www.w3.org/2000/svg}desc") or ""
    aucs = f"candidate AUC {ours['AUC']:.4f}, champion AUC {theirs['AUC']:.4f}"
    assert told == f"ROC on the same {job.held_out.rows} held-out rows: {aucs}"


def by_scikit_learn(truth: list[str], answers: Rows) -> dict[str, float]:
    """Return the metrics of an evaluation table; the positive class is the last in the alphabet."""
    labels, chances = zip(*answers.only(["Scored Labels", "Scored Probabilities"]).values, strict=True)
    positive, scores = max(truth), [float(chance) for chance in chances]
    return {
        "Accuracy": metrics.accuracy_score(truth, labels),
        "Precision": metrics.precision_score(truth, labels, pos_label=positive),
        "Recall": metrics.recall_score(truth, labels, pos_label=positive),
        "F-Score": metrics.f1_score(truth, labels, pos_label=positive),
        "AUC": metrics.roc_auc_score([each == positive for each in truth], scores),
        "Average Log Loss": metrics.log_loss(truth, scores),
    }


def test_without_the_champions_answers_each_is_told_by_its_own_rows(terminal: Terminal) -> None:
    job = terminal.flow.job(job_of(terminal, "450.csv"))
    assert job.verdict is not None
    assert job.held_out is not None
    assert job.evaluation is not None
    blob = f"answers/{job.held_out.digest}/{job.verdict.champion}.json"
    store = terminal.flow.place.blobs.get_blob_client("retraining", blob)
    content = store.download_blob().readall()
    store.delete_blob()
    try:
        shown = terminal.json("compare", job.id)
        _, out, err = terminal.run("compare", job.id, "--svg", str(terminal.folder / "roc.svg"))
    finally:
        store.upload_blob(content)
    assert shown["rows"] == 0
    assert {each["metric"]: each["candidate"] for each in shown["metrics"]} == {
        name: float(text) for name, text in job.evaluation.metrics.items()
    }
    assert "metric of its own held-out rows, the champion's of other rows" in out
    assert "the candidate is drawn alone" in err


def test_rows_that_cannot_be_read_leave_the_table_and_stop_the_picture(terminal: Terminal) -> None:
    job = job_of(terminal, "450.csv")
    file = str(changed_file(terminal.folder, lambda entry: entry.update(gate={**entry["gate"], "label": "nowhere"})))
    told = "The scored rows have no column 'nowhere'"
    code, out, err = terminal.run("compare", job, PIPELINES_FILE=file)
    assert (code, f"not compared on the same rows: {told}" in err) == (DONE, True)
    assert "the champion's of other rows" in out
    code, out, err = terminal.run("compare", job, "--svg", str(terminal.folder / "roc.svg"), PIPELINES_FILE=file)
    assert (code, out, told in err) == (FAILED, "", True)


def test_the_commands_run_as_a_program_with_the_environment_alone(flow: Flow) -> None:
    kept = {name: value for name, value in os.environ.items() if name in ("PATH", "SYSTEMROOT", "HOME")}
    command = [sys.executable, "-m", "shared", "status", "--json"]
    done = subprocess.run(
        command, cwd=ROOT, env={**kept, **flow.place.settings}, capture_output=True, text=True, check=True
    )
    assert json.loads(done.stdout)[0]["pipeline"] == PIPELINE


def doctored(terminal: Terminal, **settings: str | None) -> dict[str, dict[str, str]]:
    """Return what the doctor finds to be wrong or suspicious, by what it is."""
    code, out, _ = terminal.run("doctor", "--json", **settings)
    findings = json.loads(out)
    assert code == (FAILED if any(each["health"] == "wrong" for each in findings) else DONE)
    bad = {each["what"]: each for each in findings if each["health"] != "ok"}
    assert all(each["remedy"] for each in bad.values())
    return bad


def test_the_doctor_finds_nothing_wrong_where_all_is_well_and_leaves_nothing_behind(terminal: Terminal) -> None:
    place = terminal.flow.place
    containers = {each.name for each in place.blobs.list_containers()}
    blobs = set(place.blobs.get_container_client("retraining").list_blob_names())
    assert set(doctored(terminal)) == {"timers of the app"}  # which do not run here
    assert set(place.blobs.get_container_client("retraining").list_blob_names()) == blobs
    assert {each.name for each in place.blobs.list_containers()} == containers
    _, out, err = terminal.run("doctor", "--all", PIPELINE)
    assert f"pipelines.{PIPELINE}.training.model" in out
    assert "1 to look at, 0 wrong" in err


TRAINING = f"pipelines.{PIPELINE}.training"
CLASSIC, NEW = f"pipelines.{PIPELINE}.targets (classic)", f"pipelines.{PIPELINE}.targets (new)"


def test_the_doctor_tells_a_wrong_key_of_each_service_from_a_wrong_address(terminal: Terminal) -> None:
    found = doctored(
        terminal,
        BREAST_CANCER_TRAINING_KEY="WRONG1KEY",
        BREAST_CANCER_CLASSIC_KEY="WRONG1KEY",
        ARM_TOKEN="WRONG1KEY",
        BREAST_CANCER_NEW_SCORING_ADDRESS=f"{terminal.flow.place.settings['BREAST_CANCER_NEW_SCORING_ADDRESS'][:-4]}0000",
    )
    for what in (TRAINING, CLASSIC, f"{CLASSIC}.scoring", NEW):
        assert "answered 401" in found[what]["told"], what
        assert "copy the key again" in found[what]["remedy"]
    assert "answered 404" in found[f"{NEW}.scoring"]["told"]
    assert f"correct {NEW}.scoring.address" in found[f"{NEW}.scoring"]["remedy"]


def test_the_doctor_finds_wrong_names_of_ports_parameters_resources_and_assets(terminal: Terminal) -> None:
    def misname(entry: dict[str, Any]) -> None:
        entry["training"] |= {"model": "outptu1", "scored": "output9", "parameters": {"Regularisation": "1"}}
        entry["targets"][0] |= {"resource": "Breast cancer [Trained Model]"}
        entry["targets"][1] |= {"asset": "Breast"}
        entry["targets"][0]["scoring"]["output"] = "output2"

    found = doctored(terminal, PIPELINES_FILE=str(changed_file(terminal.folder, misname)))
    assert found[f"{TRAINING}.model"]["remedy"] == "did you mean 'output1'?"
    assert "no output 'output9'" in found[f"{TRAINING}.scored"]["told"]
    assert "no global parameter 'Regularisation'" in found[f"{TRAINING}.parameters"]["told"]
    assert "it has: Breast cancer [trained model]" in found[CLASSIC]["told"]
    assert "has no asset 'Breast' of type Resource" in found[NEW]["told"]
    assert "no output 'output2'" in found[f"{CLASSIC}.scoring.output"]["told"]


def test_the_doctor_finds_what_is_wrong_with_settings_and_storage(terminal: Terminal) -> None:
    place = terminal.flow.place
    found = doctored(
        terminal,
        TRAINING_DATA_PATH="nowhere/{name}",
        RETRAINING_STORE=place.settings["RETRAINING_STORE"].replace(KEY, "d3Jvbmc="),
        PROMOTIONS_QUEUE="nobody",
        POLL_SCHEDULE="often",
        BREAST_CANCER_NEW_KEY="@Microsoft.KeyVault(SecretUri=https://vault.example/x)",
        PIPELINES_FILE="nowhere.yaml",
    )
    assert "has no container nowhere" in found["storage TRAINING_DATA"]["told"]
    assert "az storage container create --name nowhere" in found["storage TRAINING_DATA"]["remedy"]
    assert "403" in found["storage RETRAINING_STORE"]["told"]
    assert "is not there yet" in found["queue nobody"]["told"]
    assert "six fields" in found["setting POLL_SCHEDULE"]["remedy"]
    assert "nowhere.yaml does not exist" in found["pipelines file"]["told"]
    assert "was not resolved" in doctored(terminal, PROMOTIONS="@Microsoft.KeyVault(x)")["setting PROMOTIONS"]["told"]


def test_the_doctor_notices_a_foreign_model_and_a_rollback_holds_only_for_what_it_found_live(
    terminal: Terminal,
) -> None:
    app, before = terminal.flow.app, terminal.flow.answers()
    app.endpoints_of(app.pipelines[PIPELINE])["classic"].update(app.models.link(other(terminal)), lambda _: None)
    assert "and the history says" in doctored(terminal)[f"{CLASSIC}, live model"]["told"]
    code, _, err = terminal.run("rollback", PIPELINE, "--by", "ann", "--yes")
    assert (code, "is not live any more" in err) == (FAILED, True)
    assert terminal.run("rollback", PIPELINE, "--by", "ann", "--yes")[0] == DONE
    assert terminal.flow.answers() == before
    assert f"{CLASSIC}, live model" not in doctored(terminal)


def other(terminal: Terminal) -> Any:
    """Return a kept model that is not the live one."""
    live = terminal.flow.champion.live
    assert live is not None
    entries = [entry for entry, _ in terminal.flow.app.records.champions.entries(PIPELINE)]
    return next(entry.models["classic"] for entry in entries if entry.models != live.models)


def job_of(terminal: Terminal, name: str) -> str:
    """Return the first job on this data."""
    jobs = [job for job in terminal.json("jobs")["jobs"] if job["dataset"]["path"].endswith(name)]
    return str(min(jobs, key=lambda job: job["received_at"])["id"])


def wait(flow: Flow, job: str, state: JobState) -> None:
    def reached() -> bool:
        flow.poll()
        return flow.job(job).state is state

    until(reached, lambda: flow.job(job))
