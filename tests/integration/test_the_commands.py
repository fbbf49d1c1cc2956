"""`python -m shared` against Azurite and the local Studio: what it shows, and refuses."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from xml.etree import ElementTree

import pytest
from rich.cells import cell_len
from sklearn import metrics

from local.children import ROOT
from local.datasets import LABEL, with_a_short_row
from local.workplace import PIPELINE
from shared.cli.place import DONE, FAILED, NOTHING, USAGE
from shared.domain.rows import Rows
from tests.support.commands import Terminal, changed_file, job_of
from tests.support.terminal import SETTINGS, screen


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

    _, said, _ = terminal.run("history", PIPELINE, "--on", "2100-01-01")
    data = promoted[0]["parts"][0]
    for each in (promoted[0]["id"], data["sha256"], data["dataset"]["path"], "AUC 0.99", "PROVEN", "✓ AUC"):
        assert each in said


def test_pages_of_jobs_follow_each_other(terminal: Terminal) -> None:
    every = [job["id"] for job in terminal.json("jobs")["jobs"]]
    first = terminal.json("jobs", "--limit", "1")
    assert ([first["jobs"][0]["id"]], first["more"]) == (every[:1], True)
    assert [job["id"] for job in terminal.json("jobs", "--before", every[0])["jobs"]] == every[1:]


@pytest.mark.parametrize(
    ("command", "code", "said"),
    [
        (("job", "nobody"), NOTHING, "the job nobody does not exist"),
        (("jobs", "--state", "failed"), NOTHING, "recorded jobs matches"),
        (("history", "bike"), NOTHING, f"'bike' has no history; pipelines that have: {PIPELINE}"),
        (("history", PIPELINE, "--on", "2020-01-01"), NOTHING, "nothing was recorded as live"),
        (("verify", PIPELINE, "--head", "00"), FAILED, "no entry has the SHA-256 00"),
        (("retrain", "bike"), NOTHING, f"the pipeline 'bike' does not exist; the pipelines are: {PIPELINE}"),
        (("replay", PIPELINE, "gone.csv"), NOTHING, "the blob gone.csv does not exist"),
        (("rollback", PIPELINE, "--to", "99"), FAILED, f"Pipeline {PIPELINE} has no entry 99"),
        (("rollback", PIPELINE, "--model", "00000000"), FAILED, "The model 00000000 is not kept any more"),
        (("doctor", "bike"), NOTHING, "the pipeline 'bike' does not exist"),
    ],
)
def test_what_is_not_there_or_refused_is_one_line_and_a_code(
    terminal: Terminal, command: tuple[str, ...], code: int, said: str
) -> None:
    ended, _, err = terminal.run(*command)
    assert ended == code
    assert said in err
    assert len(err.splitlines()) == 1


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


def test_status_shows_the_poll_the_last_data_and_what_waits(terminal: Terminal) -> None:
    flow = terminal.flow
    path = flow.place.drop("short.csv", with_a_short_row(flow.place.header, flow.place.rows[1:]))
    flow.arrive(path)
    flow.poll()
    [shown] = terminal.json("status", PIPELINE)
    assert shown["polled_at"] is not None
    assert (shown["last_data"]["path"], shown["last_data"]["state"]) == (path, "quarantined")
    _, out, _ = terminal.run("status")
    assert out.startswith("the app polls (recorded every 5 minutes, last at ")
    assert f"{path} was set aside: data show {shown['last_data']['id'][-10:]}" in out


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
    assert (code, "data nobody.csv is not recorded" in err) == (NOTHING, True)
    code, _, err = terminal.run("data", "--state", "lost")
    assert (code, "write one of: gone, moving, quarantined" in err) == (USAGE, True)


def test_what_became_of_requests_is_listed_the_newest_first(terminal: Terminal) -> None:
    requests = [terminal.json("replay", PIPELINE, terminal.flow.place.drop(f"{n}.csv", b"x\n"), "--yes") for n in "ab"]
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
    candidate, champion = answers.rows(job.held_out.digest), answers.load(job.held_out.digest, job.verdict.champion)
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
    said = ElementTree.parse(file).getroot().findtext("{http://www.w3.org/2000/svg}desc") or ""
    aucs = f"candidate AUC {ours['AUC']:.4f}, champion AUC {theirs['AUC']:.4f}"
    assert said == f"ROC on the same {job.held_out.rows} held-out rows: {aucs}"


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


def test_without_the_champions_answers_each_is_measured_on_its_own_rows(terminal: Terminal) -> None:
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
    said = "The scored rows have no column 'nowhere'"
    code, out, err = terminal.run("compare", job, PIPELINES_FILE=file)
    assert (code, f"not compared on the same rows: {said}" in err) == (DONE, True)
    assert "the champion's of other rows" in out
    code, out, err = terminal.run("compare", job, "--svg", str(terminal.folder / "roc.svg"), PIPELINES_FILE=file)
    assert (code, out, said in err) == (FAILED, "", True)


def test_the_commands_run_as_a_program_with_the_environment_alone(terminal: Terminal) -> None:
    kept = {name: value for name, value in os.environ.items() if name in ("PATH", "SYSTEMROOT", "HOME")}
    command = [sys.executable, "-m", "shared", "status", "--json"]
    done = subprocess.run(
        command, cwd=ROOT, env={**kept, **terminal.flow.place.settings}, capture_output=True, text=True, check=True
    )
    assert json.loads(done.stdout)[0]["pipeline"] == PIPELINE


#: one program that runs several commands, each after its own line
SEVERAL = """
import json, sys
from shared.__main__ import main
for command in json.loads(sys.argv[1]):
    print("next command", flush=True)
    main(command)
"""


def screens(columns: int, commands: list[tuple[str, ...]]) -> list[list[str]]:
    """Return the lines that each command shows on a terminal of this width."""
    shown: list[list[str]] = []
    for line in screen(columns, "-c", SEVERAL, json.dumps(commands)):
        if line == "next command":
            shown.append([])
        else:
            shown[-1].append(line)
    return shown


@pytest.mark.parametrize("columns", [80, 100, 120, 200])
def test_every_list_is_whole_on_a_terminal_of_this_width(terminal: Terminal, columns: int) -> None:
    jobs, data = terminal.json("jobs")["jobs"], terminal.json("data")["data"]
    [verified], live = terminal.json("verify"), terminal.flow.champion.live
    assert live is not None
    expected = {
        ("status",): [PIPELINE, f"entry {live.number}, ", data[0]["dataset"]["path"], data[0]["state"]],
        ("jobs",): [
            cell for job in jobs for cell in (job["id"][-10:], job["state"], job["dataset"]["path"], job["reason"])
        ],
        ("history", PIPELINE): [f"{live.number} ← live", str(live.job)[-10:], live.reason, live.action.value],
        ("data",): [cell for each in data for cell in (each["id"][-10:], each["state"], each["dataset"]["path"])],
        ("verify",): [PIPELINE, "whole", verified["head"]],
        ("check",): [PIPELINE, f"{PIPELINE}/*.csv", "classic, new"],
    }
    settings = ("--settings", str(terminal.folder / SETTINGS))
    for (command, cells), lines in zip(
        expected.items(), screens(columns, [(*each, *settings) for each in expected]), strict=True
    ):
        assert max(map(cell_len, lines)) <= columns, command
        whole = "".join("".join(lines).split())
        for cell in ("".join(each.split()) for each in cells if each):
            # What is folded within its column has the other cells of its line between its two parts.
            parts = [(cell[:cut], cell[cut:]) for cut in range(len(cell))]
            assert any(first in whole and second in whole for first, second in parts), (command, cell)


def test_every_table_shows_the_last_ten_digits_of_an_id_and_commands_take_them(terminal: Terminal) -> None:
    path = terminal.json("data")["data"][0]["dataset"]["path"]
    assert terminal.run("replay", PIPELINE, path, "--yes")[0] == DONE
    records = {command: terminal.json(command)[command] for command in ("jobs", "data", "requests")}
    for command, found in records.items():
        ids = [each.get("id") or each["request"] for each in found]
        _, *rows = screen(200, "-m", "shared", command, "--settings", str(terminal.folder / SETTINGS))
        shown = [row.split()[0] for row in rows if not row.startswith(" ")]
        assert shown == [each[-10:] for each in ids], command
        taken = [each["job"] for each in found if each.get("state") == "taken"]
        assert all(any(f"in job {job[-10:]}" in row for row in rows) for job in taken)
        rest = terminal.json(command, "--before", shown[0]) if len(ids) > 1 else {command: []}
        assert rest[command] == found[1:], command
