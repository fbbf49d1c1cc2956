"""`python -m local.host --app DIR`: run the app's triggers until it gets a signal to stop."""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import json
import logging
import os
import signal
import sys
import threading
from collections.abc import Callable
from functools import partial
from pathlib import Path

from azure.core.exceptions import ResourceExistsError
from azure.storage.blob import BlobServiceClient

from local.host.blobs import HOSTS, POISON, BlobScan, Watch, hidden_queue
from local.host.functions import Function, Send, output_queues, queue_argument, read_functions, run
from local.host.queues import QueueListener, Rules, create, open_queue, send
from local.host.settings import HostJson, Wrong, connection, filled, read_host_json, take_settings
from local.host.timers import Timer

log = logging.getLogger("host")


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m local.host", description="Run a function app's triggers here.")
    parser.add_argument("--app", type=Path, required=True, help="folder of function_app.py and host.json")
    parser.add_argument("--settings", type=Path, help="a local.settings.json; the environment goes before it")
    parser.add_argument("--scan-every", type=float, default=10.0, help="seconds between two looks for new blobs")
    chosen = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s", stream=sys.stdout)
    logging.getLogger("azure").setLevel(logging.WARNING)
    try:
        take_settings(chosen.settings)
        host = Host(chosen.app.resolve(), read_host_json(chosen.app / "host.json"), chosen.scan_every)
    except Wrong as wrong:
        print(f"local.host: {wrong}", file=sys.stderr)
        return 2
    for each in (signal.SIGTERM, signal.SIGINT):
        signal.signal(each, lambda *_: host.stopping.set())
    host.start()
    print(json.dumps({"ready": True, "functions": host.names}), flush=True)
    host.wait()
    return 0


class Host:
    """One thread for each queue and timer, one for the blob scan."""

    def __init__(self, app: Path, rules: HostJson, scan_every: float) -> None:
        self.stopping = threading.Event()
        self._rules = rules
        own = connection("AzureWebJobsStorage")
        self._own = own
        self._blobs = BlobServiceClient.from_connection_string(own)
        self._hosts = self._blobs.get_container_client(HOSTS)
        self._id = os.environ.get("AzureFunctionsWebHost__hostid") or _host_id(app)  # noqa: SIM112 (the host's name)
        functions = read_functions(app)
        self.names = [function.name for function in functions]
        self._threads = [*self._blob_threads(functions, scan_every)]
        for function in functions:
            match function.trigger["type"]:
                case "queueTrigger":
                    self._threads.append(self._thread(function.name, self._queue_listener(function).loop))
                case "timerTrigger":
                    timer = Timer(function, self._hosts, self._id, self._sends(function))
                    self._threads.append(self._thread(function.name, timer.loop))

    def start(self) -> None:
        with contextlib.suppress(ResourceExistsError):
            self._hosts.create_container()
        for thread in self._threads:
            thread.start()

    def wait(self) -> None:
        while not self.stopping.wait(0.5):
            pass
        for thread in self._threads:
            thread.join()

    def _thread(self, name: str, loop: Callable[[threading.Event], None]) -> threading.Thread:
        return threading.Thread(target=keep_up, args=(name, loop, self.stopping), name=name)

    def _blob_threads(self, functions: list[Function], scan_every: float) -> list[threading.Thread]:
        watched = [function for function in functions if function.trigger["type"] == "blobTrigger"]
        if not watched:
            return []
        watches = {
            function.id: Watch(function, BlobServiceClient.from_connection_string(connection(_connection(function))))
            for function in watched
        }
        queue = open_queue(self._own, hidden_queue(self._id))
        # The poison queue is in the trigger's account; one for all containers and functions.
        poison = open_queue(connection(_connection(watched[0])), POISON)
        create(queue)
        scan = BlobScan(watches, self._blobs, queue, self._id)
        batch = min(32, self._rules.blob_parallelism // 2 + 1)
        rules = Rules(
            batch=batch,
            threshold=max(0, self._rules.blob_parallelism - batch),
            tries=self._rules.poison_blob_threshold,
            visibility_timeout=0.0,
            longest_pause=self._rules.max_polling_interval,
        )
        listener = QueueListener(queue, poison, rules, scan.run_message)
        return [
            self._thread("blob scan", partial(scan.loop, every=scan_every)),
            self._thread("blob queue", listener.loop),
        ]

    def _queue_listener(self, function: Function) -> QueueListener:
        name = filled(function.trigger["queueName"])
        storage = connection(_connection(function))
        queue = open_queue(storage, name)
        create(queue)
        poison = None if name.endswith("-poison") else open_queue(storage, f"{name}-poison")
        sends = self._sends(function)
        rules = Rules(
            batch=self._rules.batch_size,
            threshold=self._rules.new_batch_threshold,
            tries=self._rules.max_dequeue_count,
            visibility_timeout=self._rules.visibility_timeout,
            longest_pause=self._rules.max_polling_interval,
            encoded=self._rules.base64,
        )

        def handle(body: str, message_id: str, count: int) -> bool:
            return run(function, queue_argument(body, message_id, count), sends)

        return QueueListener(queue, poison, rules, handle)

    def _sends(self, function: Function) -> dict[str, Send]:
        return {
            name: partial(send, open_queue(connection(setting), queue), encoded=self._rules.base64)
            for name, (setting, queue) in output_queues(function).items()
        }


def keep_up(name: str, loop: Callable[[threading.Event], None], stopping: threading.Event, pause: float = 5.0) -> None:
    """Run the loop until it is to stop. One that fails is begun again: nobody else would notice its end."""
    while not stopping.is_set():
        try:
            loop(stopping)
        except BaseException:  # a thread, so neither Ctrl-C nor the interpreter's exit comes here
            log.exception("The loop of %s failed; it begins again in %.0f s", name, pause)
            stopping.wait(pause)


def _connection(function: Function) -> str:
    return str(function.trigger.get("connection") or "AzureWebJobsStorage")


def _host_id(app: Path) -> str:
    return f"local-{hashlib.sha256(str(app).encode()).hexdigest()[:20]}"


if __name__ == "__main__":
    sys.exit(main())
