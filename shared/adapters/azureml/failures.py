"""Why a job failed: the error of its run, and the end of what it printed."""

from collections.abc import Mapping
from typing import Any

from shared.adapters.azureml.workspace import Workspace, said
from shared.adapters.http import Limits
from shared.base.errors import RetrainingError, readable

LOG = "user_logs/std_log"  #: how the name begins; a job of several processes has one for each
LINES, LONGEST = 15, 1500  #: of the end that is shown
_OF_A_LOG = Limits(32 << 20, 30.0)


def reason_of(workspace: Workspace, details: Mapping[str, Any]) -> str:
    """Return the error in a run's details, with the end of its log where that can be read."""
    reason = said(details.get("error"))[:LONGEST] or "the service gave no reason"
    links = details.get("logFiles")
    end = _end_of_log(workspace, links if isinstance(links, Mapping) else {})
    return readable(f"{reason}; its log ends with: {end}" if end else reason)


def _end_of_log(workspace: Workspace, links: Mapping[str, Any]) -> str:
    link = next((str(links[name]) for name in sorted(links) if name.startswith(LOG)), None)
    if link is None:
        return ""
    end = b""
    try:
        for chunk in workspace.download(link, _OF_A_LOG):
            end = (end + chunk)[-4 * LONGEST :]
    except RetrainingError:
        return ""  # the error is shown without it
    lines = [line.strip() for line in end.decode("utf-8", "replace").splitlines() if line.strip()]
    return " | ".join(lines[-LINES:])[-LONGEST:]
