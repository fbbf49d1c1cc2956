"""Lets one start install at a time, in a new folder that is renamed when whole: a killed start harms nothing."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from local.setup.problems import Missing, read_only
from local.setup.progress import say
from service.exclusive import hold

FOLDER = ".install"  #: lock, uv, its cache and what is being made; on the same disk as what is made


@contextmanager
def alone(root: Path) -> Iterator[Path]:
    """Hold the lock among the starts in this folder. Yields the folder to make things in, which is empty."""
    folder = root / FOLDER
    try:
        folder.mkdir(exist_ok=True)
        lock = (folder / "lock").open("w")
    except OSError as error:
        raise _refused(root, error) from None
    with lock:  # the system releases it too when this process is killed
        if not hold(lock.fileno(), wait=False):
            say("another start is installing; waiting")
            hold(lock.fileno(), wait=True)
        for remains in folder.glob("new-*"):  # of a start that was killed
            shutil.rmtree(remains, ignore_errors=True)
        new = folder / f"new-{os.getpid()}"
        try:
            new.mkdir()
            yield new
        except OSError as error:
            raise _refused(root, error) from None
        finally:
            shutil.rmtree(new, ignore_errors=True)


def put_in_place(made: Path, folder: Path) -> None:
    """Rename what was made to where it belongs; what was there goes."""
    if folder.exists():
        former = made.with_name(f"{made.name}-former")
        _rename(folder, former)
        _rename(made, folder)
        shutil.rmtree(former, ignore_errors=True)
    else:
        _rename(made, folder)


def _rename(source: Path, target: Path) -> None:
    try:
        source.rename(target)
    except PermissionError:
        if os.name == "nt":  # Windows keeps a folder in place while a program in it runs
            raise Missing(f"{source} is in use; end what runs from it, and start again") from None
        raise


def _refused(root: Path, error: OSError) -> Exception:
    if error.errno in (errno.EROFS, errno.EACCES, errno.EPERM):
        return read_only(root)
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return Missing(f"the disk of {root} is full")
    return error
