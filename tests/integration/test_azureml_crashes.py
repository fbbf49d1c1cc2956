"""A process is killed after each write; those that come after it end the promotion right, with one training."""

from __future__ import annotations

import multiprocessing
from collections.abc import Iterator
from contextlib import suppress
from datetime import timedelta
from pathlib import Path

import pytest
from azure.core.exceptions import HttpResponseError
from azure.storage.blob import BlobLeaseClient

from local.azureml import PIPELINE, AzureMLPlace
from local.azurite import Azurite
from local.datasets import as_csv
from shared.domain.jobs import JobState
from tests.support.azureml_crashing import go_on
from tests.support.azureml_flow import PASSING, AzureMLFlow, configured, place_of
from tests.support.crashing import killed

pytestmark = pytest.mark.skipif(
    "forkserver" not in multiprocessing.get_all_start_methods(), reason="this system cannot fork a process to kill"
)

AT_MOST = 200  #: processes until the promotion has ended
DEATHS_AT_LEAST = 6


@pytest.fixture(scope="module")
def azureml(one_azurite: Azurite, tmp_path_factory: pytest.TempPathFactory) -> Iterator[AzureMLPlace]:
    yield from place_of(one_azurite, tmp_path_factory)


@pytest.fixture
def flow(azureml: AzureMLPlace, tmp_path: Path) -> AzureMLFlow:
    return AzureMLFlow(azureml, configured(tmp_path, *PASSING))


def test_killed_after_its_writes_again_and_again_the_flow_promotes_once_a_model_that_was_proven(
    flow: AzureMLFlow,
) -> None:
    settings = {**flow.place.settings, "PIPELINES_FILE": str(flow.app.settings.pipelines_file)}
    job = flow.drop("new.csv", as_csv(flow.place.header, flow.place.rows[:300]))
    last, kills = flow.champion.last, 0
    for process in range(1, AT_MOST):
        # In turns: a death after the next write to the service, and one after some writes, those to the storage too.
        of_services = bool(process % 2)
        flow.pass_time(timedelta(minutes=3))
        die_after = 1 if of_services else 2 * process
        kills += killed(go_on, settings, flow.workspace.address, flow.ahead, die_after, of_services)
        let_go(flow)
        flow.let_trainings_end()
        flow.look()
        if flow.job(job.id).final and not flow.champion.change:
            break
    ended = flow.job(job.id)
    assert ended.state is JobState.PROMOTED, [step.note for step in ended.steps]
    assert kills > DEATHS_AT_LEAST
    made = [flow.app.records.champions.entry(PIPELINE, number) for number in range(last + 1, flow.champion.last + 1)]
    assert [entry.job for entry in made if entry and entry.job] == [job.id]
    assert flow.trainings(ended) == 1
    flow.assert_right(ended)


def let_go(flow: AzureMLFlow) -> None:
    """Have the lease of the process that was killed run out."""
    blob = flow.place.blobs.get_blob_client("retraining", f"champions/{PIPELINE}.json")
    with suppress(HttpResponseError):  # it was not leased, or is not there yet
        BlobLeaseClient(blob).break_lease(0)
