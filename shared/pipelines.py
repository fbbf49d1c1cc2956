"""The typed configuration: what to retrain, how to judge it, where to promote it.

`load_pipelines` reads `pipelines.yaml`; a mistake raises `BadConfiguration`, which names the file, the path of the
key, what is wrong and what would be right.
"""

from __future__ import annotations

import csv
import difflib
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, get_args, get_origin, get_type_hints
from urllib.parse import urlsplit

import msgspec
from msgspec import Meta

from shared.arrivals import Batching
from shared.blob_pattern import matches
from shared.checks import Checks, Column
from shared.errors import BadConfiguration
from shared.evaluation import metric_name
from shared.gate import Rule, parse_rule
from shared.secret import Secret
from shared.settings import Settings

ROWS_AT_MOST = 100  #: kept rows are scored again and again during a promotion
LONGEST = 365 * 86400.0  #: seconds of the longest time span
_DURATION = re.compile(r"^(\d+(?:\.\d+)?)\s*(s|m|h|d)$")
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
_SETTING = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}")
_NO_SETTING = re.compile(r"\$\{(?![A-Za-z_][A-Za-z0-9_]*\})[^}]*\}?")
_KEY = re.compile(r"[!-~]+")
_LOOPBACK = {"localhost", "127.0.0.1", "::1"}
_RESOURCE = re.compile(r"^/subscriptions/[^/?]+/resourceGroups/[^/?]+/providers/[^?]+$")
_NAME = re.compile(r"^[a-z0-9][a-z0-9-]{0,62}$")


class Duration(float):
    """A time span in seconds, written `30s`, `15m`, `6h` or `1d`."""


def read_duration(text: str) -> Duration:
    """Return the span, or raise ValueError."""
    match = _DURATION.match(text.strip())
    seconds = float(match[1]) * _SECONDS[match[2]] if match else 0.0
    if not 0 < seconds <= LONGEST:
        raise ValueError(f"{text!r} is no time span; write 30s, 15m, 6h or 1d, up to 365d")
    return Duration(seconds)


def _default(text: str) -> Any:
    return msgspec.field(default_factory=lambda: read_duration(text))


class Address(str):
    """An address this app may call: https, or http to this machine only; no final slash."""


class ResourceId(str):
    """The id of a resource in the Azure Resource Manager."""


class Part(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A part of the file: a key it does not know is a mistake."""


class Training(Part, frozen=True, kw_only=True):
    """The training web service: its Batch Execution Service makes the model and its evaluation."""

    address: Annotated[Address, Meta(description="Base address, up to and with /services/{id}")]
    key: Annotated[Secret, Meta(description="API key of the service; take it from a setting: ${NAME}")]
    input: Annotated[str, Meta(description="Name of the input port")] = "input1"
    model: Annotated[str, Meta(description="Name of the output port that gives the ilearner")]
    evaluation: Annotated[str, Meta(description="Name of the output port that gives the metrics")]
    parameters: Annotated[dict[str, str], Meta(description="Global parameters of each job")] = {}
    waiting: Annotated[Duration, Meta(description="Longest time in the queue; 6h")] = _default("6h")
    running: Annotated[Duration, Meta(description="Longest time running; 4h")] = _default("4h")
    cancel_late: Annotated[bool, Meta(description="Cancel the BES job that is past its deadline")] = False
    results: Annotated[
        list[Address],
        Meta(description="Blob addresses results may be read from, beyond the app's own storage"),
    ] = []


class Gate(Part, frozen=True, kw_only=True):
    """When a model is good enough."""

    rules: Annotated[list[str], Meta(min_length=1, description="All must hold: 'AUC >= champion - 0.005'")]
    baseline: Annotated[
        dict[str, float], Meta(description="The champion's metrics until this app has promoted one")
    ] = {}

    @property
    def parsed(self) -> list[Rule]:
        return [parse_rule(rule) for rule in self.rules]


class Scoring(Part, frozen=True, kw_only=True):
    """Where rows are scored (RRS)."""

    address: Annotated[Address, Meta(description="Base address, up to and with /services/{id}")]
    key: Annotated[Secret, Meta(description="API key; take it from a setting: ${NAME}")]
    input: Annotated[str, Meta(description="Name of the input port")] = "input1"
    output: Annotated[str, Meta(description="Name of the output port")] = "output1"


class ClassicTarget(Part, frozen=True, kw_only=True, tag_field="kind", tag="classic"):
    """An added endpoint of a Classic predictive web service."""

    name: str
    address: Annotated[Address, Meta(description="The PATCH address, .../webservices/{id}/endpoints/{name}")]
    key: Annotated[Secret, Meta(description="The endpoint's API key or the workspace token")]
    resource: Annotated[str, Meta(description="Exact name of the trained model: '... [trained model]'")]
    scoring: Scoring


class NewTarget(Part, frozen=True, kw_only=True, tag_field="kind", tag="new"):
    """A New predictive web service: a resource of the Azure Resource Manager."""

    name: str
    address: Annotated[Address, Meta(description="The resource manager; Azure's own")] = msgspec.field(
        default_factory=lambda: Address("https://management.azure.com")
    )
    id: Annotated[ResourceId, Meta(description="/subscriptions/{id}/resourceGroups/{group}/providers/...")]
    token: Annotated[Secret | None, Meta(description="Access token; without it the app's identity asks for one")] = None
    asset: Annotated[str, Meta(description="Exact name of the asset: '... [trained model]'")]
    scoring: Scoring


Target = ClassicTarget | NewTarget
_KINDS: dict[str, Any] = {"classic": ClassicTarget, "new": NewTarget}


class Proof(Part, frozen=True, kw_only=True):
    """The rows that show which model answers."""

    rows: Annotated[str, Meta(description="CSV file beside this one: a header and up to 100 rows")]
    timeout: Annotated[Duration, Meta(description="Longest wait for new answers after an update; 3m")] = _default("3m")


class Arrival(Part, frozen=True, kw_only=True):
    """When dropped data is whole, and what of it makes one retraining."""

    settle: Annotated[Duration, Meta(description="How long a blob must be unchanged; 10s")] = _default("10s")
    batch: Annotated[
        Literal["each", "quiet", "marker"],
        Meta(description="Each blob by itself; all until nothing came for a while; all of a folder with a marker"),
    ] = "each"
    quiet: Annotated[Duration, Meta(description="How long nothing must come, with batch: quiet; 5m")] = _default("5m")
    at_most: Annotated[Duration, Meta(description="Longest wait for a batch; 1h")] = _default("1h")
    marker: Annotated[str, Meta(description="Name of the marker; one in .json lists files and hashes")] = "_SUCCESS"
    rows: Annotated[
        Literal["new", "all"], Meta(description="Train on the new rows, or on those of the live model and the new")
    ] = "new"
    jobs: Annotated[int, Meta(ge=1, description="Jobs of the pipeline that run at once; 2")] = 2


class Schedule(str):
    """When to retrain whatever arrives: six fields, seconds first, UTC."""


class Arriving(msgspec.Struct, frozen=True, kw_only=True):
    """The same, ready to use. Times in seconds."""

    settle: float = 10.0
    batching: Batching = Batching()
    marker: str = "_SUCCESS"
    rows: Literal["new", "all"] = "new"
    jobs: int = 2

    def joins(self, files: int) -> bool:
        """Return whether a training on that many files reads a copy that is made for it."""
        return files > 1 or self.rows == "all"


class Entry(Part, frozen=True, kw_only=True):
    """One pipeline as it is written."""

    blobs: Annotated[str, Meta(description="Path pattern within the training container: income/*.csv")]
    checks: Checks = Checks()
    arrival: Arrival = msgspec.field(default_factory=Arrival)
    schedule: Annotated[
        Schedule | None, Meta(description="Retrain on the data that is live at these times: 0 0 3 * * 1")
    ] = None
    training: Training
    gate: Gate
    targets: Annotated[list[Target], Meta(min_length=1)]
    proof: Proof


class PipelinesFile(Part, frozen=True, kw_only=True):
    """The whole file, as the JSON Schema describes it."""

    pipelines: dict[str, Entry]


class Rows(msgspec.Struct, frozen=True):
    """Rows as text, all of the header's length."""

    columns: list[str]
    values: list[list[str]]


class Pipeline(msgspec.Struct, frozen=True, kw_only=True):
    """One pipeline, checked and ready to use."""

    name: str
    blobs: str
    checks: Checks = Checks()
    arriving: Arriving = Arriving()
    schedule: str | None = None
    training: Training
    rules: list[Rule]
    baseline: dict[str, float]
    targets: list[Target]
    rows: Rows
    proof_timeout: float  #: seconds

    def takes(self, path: str) -> bool:
        return matches(self.blobs, path) or self.is_marker(path)

    @property
    def checks_of_a_file(self) -> Checks:
        """What one file must be: where several make a training, one of them may be short, or have one class."""
        if self.arriving.batching.by == "each" or self.checks.label is None:
            return self.checks
        columns = (*self.checks.columns, Column(name=self.checks.label))
        return msgspec.structs.replace(self.checks, columns=columns, label=None, rows_at_least=1)

    def is_marker(self, path: str) -> bool:
        """Return whether the blob says that its folder is complete: a folder in which data of this pipeline may be."""
        folder, _, name = path.rpartition("/")
        return (
            self.arriving.batching.by == "marker"
            and name == self.arriving.marker
            and matches(f"{self.blobs.rpartition('/')[0]}/", f"{folder}/")
        )


def load_pipelines(file: Path, settings: Settings) -> dict[str, Pipeline]:
    """Return the pipelines by name."""
    import yaml

    from shared.yaml_file import load

    try:
        raw = load(file.read_text("utf-8"))
    except FileNotFoundError:
        raise BadConfiguration(
            f"{file} does not exist; copy pipelines.sample.yaml there, or name the file in the setting PIPELINES_FILE"
        ) from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise BadConfiguration(f"{file.name} is not YAML: {error}") from None
    except OSError as error:
        raise BadConfiguration(f"{file} cannot be read: {error.strerror}") from None
    if not isinstance(raw, dict) or set(raw) != {"pipelines"} or not isinstance(raw["pipelines"], dict):
        raise BadConfiguration(f"{file.name} must have one key, 'pipelines', with an entry for each pipeline by name")
    pipelines = {str(name): _pipeline(file, str(name), body, settings) for name, body in raw["pipelines"].items()}
    _refuse_shared_targets(file, pipelines.values())
    return pipelines


def schema() -> dict[str, Any]:
    """Return the JSON Schema of the file, for editors."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Relearn pipelines",
        **msgspec.json.schema(PipelinesFile, schema_hook=_schema_hook),
    }


def _pipeline(file: Path, name: str, body: object, settings: Settings) -> Pipeline:
    def wrong(path: str, message: str) -> BadConfiguration:
        return BadConfiguration(f"{file.name}: pipelines.{name}{path}: {message}")

    if not _NAME.match(name):
        raise wrong("", "a pipeline's name has lower-case letters, digits and dashes, 63 at most")
    filled = _fill(body, settings, lambda path, message: wrong(path, message), "")
    try:
        entry = msgspec.convert(filled, Entry, dec_hook=_dec_hook)
    except msgspec.ValidationError as error:
        path, message = _explain(str(error), filled)
        raise wrong(path, message) from None
    for index, text in enumerate(entry.gate.rules):
        try:
            rule = parse_rule(text)
        except ValueError as error:
            raise wrong(f".gate.rules[{index}]", str(error)) from None
        if rule.champion and rule.metric not in _named(entry.gate.baseline):
            raise wrong(
                ".gate.baseline",
                f"{rule.text!r} compares with the champion; give the {rule.metric} of the model that is live now, "
                "for the first retraining to be judged against",
            )
    for metric in entry.gate.baseline:
        if metric_name(metric) is None:
            raise wrong(f".gate.baseline.{metric}", "is no metric of an evaluation table")
    names = [target.name for target in entry.targets]
    if len(set(names)) != len(names):
        raise wrong(".targets", f"two targets have the same name: {', '.join(names)}")
    try:
        rows = _read_rows(file.parent / entry.proof.rows)
    except ValueError as error:
        raise wrong(".proof.rows", str(error)) from None
    return Pipeline(
        name=name,
        blobs=entry.blobs,
        checks=entry.checks,
        schedule=entry.schedule,
        arriving=Arriving(
            settle=float(entry.arrival.settle),
            batching=Batching(
                by=entry.arrival.batch, quiet=float(entry.arrival.quiet), at_most=float(entry.arrival.at_most)
            ),
            marker=entry.arrival.marker,
            rows=entry.arrival.rows,
            jobs=entry.arrival.jobs,
        ),
        training=entry.training,
        rules=entry.gate.parsed,
        baseline=_named(entry.gate.baseline),
        targets=entry.targets,
        rows=rows,
        proof_timeout=float(entry.proof.timeout),
    )


def _named(baseline: Mapping[str, float]) -> dict[str, float]:
    return {metric_name(metric) or metric: value for metric, value in baseline.items()}


def _refuse_shared_targets(file: Path, pipelines: Iterable[Pipeline]) -> None:
    owners: dict[str, str] = {}
    for pipeline in pipelines:
        for target in pipeline.targets:
            place = (target.address + (target.id if isinstance(target, NewTarget) else "")).casefold()
            place = f"{place} {target.asset if isinstance(target, NewTarget) else target.resource}"
            where = f"pipelines.{pipeline.name}.targets ({target.name})"
            if place in owners:
                raise BadConfiguration(
                    f"{file.name}: {where}: the same model of the same endpoint is the target of {owners[place]}; "
                    "two pipelines would overwrite each other"
                )
            owners[place] = where


def _read_rows(file: Path) -> Rows:
    try:
        with file.open(encoding="utf-8-sig", newline="") as lines:
            header, *values = [row for row in csv.reader(lines) if row]
    except FileNotFoundError:
        raise ValueError(f"{file.name} does not exist beside the pipelines file") from None
    except (ValueError, csv.Error, UnicodeDecodeError):
        raise ValueError(f"{file.name} is no CSV file with a header and rows") from None
    except OSError as error:
        raise ValueError(f"{file.name} cannot be read: {error.strerror}") from None
    if not 1 <= len(values) <= ROWS_AT_MOST:
        raise ValueError(f"{file.name} has {len(values)} rows; 1 to {ROWS_AT_MOST} were expected")
    for number, row in enumerate(values, 2):
        if len(row) != len(header):
            raise ValueError(f"{file.name} line {number} has {len(row)} values, its header {len(header)}")
    return Rows(header, values)


def _fill(value: object, settings: Settings, wrong: Any, path: str) -> object:
    """Return the value with each `${NAME}` in its strings replaced by that setting."""
    if isinstance(value, dict):
        return {k: _fill(v, settings, wrong, f"{path}.{k}") for k, v in value.items()}
    if isinstance(value, list):
        return [_fill(v, settings, wrong, f"{path}[{i}]") for i, v in enumerate(value)]
    if not isinstance(value, str):
        return value
    if odd := _NO_SETTING.search(value):
        raise wrong(path, f"{odd[0]!r} names no setting; write ${{NAME}}, in letters, digits and _")

    def setting(match: re.Match[str]) -> str:
        try:
            return settings.require(match[1])
        except BadConfiguration as error:
            raise wrong(path, str(error)) from None

    return _SETTING.sub(setting, value)


def _dec_hook(kind: type, value: object) -> object:
    if not isinstance(value, str):
        raise ValueError(f"Expected `str`, got `{type(value).__name__}`")
    if kind is Secret:
        if not value.strip():
            raise ValueError("is empty; name a setting that holds it: ${NAME}")
        if not _KEY.fullmatch(value.strip()):
            raise ValueError("has a space or a sign that no key has; copy the whole key once more")
        return Secret(value.strip())
    if kind is Duration:
        return read_duration(value)
    if kind is Address:
        return read_address(value)
    if kind is Schedule:
        return _schedule(value)
    if kind is ResourceId:
        if not _RESOURCE.match(value):
            raise ValueError(
                f"{_shown(value, '/')} is no resource id; write /subscriptions/{{id}}/resourceGroups/{{group}}/"
                "providers/Microsoft.MachineLearning/webServices/{name}"
            )
        return ResourceId(value)
    raise NotImplementedError(kind)


def _schedule(value: str) -> Schedule:
    from croniter import croniter

    if len(value.split()) != 6 or not croniter.is_valid(value, second_at_beginning=True):
        raise ValueError(f"{value!r} is no schedule; write six fields, seconds first: 0 0 3 * * 1 is Mondays at 3, UTC")
    return Schedule(value)


def read_address(value: str) -> Address:
    """Return the address, or raise ValueError."""
    address = value.strip().rstrip("/.")
    parts = urlsplit(address)
    try:
        host, _ = parts.hostname, parts.port
    except ValueError:
        host = None
    if parts.scheme not in ("http", "https") or not host:
        raise ValueError(f"{_shown(value, '://')} is no address; write https://host/path")
    if parts.scheme == "http" and host not in _LOOPBACK:
        raise ValueError(f"{value!r} would send keys unencrypted; write https:// (http is for this machine only)")
    if parts.query or parts.fragment or parts.username:
        raise ValueError(f"an address has no user, '?' or '#'; write {parts.scheme}://{host}{parts.path}")
    return Address(address)


def _shown(value: str, mark: str) -> str:
    """Return what stands there; without the mark of what it should be, it may be a key in the wrong place."""
    return repr(value) if mark in value else "what stands there"


def _schema_hook(kind: type) -> dict[str, Any]:
    if kind is Duration:
        return {"type": "string", "pattern": _DURATION.pattern, "examples": ["30s", "15m", "6h", "1d"]}
    if kind is Address:
        return {"type": "string", "pattern": "^(https?://|\\$\\{)"}
    if kind is Schedule:
        return {"type": "string", "examples": ["0 0 3 * * 1"]}
    if kind is ResourceId:
        return {"type": "string", "pattern": "^(/subscriptions/|\\$\\{)"}
    return {"type": "string", "examples": ["${NAME_OF_A_SETTING}"]}


#: what would be right, by the type that was expected
_RIGHT = {
    "str": "write it in quotes",
    "float": "write a number, without quotes",
    "bool": "write true or false",
    "array": "write a list: [a, b]",
    "object": "write keys and their values below it",
}


def _explain(error: str, body: object) -> tuple[str, str]:
    """Return the path of the key (`.gate.rules[0]`) and the message, with what would be right."""
    message, _, path = error.partition(" - at `$")
    path = path.rstrip("`")
    if unknown := re.match(r"Object contains unknown field `(.+)`", message):
        known = sorted(_fields_at(path, body))
        near = difflib.get_close_matches(unknown[1], known, n=1)
        hint = f"did you mean {near[0]!r}?" if near else f"known keys: {', '.join(known)}"
        return f"{path}.{unknown[1]}", f"is no key here; {hint}"
    if message.startswith("Invalid value") and path.endswith(".kind"):
        return path, f"{message}; write one of: {', '.join(_KINDS)}"
    if expected := re.match(r"Expected `(\w+)", message):
        message += f"; {_RIGHT[expected[1]]}" if expected[1] in _RIGHT else ""
        if path.endswith("[...]"):  # a value of free keys: which one is not told
            path = path.removesuffix("[...]")
            right = str if expected[1] == "str" else (int, float)
            path += next((f".{key}" for key, value in _at(body, path).items() if not isinstance(value, right)), "")
    return path, message


def _at(body: Any, path: str) -> Any:
    """Return the part of the file that the path leads to."""
    for key, index in re.findall(r"\.(\w+)|\[(\d+)\]", path):
        body = body[key] if key else body[int(index)]
    return body


def _fields_at(path: str, body: object) -> set[str]:
    kinds: list[Any] = [Entry]
    for key in re.findall(r"\.(\w+)", path):
        kinds = [hint for kind in kinds for hint in _structs(get_type_hints(kind).get(key))]
    if set(kinds) == set(_KINDS.values()):
        kind = _KINDS[_at(body, path)["kind"]]
        return {"kind", *kind.__struct_fields__}
    return {field for kind in kinds for field in kind.__struct_fields__}


def _structs(hint: Any) -> list[Any]:
    if get_origin(hint) is Literal:
        return []
    if isinstance(hint, type) and issubclass(hint, msgspec.Struct):
        return [hint]
    return [struct for argument in get_args(hint) for struct in _structs(argument)]
