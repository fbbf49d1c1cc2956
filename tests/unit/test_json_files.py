"""Files as people's tools write them are read, or refused with the line, the column and the mistake."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from local.host.settings import Wrong, read_host_json, take_settings
from service.commands import Stopped
from shared.base.errors import BadConfiguration
from shared.base.json_file import read_json
from shared.base.yaml_file import load
from shared.cli.place import Stopped as CommandStopped
from shared.cli.place import chosen_settings
from studio.cli.definitions import _read as read_definition

BODY = {"IsEncrypted": False, "Values": {"RETRAINING_STORE": "é"}, "properties": {}}
TEXT = json.dumps(BODY, indent=2, ensure_ascii=False)
ENCODINGS = ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32"]
MISTAKES = {
    "remark": (TEXT.replace("{\n", "{\n  // a remark\n", 1), "line 2, column 3", "JSON has no remarks"),
    "remark behind": (TEXT.replace("false,", "false, /* no */"), "line 2, column 25", "JSON has no remarks"),
    "hash": ("{\n# a remark\n}", "line 2, column 1", "JSON has no remarks"),
    "comma": (TEXT.replace('"é"', '"é",'), "line ", "a comma too many"),
    "comma in a list": ("[\n1,\n]", "line ", "a comma too many"),
    "cut off": (TEXT[:30], "line 3", "is not JSON"),
    "empty": ("", "line 1, column 1", "the text ends here"),
    "not a number": ('{"a": NaN}', "", "NaN is not a number"),
    "deep": ("[" * 100_000, "", "nested too deep"),
    "long number": ("9" * 10_000, "", "is not JSON"),
}


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_every_encoding_of_windows_tools_is_read_everywhere(tmp_path: Path, encoding: str) -> None:
    file = tmp_path / "local.settings.json"
    file.write_bytes(TEXT.replace("\n", "\r\n").encode(encoding))
    assert read_json(file) == read_definition(file) == BODY
    assert chosen_settings(file)[0] == BODY["Values"]


@pytest.mark.parametrize(("text", "place", "mistake"), MISTAKES.values(), ids=MISTAKES)
def test_a_mistake_is_reported_with_its_line_and_column_everywhere(
    tmp_path: Path, text: str, place: str, mistake: str
) -> None:
    file = tmp_path / "a.json"
    file.write_text(text, "utf-8")
    with pytest.raises(BadConfiguration, match=mistake) as raised:
        read_json(file, "a.json")
    assert str(raised.value).startswith("a.json is not JSON")
    assert place in str(raised.value)
    with pytest.raises(CommandStopped, match=mistake):
        chosen_settings(file)
    with pytest.raises(Stopped, match=mistake) as refused:
        read_definition(file)
    assert place in str(refused.value)
    with pytest.raises(Wrong, match=mistake):
        take_settings(file)
    with pytest.raises(Wrong, match=mistake):
        read_host_json(file)


def test_text_in_no_unicode_encoding_is_named_with_its_line(tmp_path: Path) -> None:
    file = tmp_path / "a.json"
    file.write_bytes('{\n"a": "é"}'.encode("latin-1"))
    with pytest.raises(BadConfiguration, match="is not UTF-8 text: line 2; save it as UTF-8"):
        read_json(file)
    with pytest.raises(Stopped, match="is not UTF-8 text: line 2"):
        read_definition(file)
    file.write_bytes(b"\xef\xbb\xbf\n\xff")
    with pytest.raises(BadConfiguration, match="is not UTF-8 text: line 2"):
        read_json(file)


def test_a_setting_is_a_text_a_number_or_a_truth_value(tmp_path: Path) -> None:
    file = tmp_path / "local.settings.json"
    file.write_text('{"Values": {"A": "x", "KEEP_MODELS": 10, "B": true}}')
    assert chosen_settings(file)[0] == {"A": "x", "KEEP_MODELS": "10", "B": "true"}
    for odd in ("null", "[]", "{}"):
        file.write_text(f'{{"Values": {{"A": {odd}}}}}')
        with pytest.raises(CommandStopped, match=r"Values\.A must be a text"):
            chosen_settings(file)


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture])
@given(content=st.binary() | st.text().map(lambda each: each.encode("utf-16")))
def test_any_content_is_read_or_refused(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "a.json"
    file.write_bytes(content)
    for read, refusal in ((read_json, BadConfiguration), (read_definition, Stopped), (chosen_settings, CommandStopped)):
        try:
            read(file)
        except refusal as error:
            assert str(file) in str(error)


BOMB = "a: &a [x, x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{name}: &{name} [{', '.join([f'*{before}'] * 10)}]\n" for before, name in zip("abcdefgh", "bcdefghi", strict=True)
)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (BOMB, "more than 1000000 values"),
        ("a: &a [*a]", "more than 1000000 values"),
        ("[" * 10_000, "nested too deep"),
        ("a: 2026-99-99", "month must be in"),
        ("a: .nan", "nan is not a number"),
        ("a: -.inf", "-inf is not a number"),
        ("a: \0", "special characters"),
        ("a: 1\na: 2", "stands twice"),
    ],
    ids=lambda each: repr(each[:20]),
)
def test_yaml_that_cannot_be_used_is_refused(text: str, said: str) -> None:
    with pytest.raises(yaml.YAMLError, match=said):
        load(text)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_yaml_is_read_in_the_encodings_of_windows_tools(encoding: str) -> None:
    assert load("pipelines: {a: é}".encode(encoding)) == {"pipelines": {"a": "é"}}
