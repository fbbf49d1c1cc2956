"""A process that dies right after its n-th write, within this one: from then on none of its calls gets out.

What a dying process would still do (give a lease back, write an outcome) fails as it would there, so that only what
was sent before counts. It is for many deaths in a short time; `crashing` kills real processes.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import requests.adapters

from tests.support.crashing import changes


class Died(BaseException):
    """No `except Exception` catches it."""


@contextmanager
def dying(after: int | None) -> Iterator[None]:
    """Let what is done within die after that many calls that may change something; None lets it live.

    Swallows the death.
    """
    send = requests.adapters.HTTPAdapter.send
    writes = 0

    def counted(
        self: requests.adapters.HTTPAdapter, request: requests.PreparedRequest, **options: object
    ) -> requests.Response:
        nonlocal writes
        if after is not None and writes >= after:
            raise Died
        writes += changes(request)
        answer = send(self, request, **options)  # type: ignore[arg-type]
        if writes == after:
            raise Died
        return answer

    requests.adapters.HTTPAdapter.send = counted  # type: ignore[method-assign, assignment]
    try:
        yield
    except Died:
        return
    finally:
        requests.adapters.HTTPAdapter.send = send  # type: ignore[method-assign]
