"""`python -m shared` against Azurite and the local Studio: what people change and decide."""

from __future__ import annotations

import json

import pytest
import requests

from local.datasets import with_a_short_row
from local.workplace import PIPELINE
from shared.base.clock import SystemClock
from shared.cli.place import DONE, FAILED, USAGE, WAITING
from shared.domain.arrivals import ArrivalState
from shared.domain.jobs import JobState
from shared.domain.messages import Command, Request
from tests.support.commands import Terminal, job_of, wait
from tests.support.terminal import SETTINGS, screen


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


def test_a_command_that_finds_another_run_at_work_changes_nothing_and_says_so(terminal: Terminal) -> None:
    last = terminal.flow.champion.last
    champions = terminal.flow.app.records.champions
    with champions.hold(champions.look(PIPELINE), SystemClock().now):
        code, _, err = terminal.run("rollback", PIPELINE, "--by", "ann", "--tries", "1", "--yes")
    assert code == WAITING
    assert "another run holds the lease; no endpoint was touched for this, so ask again" in err
    assert terminal.flow.champion.last == last


def test_a_change_that_a_service_broke_off_is_reported_and_finished_by_the_app(terminal: Terminal) -> None:
    flow = terminal.flow
    place, last = flow.place, flow.champion.last
    fault = {"kind": "unavailable", "operation": "classic.update", "count": 1, "seconds": 60}
    requests.post(f"{place.studio.control}/faults", json=fault, timeout=10).raise_for_status()
    code, out, err = terminal.run("rollback", PIPELINE, "--by", "ann", "--tries", "1", "--json", "--yes")
    assert code == WAITING
    assert json.loads(out)["exit"] == WAITING
    assert "the change is begun, and the app's timer finishes it" in err
    [status] = terminal.json("status")
    assert status["change"]["to"]["number"] == last + 1
    flow.app.flows.requests.carry_out(Request(pipeline=PIPELINE, action=Command.RESUME), "the timer's")
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
    assert (code, "does not await an approval" in err) == (FAILED, True)
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
    before = flow.job(cancelled)
    assert "give --yes to do it" in terminal.run("cancel", cancelled, "--by", "ann")[2]
    assert terminal.json("cancel", cancelled, "--by", "ann", "--dry-run")["state"] == before.state.value
    assert flow.job(cancelled) == before
    wait(flow, rejected, JobState.AWAITING)
    assert terminal.run("reject", rejected, "--by", "ann", "--comment", "no", "--yes")[0] == DONE
    assert terminal.run("cancel", cancelled, "--by", "ann", "--reason", "not needed", "--yes")[0] == DONE
    flow.poll()
    assert flow.job(rejected).reason == "rejected by ann: no"
    assert flow.job(cancelled).reason == "cancelled by ann: not needed"
    code, _, err = terminal.run("cancel", str(flow.champion.live and flow.champion.live.job), "--by", "ann")
    assert (code, "roll back instead" in err) == (FAILED, True)


def test_quarantined_data_is_taken_up_again_by_command(terminal: Terminal) -> None:
    flow = terminal.flow
    path = flow.place.drop("broken.csv", with_a_short_row(flow.place.header, flow.place.rows))
    assert flow.arrive(path) == []
    code, out, err = terminal.run("replay", PIPELINE, path, "--by", "ann", "--dry-run")
    assert (code, "line 6 has 15 values" in out, "nothing was changed" in err) == (DONE, True, True)
    code, out, _ = terminal.run("replay", PIPELINE, path, "--by", "ann", "--yes")
    assert (code, "taken up again as arrival" in out) == (DONE, True)
    flow.arrive(path)
    states = [each.state for each in flow.arrivals() if each.dataset.path == path]
    assert states == [ArrivalState.QUARANTINED, ArrivalState.QUARANTINED]
