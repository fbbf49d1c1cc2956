"""The app's functions with their triggers and outputs, read from function_app, and run with the host's arguments."""

from __future__ import annotations

import importlib
import inspect
import json
import logging
import sys
import threading
import time
import typing
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from uuid import uuid4

import azure.functions as func
from azure.functions import meta

from local.host.settings import Wrong, filled

log = logging.getLogger("host")

CONTEXT = "context"  #: the parameter that the runtime knows by its name
_INVOCATION_OF_THREAD = threading.local()

Send = Callable[[str], None]  #: puts one message on an output's queue


@dataclass(frozen=True)
class Function:
    """One registered function: its trigger's binding, and its queue outputs by parameter."""

    name: str
    call: Callable[..., Any]
    trigger: Mapping[str, Any]
    outputs: Mapping[str, Mapping[str, Any]]
    annotation: Any  #: the type of the trigger's parameter
    contextual: bool  #: whether it takes the invocation's context

    @property
    def id(self) -> str:
        return f"Host.Functions.{self.name}"


class Output(func.Out[Any]):
    """What a function sets; nothing is sent before it has returned."""

    def __init__(self) -> None:
        self._value: Any = None

    def set(self, val: Any) -> None:
        self._value = val

    def get(self) -> Any:
        return self._value

    @property
    def messages(self) -> list[str]:
        value = self._value
        return [] if value is None else [str(each) for each in value] if isinstance(value, list) else [str(value)]


def read_functions(app_folder: Path) -> list[Function]:
    """Import function_app and return what it registers."""
    sys.path.insert(0, str(app_folder))
    module = importlib.import_module("function_app")
    apps = [value for value in vars(module).values() if isinstance(value, func.FunctionApp)]
    if len(apps) != 1:
        raise Wrong(f"function_app.py must have one FunctionApp; it has {len(apps)}")
    return [_read(registered) for registered in apps[0].get_functions()]


def _read(registered: Any) -> Function:
    call = registered.get_user_function()
    bindings = [json.loads(binding) for binding in registered.get_raw_bindings()]
    triggers = [binding for binding in bindings if binding["type"].endswith("Trigger")]
    outputs = {binding["name"]: binding for binding in bindings if binding["direction"] == "OUT"}
    name = registered.get_function_name()
    if len(triggers) != 1 or triggers[0]["type"] not in ("blobTrigger", "queueTrigger", "timerTrigger"):
        raise Wrong(f"{name}: this trigger loop knows one blob, queue or timer trigger a function")
    declared, given = set(inspect.signature(call).parameters), {binding["name"] for binding in bindings}
    if declared - {CONTEXT} != given:
        raise Wrong(f"{name}: its parameters {sorted(declared)} are not its bindings {sorted(given)}")
    annotation = typing.get_type_hints(call).get(triggers[0]["name"])
    return Function(name, call, triggers[0], outputs, annotation, contextual=CONTEXT in declared)


def run(function: Function, argument: Any, send: Mapping[str, Send]) -> bool:
    """Call the function; send its outputs only if it returned. Return whether it did."""
    outputs = {name: Output() for name in function.outputs}
    begun = time.monotonic()
    log.info("Executing '%s'", function.name)
    try:
        context = {CONTEXT: _context(function)} if function.contextual else {}
        function.call(**{function.trigger["name"]: argument}, **outputs, **context)
        for name, output in outputs.items():
            for message in output.messages:
                send[name](message)
    except (Exception, SystemExit):  # an exit would end the thread that runs it, and with it a timer
        log.exception("Executed '%s' (Failed, %.0f ms)", function.name, 1000 * (time.monotonic() - begun))
        return False
    log.info("Executed '%s' (Succeeded, %.0f ms)", function.name, 1000 * (time.monotonic() - begun))
    return True


def _context(function: Function) -> Any:
    """Return what the runtime's own `func.Context` has and an app needs for the log lines of its threads."""
    return SimpleNamespace(
        function_name=function.name, invocation_id=str(uuid4()), thread_local_storage=_INVOCATION_OF_THREAD
    )


def blob_argument(function: Function, container: str, name: str) -> Any:
    """Return the argument for a blob: an SDK type made by its own converter. The content is not read."""
    from azurefunctions.extensions.base import Datum, SdkType, get_binding_registry

    if not (isinstance(function.annotation, type) and issubclass(function.annotation, SdkType)):
        raise Wrong(f"{function.name}: the blob's parameter must be an SDK type, so that no content passes through")
    content = {
        "Connection": function.trigger.get("connection", "AzureWebJobsStorage"),
        "ContainerName": container,
        "BlobName": name,
    }
    data = _ModelBindingData("1.0", "AzureStorageBlobs", "application/json", json.dumps(content).encode())
    converter = get_binding_registry().get("blobTrigger")
    return converter.decode(
        Datum(value=data, type="model_binding_data"), trigger_metadata=None, pytype=function.annotation
    )


@dataclass(frozen=True)
class _ModelBindingData:
    version: str
    source: str
    content_type: str
    content: bytes


def queue_argument(body: str, message_id: str, dequeue_count: int) -> Any:
    metadata = {
        "Id": meta.Datum(message_id, "string"),
        "DequeueCount": meta.Datum(json.dumps(dequeue_count), "json"),
    }
    converter = meta.get_binding_registry().get("queueTrigger")
    return converter.decode(meta.Datum(body, "string"), trigger_metadata=metadata)


def timer_argument(status: Mapping[str, str] | None, past_due: bool) -> Any:
    info = {"Schedule": {"AdjustForDST": True}, "ScheduleStatus": status, "IsPastDue": past_due}
    return (
        meta.get_binding_registry()
        .get("timerTrigger")
        .decode(meta.Datum(json.dumps(info), "json"), trigger_metadata={})
    )


def output_queues(function: Function) -> dict[str, tuple[str, str]]:
    """Return, by output parameter, the connection setting and the queue it sends to."""
    unknown = [binding["type"] for binding in function.outputs.values() if binding["type"] != "queue"]
    if unknown:
        raise Wrong(f"{function.name}: this trigger loop knows queue outputs only, not {unknown[0]}")
    return {
        name: (binding.get("connection", "AzureWebJobsStorage"), filled(binding["queueName"]))
        for name, binding in function.outputs.items()
    }
