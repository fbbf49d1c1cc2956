"""`python -m shared doctor` against Azurite and the local Studio: what it finds wrong."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

from local.azurite import KEY
from local.datasets import as_csv
from local.workplace import PIPELINE
from shared.cli.place import DONE, FAILED
from tests.support.commands import Terminal, changed_file
from tests.support.flow import Flow


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
    assert "1 warnings, 0 wrong" in err


TRAINING = f"pipelines.{PIPELINE}.training"
CLASSIC, NEW = f"pipelines.{PIPELINE}.targets (classic)", f"pipelines.{PIPELINE}.targets (new)"


def test_the_doctor_distinguishes_a_wrong_key_of_each_service_from_a_wrong_address(terminal: Terminal) -> None:
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
    assert "does not exist yet" in found["queue nobody"]["told"]
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


def test_a_stuck_job_and_a_stuck_file_are_named_with_what_to_do_until_it_is_done(terminal: Terminal) -> None:
    place, settings = terminal.flow.place, {"PIPELINES_FILE": terminal.settings["PIPELINES_FILE"]}
    locked_out = Flow(place, {**settings, "BREAST_CANCER_TRAINING_KEY": "WRONG1KEY"})
    job = locked_out.drop("stuck.csv", as_csv(place.header, place.rows[:350]))
    before = Flow(place, settings)
    before.pass_time(-timedelta(minutes=30))
    late = place.drop("late.csv", as_csv(place.header, place.rows[:400]))
    before.app.flows.intake.see(late)

    [attention] = [each["attention"] for each in terminal.json("status", PIPELINE)]
    assert [line for line in attention if line.startswith(f"{job.id}: ") and "answered 401" in line]
    assert f"{late}: no run could take it further" in attention
    found = doctored(terminal)
    assert "answered 401" in found[f"{PIPELINE}, {job.id}"]["told"]
    remedy, _, command = found[f"{PIPELINE}, {job.id}"]["remedy"].partition(": ")
    assert remedy == "correct what the line names, or end it"
    assert "the log of take_up_data says why" in found[f"{PIPELINE}, {late}"]["remedy"]

    assert terminal.run(*command.split(), "--by", "ann", "--yes")[0] == DONE
    assert terminal.flow.arrive(late) == []  # its content was there before
    assert not [line for line in terminal.json("status", PIPELINE)[0]["attention"] if job.id in line or late in line]
    assert not {f"{PIPELINE}, {job.id}", f"{PIPELINE}, {late}"} & doctored(terminal).keys()


def other(terminal: Terminal) -> Any:
    """Return a kept model that is not the live one."""
    live = terminal.flow.champion.live
    assert live is not None
    entries = [entry for entry, _ in terminal.flow.app.records.champions.entries(PIPELINE)]
    return next(entry.models["classic"] for entry in entries if entry.models != live.models)
