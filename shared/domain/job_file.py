"""A command job as `az ml job create --file` takes it, read into the members of the service. No I/O.

What the file names must be in the workspace: the client of `az ml` uploads code and data of the machine where it runs,
and the app has none.
"""

import hashlib
import re
from collections.abc import Callable, Mapping
from pathlib import PurePath
from typing import Any

from shared.base.errors import BadConfiguration
from shared.base.suggestion import suggestion
from shared.domain.azureml import AzureMLTraining

_ASSET = re.compile(r"azureml:([\w.-]+):([\w.-]+)")
_ADDRESS = re.compile(r"(azureml|https|wasbs|abfss)://")
_MODELS = ("mlflow_model", "custom_model", "triton_model")
_FILES = ("uri_file", "uri_folder", "mltable", *_MODELS)
_MODES = {
    "ro_mount": "ReadOnlyMount", "rw_mount": "ReadWriteMount", "download": "Download", "upload": "Upload",
    "direct": "Direct",
}  # fmt: skip
_IDENTITIES = {"managed": "Managed", "aml_token": "AMLToken"}
#: keys that change nothing of the job that the app makes
_LEFT_OUT = frozenset({"$schema", "type", "name", "display_name", "description", "experiment_name", "limits"})
_HINT = "publish the training as a command component, and name that (component: NAME:VERSION)"

JobProperties = dict[str, Any]
Environment = tuple[str, dict[str, Any]]  #: path of one that has to be made, and its body


class JobFile:
    """The file of a training's job; ids in it are of the training's workspace. `read` gives the content of a file."""

    def __init__(self, name: str, training: AzureMLTraining, read: Callable[[str], bytes]) -> None:
        champion = training.champion
        self._given = {training.data, *([champion.input] if champion else [])}  #: inputs that each job gets a path for
        self._name, self._workspace, self._open = name, str(training.workspace), read
        self._key = ""  #: what is being read, such as inputs.data
        self._source = b""

    def read(self) -> tuple[JobProperties, Environment | None]:
        """Return the properties of the job, and the environment to make first where the file describes one."""
        readers: Mapping[str, Callable[[Any], JobProperties]] = {
            "command": lambda value: {"command": self._text("command", value)},
            "code": lambda value: {"codeId": self._asset("code", value, "codes")},
            "compute": self._compute,
            "environment": lambda value: {"environmentId": self._environment(value)[0]},
            "environment_variables": lambda value: {
                "environmentVariables": self._texts("environment_variables", value)
            },
            "identity": self._identity,
            "inputs": lambda value: {"inputs": self._each("inputs", value, self._input)},
            "outputs": lambda value: {"outputs": self._each("outputs", value, self._output)},
            "resources": lambda value: {"resources": _camel(self._map("resources", value))},
            "tags": lambda value: {"tags": self._texts("tags", value)},
        }
        content = self._content()
        kind = content.get("type", "command")
        if kind != "command":
            self._key = "type"
            raise self._error(f"'type' is {kind!r}; it can be command; {_HINT}")
        properties: JobProperties = {}
        for name, value in content.items():
            if name in _LEFT_OUT:
                continue
            self._key = str(name)
            if name not in readers:
                raise self._error(f"{name!r} is not a key that is read here; {suggestion(str(name), readers)}")
            properties |= readers[name](value)
        self._key = ""
        for name, member in (("command", "command"), ("environment", "environmentId")):
            if member not in properties:
                raise self._error(f"{name!r} is missing; write it as az ml job create takes it")
        return properties, self._environment(content["environment"])[1]

    def _content(self) -> dict[Any, Any]:
        import yaml

        from shared.base.yaml_file import load

        try:
            self._source = self._open(self._name)
            content = load(self._source)
        except FileNotFoundError:
            raise self._error("does not exist; training.job names a file beside the pipelines file") from None
        except OSError as error:
            raise self._error(f"cannot be read: {error.strerror}") from None
        except (yaml.YAMLError, UnicodeDecodeError) as error:
            raise self._error(f"is not YAML: {' '.join(str(error).split())[:200]}") from None
        if not isinstance(content, dict):
            raise self._error("is not a job: a map of names and values was expected")
        return content

    def _compute(self, value: Any) -> JobProperties:
        name = self._text("compute", value).removeprefix("azureml:")
        if name == "serverless":
            return {}
        return {"computeId": name if name.startswith("/subscriptions/") else f"{self._workspace}/computes/{name}"}

    def _environment(self, value: Any) -> tuple[str, Environment | None]:
        """Return the id of the environment, and how it is made where the file describes it."""
        if isinstance(value, str):
            return self._asset("environment", value, "environments"), None
        given = self._map("environment", value)
        if unknown := sorted(given.keys() - {"image", "conda_file", "name", "version"}):
            raise self._error(f"'environment' has {unknown[0]!r}; it can have image and conda_file")
        body = {"image": self._text("image", given.get("image")), "osType": "Linux"}
        if conda := given.get("conda_file"):
            import yaml

            body["condaFile"] = yaml.safe_dump(conda) if isinstance(conda, dict) else self._beside("conda_file", conda)
        # Named by its content, so that it is made once.
        digest = hashlib.sha256("\n".join(f"{name}={body[name]}" for name in sorted(body)).encode()).hexdigest()
        path = f"environments/relearn-{digest[:16]}/versions/1"
        return f"{self._workspace}/{path}", (path, {"properties": body})

    def _beside(self, name: str, value: Any) -> str:
        file = str(PurePath(self._name).parent / self._text(name, value))
        try:
            return self._open(file).decode()
        except (OSError, UnicodeDecodeError) as error:
            raise self._error(f"{name!r} names {file}, which cannot be read ({type(error).__name__})") from None

    def _identity(self, value: Any) -> JobProperties:
        given = self._map("identity", value)
        kind = str(given.get("type"))
        if kind not in _IDENTITIES:
            raise self._error(f"'identity' is of type {kind!r}; it can be: {', '.join(_IDENTITIES)}")
        client = {"clientId": self._text("client_id", given["client_id"])} if "client_id" in given else {}
        return {"identity": {"identityType": _IDENTITIES[kind], **client}}

    def _input(self, name: str, value: Any) -> dict[str, Any]:
        given = value if isinstance(value, dict) else {"value": value}
        if given.get("path") is not None:
            kind = str(given.get("type", "uri_folder"))
            address = self._asset(f"inputs.{name}.path", given["path"], "models" if kind in _MODELS else "data")
            return {"jobInputType": kind, "uri": address, **self._mode(name, given)}
        if isinstance(given.get("value"), dict | list):
            raise self._error(f"the input {name!r} must be a value, or a map with a type and a path")
        if "value" not in given and given.get("type") in _FILES:
            if name not in self._given:
                raise self._error(f"the input {name!r} has no path, and no job gets one for it; write its path")
            return {"jobInputType": given["type"], **self._mode(name, given)}
        return {"jobInputType": "literal", "value": "" if given.get("value") is None else str(given["value"])}

    def _output(self, name: str, value: Any) -> dict[str, Any]:
        given = self._map(f"outputs.{name}", value or {})
        place = {"uri": self._asset(f"outputs.{name}.path", given["path"], "data")} if given.get("path") else {}
        return {"jobOutputType": str(given.get("type", "uri_folder")), **place, **self._mode(name, given)}

    def _mode(self, name: str, given: Mapping[str, Any]) -> dict[str, str]:
        if "mode" not in given:
            return {}
        if given["mode"] not in _MODES:
            raise self._error(f"'mode' of {name!r} is {given['mode']!r}; it can be: {', '.join(_MODES)}")
        return {"mode": _MODES[given["mode"]]}

    def _asset(self, name: str, value: Any, collection: str) -> str:
        """Return the id of an asset of the workspace, or the address that stands there."""
        text = self._text(name, value)
        if found := _ASSET.fullmatch(text):
            return f"{self._workspace}/{collection}/{found[1]}/versions/{found[2]}"
        if text.startswith("azureml:/subscriptions/"):
            return text.removeprefix("azureml:")
        if _ADDRESS.match(text):
            return text
        if text.startswith("azureml:"):
            raise self._error(f"{name!r} is {text!r}; write azureml:NAME:VERSION, so that each job uses the same")
        raise self._error(
            f"{name!r} is {text[:200]!r}, and the app uploads no file; write azureml:NAME:VERSION, or {_HINT}"
        )

    def _each(self, name: str, value: Any, read: Callable[[str, Any], dict[str, Any]]) -> dict[str, Any]:
        found = {}
        for key, each in self._map(name, value or {}).items():
            self._key = f"{name}.{key}"
            found[str(key)] = read(str(key), each)
        return found

    def _texts(self, name: str, value: Any) -> dict[str, str]:
        return {str(key): self._text(f"{name}.{key}", each) for key, each in self._map(name, value).items()}

    def _map(self, name: str, value: Any) -> dict[str, Any]:
        if not isinstance(value, dict):
            raise self._error(f"{name!r} must be a map of names and values")
        return value

    def _text(self, name: str, value: Any) -> str:
        if value is None or isinstance(value, dict | list) or not str(value).strip():
            raise self._error(f"{name!r} must be a text")
        return str(value)

    def _error(self, message: str) -> BadConfiguration:
        line = _lines(self._source).get(self._key) if self._key else None
        return BadConfiguration(f"{self._name}:{line}: {message}" if line else f"{self._name}: {message}")


def _lines(source: bytes) -> dict[str, int]:
    """Return the lines of the keys, and of those below each, such as inputs.data."""
    import yaml

    found: dict[str, int] = {}
    document = yaml.compose(source, yaml.SafeLoader)
    for key, value in document.value if isinstance(document, yaml.MappingNode) else []:
        found[str(key.value)] = key.start_mark.line + 1
        for below, _ in value.value if isinstance(value, yaml.MappingNode) else []:
            found[f"{key.value}.{below.value}"] = below.start_mark.line + 1
    return found


def _camel(given: Mapping[str, Any]) -> dict[str, Any]:
    """Return the members as the service names them: `instance_type` is `instanceType`."""

    def named(name: str) -> str:
        first, *rest = str(name).split("_")
        return first + "".join(part.capitalize() for part in rest)

    return {named(name): value for name, value in given.items()}
