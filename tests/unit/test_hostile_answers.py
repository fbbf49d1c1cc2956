"""An answer has limits of size, depth and time, and every failure is an error that says what to do next."""

from __future__ import annotations

import gzip
import json
import threading
import zlib
from collections.abc import Iterator

import pytest
import requests
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from shared.adapters.http import OF_AN_ANSWER, Answer, Limits, Service, download, failure, retry_after
from shared.adapters.studio.bes import read_bes_job
from shared.adapters.studio.bes_details import innermost_message
from shared.base.errors import LONGEST, BadEvaluation, RetrainingError, ServiceUnavailable, UnexpectedAnswer
from shared.domain.evaluation import read_evaluation
from shared.domain.gate.scored import read_scored
from tests.support.wire import Scripted, scripted_service

#: for a machine that is busy
UNHURRIED = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])

DEEP = b"[" * 200_000 + b"]" * 200_000
DEEP_ERROR = b'{"error":' * 100_000 + b"1" + b"}" * 100_000


@pytest.fixture
def service() -> Iterator[Scripted]:
    with scripted_service() as running:
        yield running


def call(service: Scripted) -> Answer:
    return Service(requests.Session(), "income", service.address, lambda: "Bearer key").call("GET", "jobs/1")


def downloaded(service: Scripted, limits: Limits = OF_AN_ANSWER) -> bytes:
    return b"".join(download(requests.Session(), f"{service.address}/blob?sig=S3CRET", limits))


@pytest.mark.parametrize(
    "body",
    [
        DEEP,
        b'{"StatusCode": ' + b"9" * 10_000 + b"}",
        b'{"StatusCode": 1e999}',
        b'{"StatusCode": NaN}',
        b'{"StatusCode": Infinity}',
        b'"\xff\xfe\xfa"',
        b'{"StatusCode": "\\ud800"}',
        b'{"StatusCode": "\xff"}',
        b'{"StatusCode": {"a": 1}}',
        b'{"StatusCode": ' + b'{"a":' * 800 + b"1" + b"}" * 801,
        b'{"StatusCode": "Finished", "Results": ["a"]}',
        b'{"StatusCode": "' + b"x" * 1_000_000 + b'"}',
        '{"StatusCode": "Finished"}'.encode("utf-16"),
    ],
    ids=lambda body: repr(body[:30]),
)
def test_a_body_that_no_reader_expects_is_an_unexpected_answer(service: Scripted, body: bytes) -> None:
    service.answer(200, body)
    with pytest.raises(UnexpectedAnswer) as raised:
        call(service).read(read_bes_job, "BES job")
    assert len(str(raised.value)) < LONGEST + 10


def test_a_byte_order_mark_before_an_answer_is_skipped(service: Scripted) -> None:
    service.answer(200, b'\xef\xbb\xbf{"a": 1}')
    assert call(service).json() == {"a": 1}


@pytest.mark.parametrize(
    "body",
    [DEEP_ERROR, b'{"error": {"code": "\\ud800", "message": 1}}', b'{"error": [1]}'],
    ids=lambda each: str(len(each)),
)
def test_an_error_of_any_body_is_classified_by_its_status(body: bytes) -> None:
    assert isinstance(failure("GET x", 503, {}, body), ServiceUnavailable)


def test_a_hint_follows_the_message_of_a_service_without_its_full_stop() -> None:
    error = {"error": {"code": "Denied", "message": "The key is wrong.", "details": []}}
    said = str(failure("GET x", 401, {}, json.dumps(error).encode()))
    assert said.startswith("GET x answered 401 Denied: The key is wrong; check the key, or the identity's role")


@pytest.mark.parametrize(
    "value",
    [
        "Mon, 01 Jan 99999999999999999999 00:00:00 GMT",
        "Mon, 01 Jan 2027 00:00:00 +9999999999",
        "9" * 5000,
        "²",
        "٣",
        "-1",
        "nan",
        "1e3",
    ],
    ids=ascii,
)
def test_a_retry_after_that_is_not_one_is_left_out(value: str) -> None:
    assert retry_after({"retry-after": value}) is None


@UNHURRIED
@given(st.text() | st.from_regex(r"[A-Z][a-z]{2}, \d{1,3} [A-Z][a-z]{2} \d{1,9} \d\d:\d\d:\d\d [+-]\d{4,6}"))
def test_any_retry_after_is_read_or_left_out(value: str) -> None:
    seconds = retry_after({"retry-after": value})
    assert seconds is None or 0 <= seconds < float("inf")


@pytest.mark.parametrize("length", ["abc", "-5", "", "9" * 5000, "²"], ids=ascii)
def test_a_content_length_that_is_not_one_is_left_out(service: Scripted, length: str) -> None:
    service.answer(200, lambda: iter([b"hello"]), Content_Length=length.encode().decode("latin-1"))
    assert downloaded(service) == b"hello"


@pytest.mark.parametrize("length", ["100", "3, 4"])
def test_a_wrong_content_length_is_refused(service: Scripted, length: str) -> None:
    service.answer(200, lambda: iter([b"hello"]), Content_Length=length)
    with pytest.raises(ServiceUnavailable, match=r"broke off|no answer"):
        downloaded(service)


@pytest.mark.parametrize("encoding", ["gzip", "GZIP", "x-gzip", "deflate"])
def test_a_compressed_result_is_read_whole(service: Scripted, encoding: str) -> None:
    compress = zlib.compress if encoding == "deflate" else gzip.compress
    service.answer(200, compress(b"model" * 1000), Content_Encoding=encoding)
    assert downloaded(service) == b"model" * 1000


@pytest.mark.parametrize("encoding", ["br", "gzip, gzip", "aes"])
def test_a_content_encoding_that_is_not_read_is_refused_by_name(service: Scripted, encoding: str) -> None:
    service.answer(200, b"model", Content_Encoding=encoding)
    with pytest.raises(UnexpectedAnswer, match=f"Content-Encoding '{encoding}'"):
        downloaded(service)


def test_content_that_is_not_what_its_encoding_says_is_refused(service: Scripted) -> None:
    service.answer(200, b"model", Content_Encoding="gzip")
    with pytest.raises(ServiceUnavailable, match="broke off"):
        downloaded(service)


def test_an_answer_larger_than_its_limit_is_left(service: Scripted) -> None:
    service.answer(200, gzip.compress(b" " * (OF_AN_ANSWER.size + 1)), Content_Encoding="gzip")
    with pytest.raises(UnexpectedAnswer, match="more than 67108864 bytes"):
        call(service)


def test_an_answer_that_never_ends_is_left(service: Scripted) -> None:
    released, sent = threading.Event(), []

    def pieces() -> Iterator[bytes]:
        for number in range(1000):
            sent.append(number)
            yield b" "
            released.wait(60)

    service.answer(200, pieces)
    try:
        with pytest.raises(ServiceUnavailable, match="had not answered all after 0 s"):
            downloaded(service, Limits(size=100, seconds=0.0))
    finally:
        released.set()
    assert sent[:2] in ([0], [0, 1])


@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_no_redirect_is_followed(service: Scripted, status: int) -> None:
    with scripted_service() as other:
        other.answer(200, b"{}")
        service.answer(status, b"", Location=f"{other.address}/stolen")
        for asked in (call, downloaded):
            with pytest.raises(UnexpectedAnswer, match="a redirect, which is not followed"):
                asked(service)
        assert other.asked == []


@pytest.mark.parametrize(
    "text", ['{"a":' * 40_000, '{"a":[' + '{"b":1},' * 20_000, "{" * 100_000], ids=lambda each: str(len(each))
)
def test_details_of_any_form_are_looked_at_a_limited_number_of_times(text: str) -> None:
    assert len(innermost_message(text)) <= 1000


def test_a_message_within_details_can_be_stored_and_shown() -> None:
    assert innermost_message('{"Message": "\\ud800 \\u001b[31m see ?sig=S3CRET"}') == r"\ud800 \x1b[31m see ?sig=***"


@UNHURRIED
@example("\ud800")
@example("\x1b]0;x\x07")
@given(st.text(st.characters(codec=None)))
def test_the_text_of_an_error_can_be_stored_and_shown(text: str) -> None:
    shown = str(RetrainingError(text))
    assert shown.encode().decode() == shown
    assert all(each.isprintable() or each in "\n\t\xa0" for each in shown)


TABLES = st.binary() | st.text('",\n\r\0aAUC.109-\t\ufeff', max_size=60).map(str.encode)


@UNHURRIED
@given(TABLES, st.integers(1, 7))
def test_any_table_of_a_training_is_read_or_refused(content: bytes, size: int) -> None:
    pieces = [content[at : at + size] for at in range(0, len(content), size)]
    for read in (lambda: read_evaluation(content), lambda: read_scored(iter(pieces), "label", 5)):
        try:
            read()
        except BadEvaluation as error:
            assert str(error)
