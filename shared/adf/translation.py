"""Single values and names of Data Factory in the words of `pipelines.yaml`; None for a value without a translation."""

import re
from collections.abc import Container
from urllib.parse import urlsplit, urlunsplit

from shared.adf.artefacts import Text
from shared.base.secret import redact
from shared.domain.values import read_address, written

_TIME_SPAN = re.compile(r"^(?:(\d+)\.)?(\d{1,2}):(\d{1,2}):(\d{1,2})$")
_SIZES = (86400, 3600, 60, 1)
_CLASSIC = re.compile(r"^https?://[^/]+/workspaces/[^/]+/webservices/[^/]+/endpoints/([^/]+)$", re.IGNORECASE)
_NEW = re.compile(
    r"^(https?://[^/]+)/subscriptions/([^/]+)/resourceGroups/([^/]+)"
    r"/providers/Microsoft\.MachineLearning/webServices/([^/]+)$",
    re.IGNORECASE,
)
_COMPUTED = re.compile(r"@?\{[^}]*\}")
_SECRET_NAME = re.compile(
    r"password|passwd|pwd|passphrase|secret|key|token|\bsas\b|signature|credential|connection", re.I
)
_SECRET_VALUE = re.compile(
    r"(?:password|pwd|secret|key|token)\s*[=:]|://[^/@\s]+@|\beyJ[\w-]+\.|^[A-Za-z0-9+/_~.-]{40,}={0,2}$", re.IGNORECASE
)
AZURE = "https://management.azure.com"
LONGEST = 63  #: characters of a pipeline's name


def duration(time_span: str) -> str | None:
    """Return `02:00:00` or `1.12:00:00` (days first) as `2h` or `36h`."""
    match = _TIME_SPAN.match(time_span.strip())
    if not match:
        return None
    seconds = sum(int(part or 0) * size for part, size in zip(match.groups(), _SIZES, strict=True))
    return written(seconds) if seconds else None


def plain_address(text: Text | None) -> str | None:
    """Return the address without its query and a full stop at its end."""
    if not isinstance(text, str) or "${" in text:
        return None
    try:
        parts = urlsplit(text.strip())
        return str(read_address(urlunsplit((parts.scheme, parts.netloc, parts.path, "", ""))))
    except ValueError:
        return None


def service_address(ml_endpoint: Text | None) -> str | None:
    """Return the base address of the service whose `jobs` address is given."""
    address = plain_address(ml_endpoint)
    return None if address is None else re.sub(r"/(jobs|execute)$", "", address)


def classic_endpoint(address: str) -> str | None:
    """Return the endpoint's name if the address is for a Classic endpoint's PATCH."""
    match = _CLASSIC.match(address)
    return match[1] if match else None


def new_service(address: str) -> tuple[str, str] | None:
    """Return the resource manager's address and the resource id of a New web service."""
    match = _NEW.match(address)
    if not match:
        return None
    resource = f"/subscriptions/{match[2]}/resourceGroups/{match[3]}/providers/Microsoft.MachineLearning/webServices/"
    return match[1].lower(), resource + match[4]


def blob_pattern(path: str) -> tuple[str, str] | None:
    """Return the container and the pattern within it; what Data Factory computes becomes `*`, a folder `folder/*`."""
    container, _, rest = _COMPUTED.sub("*", path.lstrip("/")).partition("/")
    if not container or "*" in container or "${" in path or redact(path) != path:
        return None
    rest = re.sub(r"\*+", "*", rest)
    if not rest or rest.endswith("/") or not extension(rest):
        rest = f"{rest.rstrip('/')}/*".lstrip("/")
    return container, rest


def extension(path: str) -> str:
    """Return `.csv` of a path, in lower case; empty when its last part has none."""
    last = path.rpartition("/")[2]
    return f".{last.rpartition('.')[2].lower()}" if "." in last else ""


def is_secret(name: str, value: str) -> bool:
    """Return whether a global parameter may be a key, by its name or by its look. When in doubt, it is."""
    return bool(_SECRET_NAME.search(name) or _SECRET_VALUE.search(value)) or redact(value) != value


def words(name: str) -> str:
    """Return `trainingEndpoint` as `training-Endpoint`: the words are kept apart when the case is lost."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "-", name)


def slug(name: str) -> str:
    """Return lower-case letters, digits and dashes, as a pipeline's name has them; may be empty."""
    return re.sub(r"[^a-z0-9]+", "-", words(name).lower()).strip("-")[:LONGEST].rstrip("-")


def unique(name: str, taken: Container[str]) -> str:
    """Return the name, or with a number when it is taken."""
    number, found = 1, name
    while found in taken:
        number += 1
        found = f"{name[: LONGEST - len(str(number)) - 1]}-{number}"
    return found
