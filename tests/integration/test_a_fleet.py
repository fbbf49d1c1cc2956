"""Twenty models from one experiment against Azurite and the local Studio: each its own data, endpoint and history."""

from __future__ import annotations

from pathlib import Path

from local.azurite import Azurite
from local.fleet import FLEET, fleet_place
from shared.champions import Action
from shared.messages import Asked
from shared.rollouts import Course, Standing
from studio.scoring import score

CLINICS = [f"{number:03}" for number in range(1, 21)]


def test_twenty_members_are_trained_promoted_in_waves_and_rolled_back_as_one(azurite: Azurite, tmp_path: Path) -> None:
    with fleet_place(azurite, tmp_path) as place:
        place.drop(CLINICS)
        place.drop(["Not a clinic"])  # belongs to no pipeline
        list(place.train(CLINICS))
        assert list(place.endpoints) == ["default"]
        jobs = [place.app.records.require(job_id).job for job_id in place.app.records.parked(FLEET)]
        assert [job.pipeline for job in jobs] == [f"{FLEET}-{clinic}" for clinic in CLINICS]
        models = {job.pipeline.removeprefix(f"{FLEET}-"): job.model.sha256 for job in jobs if job.model}
        assert len(set(models.values())) == len(CLINICS)

        promoted = [
            sum(line.standing is Standing.PROMOTED for line in rollout.lines)
            for rollout in place.roll_out(Asked.PROMOTE, "m1")
        ]
        assert [size for size in dict.fromkeys(promoted) if size] == [1, 2, 20]
        assert sorted(place.endpoints) == [*(f"clinic{clinic}" for clinic in CLINICS), "default"]
        rows, ilearners = place.app.pipelines[f"{FLEET}-001"].rows, place.studio.studio.models
        for clinic in CLINICS:
            expected = [row[-1:] for row in score(ilearners.load(models[clinic]), rows.columns, rows.values).values]
            assert place.answers(clinic) == expected, clinic
            entries = [entry for entry, _ in place.app.records.entries(f"{FLEET}-{clinic}")]
            assert [entry.action for entry in entries] == [Action.FOUND, Action.PROMOTED]
            assert entries[1].models[f"progression of {clinic}"].sha256 == models[clinic]

        *_, rollout = place.roll_out(Asked.ROLLBACK, "m2")
        assert rollout.course is Course.DONE
        assert {line.standing for line in rollout.lines} == {Standing.ROLLED_BACK}
        default = place.endpoints["default"].scorers[0].resource.sha256
        first = [row[-1:] for row in score(ilearners.load(default), rows.columns, rows.values).values]
        assert [place.answers(clinic) for clinic in CLINICS] == [first] * len(CLINICS)
