"""The triggers: parse the input, delegate. Importing this needs no setting, no network and no storage client."""

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import List  # noqa: UP035 (see poll_jobs)

import azure.functions as func

from shared.bindings import BlobName

log = logging.getLogger("relearn.triggers")
app = func.FunctionApp()


def _blob_source() -> func.BlobSource:
    """Return the source that TRAINING_DATA_SOURCE names: the host wants to know it when it reads the triggers."""
    sources = {"polling": func.BlobSource.LOGS_AND_CONTAINER_SCAN, "eventgrid": func.BlobSource.EVENT_GRID}
    name = os.environ.get("TRAINING_DATA_SOURCE", "polling")
    if name.lower() not in sources:
        raise ValueError(f"Setting TRAINING_DATA_SOURCE is {name!r}; write one of: {', '.join(sources)}")
    return sources[name.lower()]


@app.blob_trigger(
    arg_name="blob",
    path="%TRAINING_DATA_PATH%",
    connection="TRAINING_DATA",
    source=_blob_source(),
)
def start_retraining(blob: BlobName) -> None:
    from shared.app import app as relearn

    if blob.container != relearn().data_container:
        # An Event Grid subscription's filter decides what comes here, not the path above.
        log.warning("%r/%r is in another container than TRAINING_DATA_PATH names", blob.container, blob.name)
        return
    relearn().flows.intake.see(blob.name)


@app.timer_trigger(arg_name="timer", schedule="%POLL_SCHEDULE%")
def take_up_data(timer: func.TimerRequest, context: func.Context) -> None:  # noqa: ARG001 (the host passes it)
    from shared.app import app as relearn

    with _threads_of(context), _later():
        relearn().flows.take_up()


@app.timer_trigger(arg_name="timer", schedule="%SWEEP_SCHEDULE%")
def sweep_data(timer: func.TimerRequest) -> None:  # noqa: ARG001 (the host passes it)
    from shared.app import app as relearn

    with _later():
        relearn().flows.intake.sweep(relearn().data_container)
        relearn().flows.retention.run()


@app.queue_trigger(arg_name="message", queue_name="webjobs-blobtrigger-poison", connection="TRAINING_DATA")
def watch_poisoned_blobs(message: func.QueueMessage) -> None:
    from shared.app import app as relearn
    from shared.base.errors import NeverAgain
    from shared.domain.messages import read_poisoned_blob

    try:
        container, name = read_poisoned_blob(message.get_body())
    except NeverAgain as error:
        # A poison queue has none of its own: the message would come back for ever.
        relearn().flows.requests.refuse(_id(message), str(error))
        return
    if container != relearn().data_container:
        # The host has one such queue for all functions of a storage account.
        reason = f"{container!r}/{name!r} failed at every try, and is not in the container of TRAINING_DATA_PATH"
        relearn().flows.requests.refuse(_id(message), reason)
        return
    relearn().flows.intake.see(name)


@app.timer_trigger(arg_name="timer", schedule="%POLL_SCHEDULE%")
@app.queue_output(arg_name="promotions", queue_name="%PROMOTIONS_QUEUE%", connection="PROMOTIONS")
def poll_jobs(
    timer: func.TimerRequest,
    promotions: func.Out[List[str]],  # noqa: UP006 (the Functions runtime takes list[str] for no type)
    context: func.Context,
) -> None:
    from shared.app import app as relearn
    from shared.domain.messages import write_request

    if timer.past_due:
        log.warning("The poll comes late; jobs and their deadlines waited meanwhile")
    with _threads_of(context), _later():
        promotions.set([write_request(request) for request in relearn().flows.poll()])


@app.queue_trigger(arg_name="message", queue_name="%PROMOTIONS_QUEUE%", connection="PROMOTIONS")
def promote_model(message: func.QueueMessage) -> None:
    from shared.app import app as relearn
    from shared.base.errors import NeverAgain
    from shared.domain.messages import read_request

    request = None
    try:
        request = read_request(message.get_body())
        relearn().flows.requests.carry_out(request, _id(message))
    except NeverAgain as error:
        # Four more deliveries would meet the same: it is written down instead.
        relearn().flows.requests.refuse(_id(message), str(error), request)


@app.queue_trigger(arg_name="message", queue_name="%PROMOTIONS_QUEUE%-poison", connection="PROMOTIONS")
def watch_poisoned_promotions(message: func.QueueMessage) -> None:
    from shared.app import app as relearn
    from shared.base.errors import AskHuman, NeverAgain
    from shared.domain.messages import read_request

    try:
        relearn().flows.requests.give_up(read_request(message.get_body()), _id(message))
    except (NeverAgain, AskHuman) as error:
        # A poison queue has none of its own: the message would come back for ever.
        relearn().flows.requests.refuse(_id(message), str(error))


@contextmanager
def _later() -> Iterator[None]:
    """Leave it to the timer's next run where the storage or a service asks to be called later."""
    from shared.base.errors import TryLater

    try:
        yield
    except TryLater as error:
        log.warning("%s; the next run goes on", error)


@contextmanager
def _threads_of(context: func.Context) -> Iterator[None]:
    """Have what the threads of this call log count as its own: the host drops lines of none."""
    from shared.base.threads import entering

    def enter() -> None:
        context.thread_local_storage.invocation_id = context.invocation_id  # type: ignore[attr-defined]

    token = entering.set(enter)
    try:
        yield
    finally:
        entering.reset(token)


def _id(message: func.QueueMessage) -> str:
    assert message.id is not None, "the queue gives every message an id"
    return message.id
