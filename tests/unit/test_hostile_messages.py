"""Messages and paths that are not what they should be are refused with what they are, and reach no other blob."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from shared.base.errors import BadMessage
from shared.domain.blob_pattern import captured, fault_of, matches
from shared.domain.messages import Command, Request, read_poisoned_blob, read_request, write_request
from tests.support.fakes import World

#: for a machine that is busy
UNHURRIED = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])

ROLLBACK: dict[str, Any] = {"pipeline": "income", "action": "rollback", "by": "ann"}
MESSAGE = json.dumps(ROLLBACK).encode()
DEEP = b"[" * 100_000
PATHS = [
    "income/../../quarantine/x.csv",
    "income/../x.csv",
    "../x.csv",
    "income/./x.csv",
    "income/..",
    "income/..\\x.csv",
    "income/\\..\\x.csv",
    "income/\0.csv",
    "income/\r\nX-Evil: 1.csv",
    "income/\x85.csv",
    "",
]


@pytest.mark.parametrize("number", [0, -1, 10**9 + 1, 10**25, 1.5, True, "7", float("nan"), []])
@pytest.mark.parametrize("member", ["to", "live"])
def test_a_number_of_an_entry_is_a_whole_number_from_one_on(member: str, number: object) -> None:
    with pytest.raises(BadMessage, match="is not a promotion message"):
        read_request(json.dumps({**ROLLBACK, member: number}).encode())


@pytest.mark.parametrize("member", ["job", "id", "model", "path", "seen", "by"])
def test_a_text_that_is_given_and_empty_is_refused(member: str) -> None:
    with pytest.raises(BadMessage):
        read_request(json.dumps({**ROLLBACK, member: ""}).encode())


def test_a_member_that_is_null_is_not_given() -> None:
    body = {**ROLLBACK, "job": None, "to": None, "parameters": None, "path": None, "id": None, "reason": None}
    assert read_request(json.dumps(body).encode()) == Request(pipeline="income", action=Command.ROLLBACK, by="ann")


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b"", "it is empty"),
        (b"  \n", "it is empty"),
        (json.dumps(ROLLBACK).encode("utf-16"), "it is UTF-16 text; encode it as UTF-8"),
        (json.dumps(ROLLBACK).encode("utf-16-le"), "it is UTF-16 text; encode it as UTF-8"),
        (json.dumps(ROLLBACK).encode("utf-32"), "it is UTF-32 text; encode it as UTF-8"),
        (json.dumps(ROLLBACK).encode("utf-32-be"), "it is UTF-32 text; encode it as UTF-8"),
        ("hello".encode("utf-16"), "it is UTF-16 text; encode it as UTF-8"),
        (b"\x00\x01\x02\x03", "malformed"),
        (base64.b64encode(base64.b64encode(MESSAGE)), "it is base64 twice; encode it once"),
        (base64.b64encode(json.dumps(ROLLBACK).encode("utf-16")), "it is UTF-16 text; encode it as UTF-8"),
        (base64.b64encode(str(MESSAGE).encode()), r"Python's str\(\) of bytes"),
        (str(base64.b64encode(MESSAGE)).encode(), r"Python's str\(\) of bytes"),
        (b'{"pipeline":' * 50_000, "it is nested too deep"),
        (MESSAGE.replace(b"ann", b"\xff"), "it is not UTF-8 text"),
        (b"null", "got `null`"),
        (b"[]", "got `array`"),
        (MESSAGE.replace(b"ann", b"\\ud800"), "is not a promotion message"),
    ],
    ids=lambda each: repr(each[:20]),
)
def test_a_message_in_another_form_says_which_form_it_has(body: bytes, said: str) -> None:
    with pytest.raises(BadMessage, match=said) as raised:
        read_request(body)
    assert len(str(raised.value)) < 1200


@pytest.mark.parametrize(
    "body",
    [
        MESSAGE,
        b"\n " + MESSAGE + b"\r\n",
        base64.b64encode(MESSAGE),
        base64.urlsafe_b64encode(MESSAGE).rstrip(b"="),
        base64.encodebytes(MESSAGE),
        base64.b64encode(b"\xef\xbb\xbf" + MESSAGE),
    ],
)
def test_a_message_is_read_as_it_is_and_in_base64(body: bytes) -> None:
    assert read_request(body).by == "ann"
    poisoned = json.dumps({"ContainerName": "training-data", "BlobName": "ø?.csv"}, ensure_ascii=False).encode()
    for text in (poisoned, base64.b64encode(poisoned), base64.urlsafe_b64encode(poisoned)):
        assert read_poisoned_blob(text) == ("training-data", "ø?.csv")


def test_a_byte_order_mark_before_a_message_is_skipped() -> None:
    assert read_request(b"\xef\xbb\xbf" + MESSAGE).by == "ann"


@pytest.mark.parametrize("by", ["\0", "\u202e<script>", "\x1b[31mann", " "])
def test_who_asks_has_a_name_that_can_be_shown(by: str) -> None:
    with pytest.raises(BadMessage, match="is not a name that can be shown"):
        read_request(json.dumps({**ROLLBACK, "by": by}).encode())


def test_a_reason_has_lines_and_no_terminal_codes() -> None:
    assert read_request(json.dumps({**ROLLBACK, "reason": "one\n\ttwo é"}).encode()).reason == "one\n\ttwo é"
    with pytest.raises(BadMessage, match="control character"):
        read_request(json.dumps({**ROLLBACK, "reason": "\x1b]0;x\x07"}).encode())


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(codec=None)),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=3), inner, max_size=2),
    max_leaves=3,
)
MEMBERS = ["pipeline", "action", "job", "by", "reason", "path", "parameters", "seen", "to", "model", "live", "id", "x"]


@UNHURRIED
@example(DEEP)
@given(st.binary() | st.dictionaries(st.sampled_from(MEMBERS), ANYTHING).map(lambda each: json.dumps(each).encode()))
def test_any_message_is_read_or_refused(body: bytes) -> None:
    for read in (read_request, read_poisoned_blob):
        try:
            read(body)
        except BadMessage as error:
            assert str(error).encode()


@UNHURRIED
@given(st.dictionaries(st.sampled_from(MEMBERS[2:]), ANYTHING), st.sampled_from([each.value for each in Command]))
def test_a_message_that_is_read_is_written_as_it_was(members: dict[str, Any], action: str) -> None:
    try:
        request = read_request(json.dumps({**members, "pipeline": "income", "action": action}).encode())
    except BadMessage:
        return
    assert read_request(write_request(request).encode()) == request


@pytest.mark.parametrize("path", PATHS)
def test_a_path_that_could_lead_elsewhere_fits_no_pattern_and_no_message(path: str) -> None:
    for pattern in ("**", "income/**/*.csv", "*/*", "*/*/*/*.csv"):
        assert not matches(pattern, path)
    assert captured("{place}/**", path) is None
    with pytest.raises(BadMessage, match="cannot be a blob"):
        read_request(json.dumps({**ROLLBACK, "action": "replay", "path": path}).encode())
    with pytest.raises(BadMessage, match="cannot be a blob"):
        read_poisoned_blob(json.dumps({"ContainerName": "training-data", "BlobName": path}).encode())


@UNHURRIED
@given(st.lists(st.sampled_from(["..", ".", "a", "..a", "a..", "", "b.csv"]), min_size=1), st.sampled_from("/\\"))
def test_exactly_the_segments_for_folders_are_refused(segments: list[str], separator: str) -> None:
    path = separator.join(segments)
    assert (fault_of(path) is not None) == bool({"..", "."} & {*segments} or not path)


@pytest.mark.parametrize("path", ["income/a..csv", "income/é 100%.csv", "income/..a/x.csv", "income/?comp=list.csv"])
def test_an_odd_path_that_stays_where_it_is_fits(path: str) -> None:
    assert matches("income/**/*.csv", path)


def test_a_path_that_could_lead_elsewhere_is_never_looked_up() -> None:
    world = World()
    looked: list[str] = []
    world.data.find = looked.append  # type: ignore[method-assign, assignment]
    for path in PATHS:
        assert world.flows.intake.see(path) == []
        with pytest.raises(BadMessage):
            world.flows.intake.replay("income", path, "request-1")
    assert looked == []


@pytest.mark.parametrize(
    ("pattern", "path", "fits"),
    [
        ("income/*.csv", "income/DATA.CSV", True),
        ("income/*.CSV", "income/data.csv", True),
        ("income/*.CSV", "income/data.CSV", True),
        ("income/*.nh.csv", "income/data.nh.CSV", True),
        ("income/*.csv", "Income/data.csv", False),
        ("income/data.csv", "income/DATA.csv", False),
        ("income/*", "income/DATA.CSV", True),
        ("income/*V", "income/DATA.CSV", True),
        ("income/*.csv", "income/data.csvx", False),
    ],
)
def test_the_case_of_an_extension_does_not_count(pattern: str, path: str, fits: bool) -> None:
    assert matches(pattern, path) is fits


def test_the_case_of_an_extension_does_not_count_for_a_fleet() -> None:
    assert captured("bike/{place}/*.csv", "bike/oslo/MAY.CSV") == "oslo"


@pytest.mark.parametrize("facts", [{"to": 7}, {"live": 7}, {"model": "0" * 8}, {"to": 10**9}])
def test_a_rollback_to_nothing_is_refused_without_holding_the_champion(facts: dict[str, Any]) -> None:
    world = World()
    world.flows.requests.carry_out(Request(pipeline="income", action=Command.PROMOTE, job=world.accepted()), "m1")
    fence = world.records.champions.load("income").fence
    with pytest.raises(BadMessage):
        world.flows.requests.carry_out(Request(**{**ROLLBACK, "action": Command.ROLLBACK, **facts}), "m2")
    assert world.records.champions.load("income").fence == fence


def test_a_rollback_that_is_done_is_not_refused_at_its_second_delivery() -> None:
    world = World()
    for name in ("a.csv", "b.csv"):
        world.flows.requests.carry_out(
            Request(pipeline="income", action=Command.PROMOTE, job=world.accepted(name)), name
        )
    request = Request(
        pipeline="income", action=Command.ROLLBACK, by="ann", to=2, live=world.records.champions.load("income").last
    )
    for _ in range(2):
        world.flows.requests.carry_out(request, "m3")
    assert str(world.records.requests.outcome("m3")).startswith("done: ")


def test_what_became_of_a_message_is_kept_for_a_month() -> None:
    world = World()
    world.flows.requests.refuse("old", "it was garbage")
    world.clock.sleep(29 * 86400)
    world.flows.requests.refuse("young", "it was garbage")
    world.flows.retention.run()
    assert [world.records.requests.outcome(each) is not None for each in ("old", "young")] == [True, True]
    world.clock.sleep(2 * 86400)
    world.flows.retention.run()
    assert [world.records.requests.outcome(each) is not None for each in ("old", "young")] == [False, True]
