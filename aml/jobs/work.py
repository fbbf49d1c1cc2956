"""Carrying out one command: its inputs are fetched, its process runs, its outputs are kept."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from azure.core.exceptions import AzureError

from aml.errors import ArmError
from aml.jobs.command import PAUSE, environment_of, quoted, running, shell
from aml.jobs.log import JobLog
from aml.jobs.registration import register
from aml.jobs.task import LITERAL, Port, Task, fill_in
from aml.state.workspace import Workspace
from aml.storage.addresses import default_output, place_of
from aml.storage.blobs import download, upload
from service.private import make_private


class Ended(Exception):
    """The command was ended: the job is cancelled, or the server stops."""


@dataclass(frozen=True)
class Watch:
    """How a command is watched: `is_over` says that it shall end, `finalizing` is called when it has ended well.

    `keeps` says whether its outputs are kept, `empties` whether they are emptied before.
    """

    is_over: Callable[[], bool]
    finalizing: Callable[[], None]
    keeps: Callable[[], bool]
    empties: Callable[[], bool]


def carry_out(
    workspace: Workspace, job: str, task: Task, python: str, variables: Mapping[str, str], watch: Watch
) -> None:
    """Carry out the task of a job. Raises `ArmError` where it fails, and `Ended`."""
    folder = workspace.folder / "jobs" / job
    shutil.rmtree(folder, ignore_errors=True)
    make_private(folder)
    log = JobLog(workspace.account, job, folder)
    try:
        try:
            work = _Work(workspace, job, task, folder)
            _run(work, python, variables, log, watch)
            watch.finalizing()
            if watch.empties():
                work.empty_outputs()
            if watch.keeps():
                work.keep_outputs()
        except AzureError as error:
            raise ArmError(503, "StorageError", f"The storage could not be used: {type(error).__name__}.") from None
    except ArmError as error:
        log.write(f"{error.code}: {error.message}")
        raise
    finally:
        log.send(now=True)
        for part in ("code", "inputs", "outputs"):
            shutil.rmtree(folder / part, ignore_errors=True)


def _run(work: _Work, python: str, variables: Mapping[str, str], log: JobLog, watch: Watch) -> None:
    task, code = work.task, work.fetch_code()
    command = fill_in(task.command, work.fetch_inputs(), work.output_texts())
    deadline = time.monotonic() + task.seconds if task.seconds is not None else None
    environment = environment_of(python, {**variables, **task.variables})
    with running(shell(command), code, environment, log.file) as exit_code:
        while (status := exit_code()) is None:
            if watch.is_over():
                raise Ended
            if deadline is not None and time.monotonic() > deadline:
                message = f"The job ran for longer than its timeout of {task.seconds:g} seconds and was ended."
                raise ArmError(400, "JobTimedOut", message)
            log.send()
            time.sleep(PAUSE)
    if status:
        message = f"Execution failed. User process exited with status code {status}. See user_logs/std_log.txt."
        raise ArmError(400, "UserError", message)


class _Work:
    """The folder of one job: code, inputs and outputs."""

    def __init__(self, workspace: Workspace, job: str, task: Task, folder: Path) -> None:
        self._workspace, self._job, self.task, self._folder = workspace, job, task, folder

    def fetch_code(self) -> Path:
        """Return the folder in which the command runs."""
        folder = self._made("code")
        if self.task.code:
            place = place_of(self._workspace, self.task.code, "codeId")
            download(self._workspace.account, place, folder, one_file=False)
        return folder

    def fetch_inputs(self) -> dict[str, str]:
        """Return what the command gets for each input."""
        return {name: self._fetched(name, port) for name, port in self.task.inputs.items()}

    def output_texts(self) -> dict[str, str]:
        """Return what the command gets for each output; folders are made, files are not."""
        texts = {}
        for name, port in self.task.outputs.items():
            path = self._output(name, port)
            texts[name] = self._address(name, port) if port.is_direct else quoted(path)
        return texts

    def keep_outputs(self) -> None:
        """Upload what the command wrote, then register what has a name. An output that it did not write is empty."""
        for name, port in self.task.outputs.items():
            path = self._output(name, port)
            if not port.is_direct and path.exists():
                place = place_of(self._workspace, self._address(name, port), f"outputs.{name}")
                upload(self._workspace.account, place, path)
        for name, port in self.task.outputs.items():
            if port.asset:
                register(self._workspace, self._job, name, port, self._address(name, port))

    def empty_outputs(self) -> None:
        for file in (self._folder / "outputs").rglob("*"):
            if file.is_file():
                file.write_bytes(b"")

    def _fetched(self, name: str, port: Port) -> str:
        if port.kind == LITERAL or port.is_direct:
            return port.value
        place = place_of(self._workspace, port.value, f"inputs.{name}")
        folder = self._made(f"inputs/{name}")
        return quoted(download(self._workspace.account, place, folder, one_file=port.kind == "uri_file"))

    def _output(self, name: str, port: Port) -> Path:
        if port.kind != "uri_file":
            return self._made(f"outputs/{name}")
        end = self._address(name, port).rstrip("/").rpartition("/")[2] or name
        return self._made(f"outputs/{name}") / end

    def _address(self, name: str, port: Port) -> str:
        return port.value or default_output(self._job, name, port.kind)

    def _made(self, part: str) -> Path:
        folder = self._folder / part
        folder.mkdir(parents=True, exist_ok=True)
        return folder.absolute()
