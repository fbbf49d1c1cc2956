"""What every test may use: real storage, empty for each test that asks for it, and a real Studio."""

from __future__ import annotations

import tempfile
from collections.abc import Generator, Iterator
from uuid import uuid4

import pytest
from azure.storage.blob import BlobServiceClient
from azure.storage.queue import QueueServiceClient
from hypothesis import HealthCheck, settings

from local.azurite import Azurite
from local.azurite import azurite as run_azurite
from local.children import end_in_order
from local.studio import RunningStudio, running_studio
from local.workplace import Workplace, publish
from service.loading import loading
from tests.support.workers import OwnOrder, finish_cleaning_up

# What Hypothesis takes for slow is a machine that has other things to do.
settings.register_profile("relearn", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("relearn")

end_in_order(lambda number: pytest.exit(f"ended by signal {number}", returncode=128 + number))


def pytest_configure(config: pytest.Config) -> None:
    if worker := getattr(config, "workerinput", None):
        config.pluginmanager.register(OwnOrder(worker["workerid"]))


@pytest.hookimpl(tryfirst=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    finish_cleaning_up(session.config)


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """Have the garbage collector leave the modules and the tests: they stay until the end of the process."""
    with loading():
        return (yield)


LONGEST = (
    "test_azureml_promotions.py",
    "test_parent_death.py",
    "test_crashes.py",
    "test_azureml.py",
    "test_any_order.py",
    "test_studio_restarts.py",
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Have the longest files begin first, so that no worker is left alone with one at the end.

    The order is the same in each worker, in whichever order it has loaded them.
    """
    ranks = {name: rank for rank, name in enumerate(LONGEST)}
    items.sort(key=lambda item: (ranks.get(item.path.name, len(LONGEST)), str(item.path)))


@pytest.fixture(scope="session", autouse=True)
def folder_of_the_killed() -> Iterator[None]:
    """Have processes that a test kills leave what they made in a folder that goes with the session."""
    with (
        tempfile.TemporaryDirectory(prefix="killed-", ignore_cleanup_errors=True) as folder,
        pytest.MonkeyPatch.context() as patched,
    ):
        patched.setenv("TMPDIR", folder)  # for its children; this process knows its own folder by now
        yield


@pytest.fixture(scope="session")
def one_azurite() -> Iterator[Azurite]:
    """An Azurite in memory."""
    with run_azurite() as running:
        yield running


@pytest.fixture(scope="session")
def one_studio(one_azurite: Azurite, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningStudio]:
    """A local Studio, which keeps what earlier tests published and trained, and takes orders to misbehave."""
    folder = tmp_path_factory.mktemp("studio") / "studio"
    with running_studio(folder, one_azurite.connection_string, "--control") as running:
        yield running


@pytest.fixture
def azurite(one_azurite: Azurite) -> Iterator[Azurite]:
    """An Azurite with nothing in it."""
    yield one_azurite
    empty(one_azurite)


@pytest.fixture(scope="module")
def azurite_of_file(one_azurite: Azurite) -> Iterator[Azurite]:
    """The same as `azurite`, for all tests of a file together."""
    yield one_azurite
    empty(one_azurite)


@pytest.fixture(scope="module")
def place(one_azurite: Azurite, one_studio: RunningStudio) -> Iterator[Workplace]:
    """The same as `workplace`, for all tests of a file together."""
    yield publish(one_azurite, one_studio, uuid4().hex[:8])
    empty(one_azurite)


def empty(one_azurite: Azurite) -> None:
    with BlobServiceClient.from_connection_string(one_azurite.connection_string) as blobs:
        for container in blobs.list_containers():
            blobs.delete_container(container)
    with QueueServiceClient.from_connection_string(one_azurite.connection_string) as queues:
        for queue in queues.list_queues():
            queues.delete_queue(queue)


@pytest.fixture
def workplace(azurite: Azurite, one_studio: RunningStudio) -> Workplace:
    """Azurite and a local Studio with the breast cancer experiment, published Classic and New."""
    return publish(azurite, one_studio, uuid4().hex[:8])
