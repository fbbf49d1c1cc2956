"""The trigger loop's own rules, without storage."""

from __future__ import annotations

import threading

import pytest

from local.host.__main__ import keep_up
from local.host.queues import decode


@pytest.mark.parametrize(
    ("content", "decoded"),
    [
        ("eyJhIjogMX0=", b'{"a": 1}'),
        (" eyJh\r\n\tIjogMX0= ", b'{"a": 1}'),
        ("ZXlKaElqb2dNWDA9", b"eyJhIjogMX0="),  # base64 twice: the app says so
        ("//57ACIA", b'\xff\xfe{\x00"\x00'),  # UTF-16
        ("", b""),
        ('{"a": 1}', None),
        ("b'eyJhIjogMX0='", None),
        ("eyJhIjogMX0", None),
        ("_-8=", None),
        ("eyJh\x0bIjogMX0=", None),
        ("Ünicode", None),
    ],
)
def test_a_message_is_decoded_as_the_host_does(content: str, decoded: bytes | None) -> None:
    assert decode(content, encoded=True) == decoded


def test_a_message_of_a_host_without_encoding_is_taken_as_it_is() -> None:
    assert decode('{"a": "Ü"}', encoded=False) == '{"a": "Ü"}'.encode()


@pytest.mark.parametrize("error", [ValueError("damaged"), RecursionError("deep"), SystemExit("a function that exits")])
def test_a_loop_that_fails_begins_again_until_it_is_stopped(error: BaseException) -> None:
    stopping, begun = threading.Event(), []

    def loop(_: threading.Event) -> None:
        begun.append(len(begun))
        if len(begun) == 3:
            stopping.set()
            return
        raise error

    keep_up("a timer", loop, stopping, pause=0.0)
    assert begun == [0, 1, 2]
