"""Twenty models from one experiment against Azurite and the local Studio: each its own data, endpoint and history."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from local.azurite import Azurite
from local.fleet import FLEET, FleetPlace, fleet_place
from shared.cli.place import DONE, FAILED, NOTHING, USAGE
from shared.domain.champions import Action
from shared.domain.messages import Command
from shared.domain.rollouts import MemberState, Rollout, RolloutState
from studio.learning.scoring import score
from tests.support.terminal import SETTINGS, CommandLine, screen

CLINICS = [f"{number:03}" for number in range(1, 21)]
SUCH_AS = f"{FLEET} (20 members, such as {FLEET}-001)"


def test_twenty_members_are_trained_promoted_in_waves_and_rolled_back_as_one(
    azurite: Azurite, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with fleet_place(azurite, tmp_path) as place:
        terminal = CommandLine(place.settings, tmp_path, capsys)
        before_any_data(terminal)
        place.drop(CLINICS)
        place.drop(["Not a clinic"])  # belongs to no pipeline
        list(place.train(CLINICS))
        assert list(place.endpoints) == ["default"]
        jobs = [place.app.records.jobs.require(job_id).record for job_id in place.app.records.jobs.parked(FLEET)]
        assert [job.pipeline for job in jobs] == [f"{FLEET}-{clinic}" for clinic in CLINICS]
        models = {job.pipeline.removeprefix(f"{FLEET}-"): job.model.sha256 for job in jobs if job.model}
        assert len(set(models.values())) == len(CLINICS)

        before_the_first_rollout(terminal)
        _, out, _ = terminal.run("promote", FLEET, "--by", "ann", "--reason", "November", "--yes")
        assert "is running: 20 waiting" in out
        assert "up to 1, then 2, then 20 members; stops after more than 0 failures" in out
        code, out, _ = terminal.run("cancel", FLEET, "--by", "bob", "--reason", "not now", "--yes")
        assert (code, "is stopping: 20 waiting; stopped by bob: not now" in out) == (DONE, True)
        assert place.app.flows.poll() == []
        stopped(terminal)
        stages = [
            (len(rollout.members) - standing(rollout, MemberState.WAITING), standing(rollout, MemberState.PROMOTED))
            for rollout in place.follow("m1")
        ]
        assert list(dict.fromkeys(reached for reached, _ in stages)) == [1, 2, 20]
        before_it = {1: 0, 2: 1, 20: 2}  # a wave begins when every member before it is promoted
        assert all(promoted >= before_it[reached] for reached, promoted in stages)
        assert stages[-1] == (20, 20)
        assert sorted(place.endpoints) == [*(f"clinic{clinic}" for clinic in CLINICS), "default"]
        for clinic in CLINICS:
            assert place.answers(clinic) == expected(place, models[clinic]), clinic
            entries = [entry for entry, _ in place.app.records.champions.entries(f"{FLEET}-{clinic}")]
            assert [entry.action for entry in entries] == [Action.FOUND, Action.PROMOTED]
            assert entries[1].models[f"progression of {clinic}"].sha256 == models[clinic]
        all_live(terminal)

        assert terminal.run("rollback", FLEET, "--by", "ann", "--yes")[0] == DONE
        *_, rollout = place.follow("m2")
        assert (rollout.state, rollout.action) == (RolloutState.DONE, Command.ROLLBACK)
        assert {member.state for member in rollout.members} == {MemberState.ROLLED_BACK}
        default = place.endpoints["default"].scorers[0].resource.sha256
        assert [place.answers(clinic) for clinic in CLINICS] == [expected(place, default)] * len(CLINICS)

        assert terminal.json("retrain", FLEET, "--by", "ann", "--yes")["outcome"] == "20 jobs"
        [shown] = terminal.json("status")
        assert shown["jobs"] == {"received": 20}


def expected(place: FleetPlace, sha256: str) -> list[list[str]]:
    """Return what the model answers for the kept rows, by the Studio's own scoring of the file."""
    rows = place.app.pipelines[f"{FLEET}-001"].rows
    return [row[-1:] for row in score(place.studio.studio.models.load(sha256), rows.columns, rows.values).values]


def standing(rollout: Rollout, which: MemberState) -> int:
    return sum(member.state is which for member in rollout.members)


def before_any_data(terminal: CommandLine) -> None:
    """What the members share is looked at by the web service's default endpoint; there is nothing to show or do yet."""
    found = services(terminal, FLEET)
    assert {each["health"] for each in found.values()} == {"ok"}
    assert found[f"pipelines.{FLEET}.training"]["told"] == "batch execution answers, and takes the key"
    assert (
        "scores the proof's 5 rows" in found[f"pipelines.{FLEET}.targets (progression of {{clinic}}).scoring"]["told"]
    )
    [shown] = terminal.json("status")
    assert (shown["members"], shown["live"], shown["rollout"]) == (0, 0, None)
    for command in (("rollback", f"{FLEET}-001"), ("jobs", f"{FLEET}-001"), ("doctor", f"{FLEET}-001")):
        assert terminal.run(*command)[::2] == (
            NOTHING,
            f"the pipeline '{FLEET}-001' does not exist; the pipelines are: {FLEET} (no members yet)\n",
        )


def services(terminal: CommandLine, *names: str) -> dict[str, dict[str, str]]:
    """Return what the doctor finds out about services; the app's own settings and timers are not all here."""
    findings = json.loads(terminal.run("doctor", *names, "--json")[1])
    return {each["what"]: each for each in findings if each["what"].startswith("pipelines.")}


def before_the_first_rollout(terminal: CommandLine) -> None:
    [shown] = terminal.json("status")
    assert (shown["members"], shown["live"], shown["waiting"]) == (20, 0, 20)
    assert len(terminal.json("status", FLEET, "--members")) == 21
    assert [each["pipeline"] for each in terminal.json("status", f"{FLEET}-007")] == [f"{FLEET}-007"]
    assert len(terminal.json("jobs", FLEET, "--limit", "50")["jobs"]) == 20
    assert len(terminal.json("jobs", f"{FLEET}-007")["jobs"]) == 1
    found = services(terminal, f"{FLEET}-007")
    target = f"pipelines.{FLEET}-007.targets (progression of 007)"
    assert (found[target]["health"], found[target]["told"]) == ("warning", "its endpoint is not made yet")
    for command, code, said in [
        (("rollout", FLEET), NOTHING, f"{FLEET} has no rollout yet; one begins by: python -m shared promote {FLEET}"),
        (("rollout", "bike"), NOTHING, f"'bike' is not a fleet; the fleets are: {SUCH_AS}"),
        (("rollout", f"{FLEET}-007"), NOTHING, f"'{FLEET}-007' is not a fleet; the fleets are: {SUCH_AS}"),
        (("resume", FLEET), FAILED, f"Fleet {FLEET} has no rollout to go on with"),
        (("cancel", FLEET), FAILED, f"No rollout of {FLEET} is running"),
        (("rollback", FLEET, "--yes"), FAILED, f"Fleet {FLEET} has no member with a model to go back to for a rollout"),
        (("rollback", FLEET, "--to", "7", "--yes"), FAILED, '"to", "model" and "live" are for one of them'),
        (("rollback", f"{FLEET}-999"), NOTHING, f"the pipelines are: {SUCH_AS}"),
        (("retrain", "bike"), NOTHING, f"the pipeline 'bike' does not exist; the pipelines are: {SUCH_AS}"),
        (("replay", FLEET, "x.csv"), NOTHING, f"{FLEET} is a fleet, and this takes one pipeline: {SUCH_AS}"),
        (("status", "bike"), NOTHING, f"the pipeline 'bike' does not exist; the pipelines are: {SUCH_AS}"),
        (("doctor", "bike"), NOTHING, f"the pipeline 'bike' does not exist; the pipelines are: {SUCH_AS}"),
        (("history", FLEET), NOTHING, "has no history"),
    ]:
        ended, _, err = terminal.run(*command)
        assert (ended, said in err) == (code, True), err
        assert len(err.splitlines()) == 1


def stopped(terminal: CommandLine) -> None:
    """The rollout is stopped before anybody was asked; it is shown so, and goes on."""
    code, out, _ = terminal.run("rollout", FLEET)
    assert (code, out.splitlines()[-1]) == (
        FAILED,
        f"rollout 1 of {FLEET} (promote) is stopped: 20 waiting; stopped by bob: not now",
    )
    lines = screen(80, "-m", "shared", "rollout", FLEET, "--settings", str(terminal.folder / SETTINGS))
    assert max(map(len, lines)) <= 80
    for member in json.loads(terminal.run("rollout", FLEET, "--json")[1])["lines"]:
        assert [member["member"], "waiting", member["job"][-10:]] in [line.split() for line in lines]
    assert " ".join(" ".join(lines).split()).endswith("is stopped: 20 waiting; stopped by bob: not now")
    for action in ("approve", "reject"):
        code, _, err = terminal.run(action, FLEET)
        assert (code, f"list them: jobs {FLEET} --state 'awaiting approval'" in err) == (USAGE, True)
    assert terminal.run("rollout", FLEET, "--standing", "broken")[0] == USAGE
    assert terminal.run("rollout", FLEET, "--number", "7")[0] == NOTHING
    code, out, _ = terminal.run("status")
    assert (code, f"resume {FLEET}" in out, f"{FLEET}-001" in out) == (DONE, True, False)
    assert "is stopped: 20 waiting" in terminal.run("resume", FLEET, "--by", "ann", "--dry-run")[1]
    assert terminal.run("rollout", FLEET)[0] == FAILED
    code, out, err = terminal.run("resume", FLEET, "--by", "ann", "--reason", "it is time", "--yes")
    assert (code, "is running" in out, f"python -m shared rollout {FLEET}" in err) == (DONE, True, True)


def all_live(terminal: CommandLine) -> None:
    shown = terminal.json("rollout", FLEET, "--standing", "promoted")
    assert (shown["by"], shown["reason"], shown["course"], len(shown["lines"])) == ("ann", "November", "done", 20)
    assert terminal.json("rollout", FLEET, "--standing", "failed")["lines"] == []
    code, out, err = terminal.run("rollout", FLEET, "--standing", "failed")
    done = f"rollout {shown['number']} of {FLEET} (promote) is done: 20 promoted"
    assert (code, out.splitlines(), err.splitlines()) == (
        DONE,
        [done],
        [f"no member of rollout {shown['number']} of {FLEET} is failed"],
    )
    [status] = terminal.json("status")
    assert (status["members"], status["live"], status["waiting"]) == (20, 20, 0)
    history = terminal.json("history", f"{FLEET}-007")
    assert [entry["action"] for entry in history] == ["found", "promoted"]
    assert SUCH_AS in terminal.run("history", FLEET)[2]
    found = services(terminal, f"{FLEET}-007", FLEET)
    assert {each["health"] for each in found.values()} == {"ok"}
    assert found[f"pipelines.{FLEET}-007.targets (progression of 007), live model"]["told"].startswith("is kept as")
