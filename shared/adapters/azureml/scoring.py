"""Calls of an online endpoint: rows in pieces, by key or identity, to the endpoint or to one of its deployments."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from shared.adapters.azureml.answers import read_answers
from shared.adapters.azureml.inputs import body_of, typed
from shared.adapters.azureml.workspace import Workspace, is_same
from shared.adapters.http import Answer, understood
from shared.base.errors import AccessRefused, ServiceRefused, ServiceUnavailable, UnexpectedAnswer
from shared.base.secret import Secret
from shared.domain.azureml import AzureMLOnlineTarget
from shared.domain.checks import Checks
from shared.domain.rows import Rows

ROWS_AT_ONCE = 500  #: of one call, and fewer where the service asks for that
FEWER = (408, 413)  #: it took longer than the deployment's request timeout; the body is too large
DEPLOYMENT = "azureml-model-deployment"
_STATUS, _REASON = "ms-azureml-model-error-statuscode", "ms-azureml-model-error-reason"
#: how an endpoint gives what opens it, by its authMode: the path below it, and the member of the answer
_OPENED_BY = {"key": ("listKeys", "primaryKey"), "amltoken": ("token", "accessToken")}


@dataclass
class Access:
    """Where an endpoint is called and what opens it, once the service has said so. A process keeps one for each."""

    address: str = ""
    mode: str = ""
    secret: Secret | None = field(default=None, repr=False)


class OnlineScoring:
    def __init__(
        self, workspace: Workspace, target: AzureMLOnlineTarget, checks: Checks, sample: Rows, access: Access
    ) -> None:
        self._workspace, self._target, self._access, self._sample = workspace, target, access, sample
        self._types = {column.name: column.type for column in checks.columns if column.type}
        self._missing = frozenset(checks.missing)
        self._path = f"onlineEndpoints/{target.endpoint}"

    def score(self, rows: Rows, deployment: str = "") -> Rows:
        """Return the scored columns of each row, as text: of this deployment, or of those that have the traffic."""
        return joined(self.pieces(rows, 0, deployment))

    def pieces(self, rows: Rows, begin: int, deployment: str = "") -> Iterator[Rows]:
        """Yield the scored columns from the row `begin` on, a call each. A column has one type in all calls."""
        cells = typed(rows, self._types, self._missing, self._sample)
        at_once = ROWS_AT_ONCE
        while begin < len(cells):
            piece = cells[begin : begin + at_once]
            try:
                answers = self._score(rows.columns, piece, deployment)
            except (ServiceRefused, ServiceUnavailable) as error:
                if error.status not in FEWER or len(piece) == 1:
                    raise
                at_once = (len(piece) + 1) // 2
            else:
                begin += len(piece)
                yield answers

    def notice(self, endpoint: Mapping[str, Any]) -> None:
        """Take from an endpoint that was read how it is called."""
        with understood(f"The endpoint {self._target.endpoint} is answered in a form that is not known"):
            properties = endpoint["properties"]
            self._access.address = str(properties.get("scoringUri") or "")
            self._access.mode = str(properties["authMode"]).lower()

    def _score(self, columns: list[str], cells: list[list[Any]], deployment: str) -> Rows:
        body = body_of(columns, cells, self._target.scoring)
        try:
            answer = self._called(body, deployment)
        except ServiceRefused as error:
            raise _explained(error) from None
        answered = answer.headers.get(DEPLOYMENT, "")
        if deployment and answered and not is_same(answered, deployment):
            raise UnexpectedAnswer(f"{answer.asked} was for the deployment {deployment}, and {answered[:80]} answered")
        try:
            return read_answers(answer.json(), self._target.scoring, len(cells))
        except ValueError as error:
            raise UnexpectedAnswer(f"{answer.asked} answered {error}") from None

    def _called(self, body: Any, deployment: str) -> Answer:
        """Return the answer. A key or token that is refused may be an old one, and is asked for once more."""
        if not self._access.address:
            endpoint = self._workspace.get(self._path)
            self.notice(endpoint)
        if not self._access.address:
            raise ServiceUnavailable(f"The endpoint {self._target.endpoint} has no address for its calls yet")
        service = self._workspace.scoring(
            self._access.address, self._target.endpoint, self._target.hosts, self._authorization()
        )
        service = service.having(**{DEPLOYMENT: deployment}) if deployment else service
        if self._access.mode not in _OPENED_BY:
            return self._workspace.renewing(lambda: service.call("POST", "", body=body))
        try:
            return service.call("POST", "", body=body)
        except AccessRefused as error:
            if error.status != 401:
                raise
        self._access.secret = None
        return service.call("POST", "", body=body)

    def _authorization(self) -> Callable[[], str] | None:
        """Return what opens the endpoint; None for the app's identity."""
        if self._access.mode not in _OPENED_BY:
            return None
        path, member = _OPENED_BY[self._access.mode]

        def bearer() -> str:
            if self._access.secret is None:
                answer = self._workspace.post(f"{self._path}/{path}")
                self._access.secret = answer.read(lambda body: Secret(str(body[member])), "key of the endpoint")
            return f"Bearer {self._access.secret.reveal()}"

        return bearer


def joined(pieces: Iterable[Rows]) -> Rows:
    """Return the pieces of one table as a whole."""
    parts = [*pieces]
    return Rows(parts[0].columns, [row for part in parts for row in part.values]) if parts else Rows([], [])


def _explained(error: ServiceRefused) -> ServiceRefused | ServiceUnavailable:
    """Return what an answer of 424 means: the container answered something else than 200, and headers say what."""
    if error.status != 424:
        return error
    status, reason = error.headers.get(_STATUS, ""), error.headers.get(_REASON, "")
    text = f"{error}; the container answered {status or 'nothing'} ({reason or 'no reason given'})"
    if status.startswith("4") and reason in ("", "model_error"):
        return ServiceRefused(text, 424, error.codes, error.headers)
    return ServiceUnavailable(text, status=424)
