"""The whole stack: a blob is dropped, the triggers of the unmodified function_app do the rest."""

from __future__ import annotations

from local.datasets import as_csv
from local.host.blobs import HOSTS
from local.triggers import triggers
from local.workplace import PIPELINE, Workplace
from shared.domain.jobs import JobState
from tests.support.flow import Flow
from tests.support.waiting import until


def test_a_dropped_blob_is_promoted_by_the_triggers_alone_and_a_message_rolls_it_back(workplace: Workplace) -> None:
    flow, log = Flow(workplace), []
    before = flow.answers()
    with triggers(workplace.settings, log.append) as running:
        assert set(running.said["functions"]) == {
            "start_retraining",
            "take_up_data",
            "sweep_data",
            "watch_poisoned_blobs",
            "poll_jobs",
            "promote_model",
            "watch_poisoned_promotions",
        }
        workplace.drop("new.csv", as_csv(workplace.header, workplace.rows[:400]))
        until(lambda: flow.champion.last == 2 and flow.champion.change is None, "the promotion")
        assert flow.champion.live is not None
        job = flow.job(flow.champion.live.job or "")
        assert job.state is JobState.PROMOTED
        assert flow.answers() != before

        workplace.send(f'{{"pipeline": "{PIPELINE}", "action": "rollback", "by": "ann"}}')
        until(lambda: flow.champion.last == 3 and flow.champion.change is None, "the rollback")
        assert flow.answers() == before

        workplace.send('{"pipeline": "nobody", "action": "rollback"}')
        requests = workplace.blobs.get_container_client("retraining")
        until(lambda: len(list(requests.list_blob_names(name_starts_with="requests/"))) == 2, "the refusal's record")
    receipts = workplace.blobs.get_container_client(HOSTS).list_blobs(name_starts_with="blobreceipts/")
    assert len(list(receipts)) == 1
    assert not any("Traceback" in line for line in log), "\n".join(log)
    secrets = [workplace.classic.key, workplace.new.key, workplace.studio.studio.identity.arm_token, "AccountKey"]
    assert not [line for line in log if any(secret in line for secret in secrets)]
