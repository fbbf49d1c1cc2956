"""Timer triggers: one host fires, by a lease; after a stop, a status blob shows whether a time was missed."""

from __future__ import annotations

import json
import logging
import threading
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from azure.core.exceptions import AzureError, ResourceExistsError, ResourceNotFoundError
from azure.storage.blob import BlobClient, BlobLeaseClient, ContainerClient
from croniter import CroniterBadCronError, croniter

from local.host.functions import Function, Send, run, timer_argument
from local.host.settings import Wrong, filled

log = logging.getLogger("host")

LEASE_SECONDS = 60
RENEW_EVERY = 15.0
MONITORED = timedelta(minutes=1)  #: a timer that fires more often has no status blob


class Timer:
    def __init__(self, function: Function, host: ContainerClient, host_id: str, send: Mapping[str, Send]) -> None:
        self._function, self._send = function, send
        self._schedule = filled(function.trigger["schedule"])
        self._lock = host.get_blob_client(f"locks/{host_id}/{function.id}.Listener")
        self._status = host.get_blob_client(f"timers/{host_id}/{function.id}/status")
        try:
            first = self._next(_now())
        except (CroniterBadCronError, ValueError):
            raise Wrong(
                f"{function.name}: the schedule {self._schedule!r} is not an NCRONTAB expression of six fields, "
                "seconds first"
            ) from None
        self._monitored = self._next(first) - first >= MONITORED

    def loop(self, stopping: threading.Event) -> None:
        while not stopping.is_set():
            try:
                self._fire_while_leader(stopping)
            except AzureError as error:
                log.warning("The timer of %s waits: %s", self._function.name, type(error).__name__)
                stopping.wait(5)

    def _fire_while_leader(self, stopping: threading.Event) -> None:
        lease = self._lead()
        if lease is None:
            stopping.wait(1)
            return
        lost, done = threading.Event(), threading.Event()
        renewing = threading.Thread(target=_renew, args=(lease, done, lost), daemon=True)
        renewing.start()
        try:
            due, past_due = self._first_due()
            while not stopping.is_set() and not lost.is_set():
                if (wait := (due - _now()).total_seconds()) > 0:
                    stopping.wait(min(wait, 1.0))
                    continue
                status = self._read_status()
                run(self._function, timer_argument(status, past_due), self._send)
                due, past_due = self._after(due)
        finally:
            done.set()
            renewing.join()
            if not lost.is_set():
                lease.release()

    def _first_due(self) -> tuple[datetime, bool]:
        """Return when to fire first: at once and past due, if a time was missed while nothing ran."""
        status = self._read_status()
        if status and datetime.fromisoformat(status["Next"]) < _now():
            return _now(), True
        due = self._next(_now())
        if self._monitored and status is None:
            self._write_status(due, due)
        return due, False

    def _after(self, due: datetime) -> tuple[datetime, bool]:
        """Return the next time. Times that passed while the function ran collapse into one."""
        following = self._next(due)
        now = _now()
        next_due = following if following > now else now
        if self._monitored:
            self._write_status(due, next_due)
        return next_due, False

    def _next(self, after: datetime) -> datetime:
        found = croniter(self._schedule, after, second_at_beginning=True).get_next(datetime)
        return found if isinstance(found, datetime) else datetime.fromtimestamp(float(found), UTC)

    def _read_status(self) -> dict[str, str] | None:
        if not self._monitored:
            return None
        try:
            return _checked(json.loads(self._status.download_blob().readall()))
        except ResourceNotFoundError:
            return None
        except (ValueError, TypeError, KeyError, RecursionError) as error:
            log.warning("The status of %s is damaged and made again (%s)", self._function.name, type(error).__name__)
            return None

    def _write_status(self, last: datetime, following: datetime) -> None:
        status = {"Last": last.isoformat(), "Next": following.isoformat(), "LastUpdated": _now().isoformat()}
        self._status.upload_blob(json.dumps(status), overwrite=True)

    def _lead(self) -> BlobLeaseClient | None:
        _create(self._lock)
        try:
            return self._lock.acquire_lease(lease_duration=LEASE_SECONDS)
        except ResourceExistsError:
            return None


def _checked(status: Any) -> dict[str, str]:
    """Return the status if its times can be compared with now; raise an exception of any kind otherwise."""
    if datetime.fromisoformat(status["Next"]).tzinfo is None:
        raise ValueError("a time of it has no time zone")
    return dict(status)


def _create(blob: BlobClient) -> None:
    try:
        blob.upload_blob(b"", overwrite=False)
    except ResourceExistsError:
        return


def _renew(lease: BlobLeaseClient, done: threading.Event, lost: threading.Event) -> None:
    while not done.wait(RENEW_EVERY):
        try:
            lease.renew()
        except Exception:  # whatever it is, the lease runs out
            lost.set()
            return


def _now() -> datetime:
    return datetime.now(UTC)
