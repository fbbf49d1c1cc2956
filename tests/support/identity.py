"""The managed-identity endpoint of App Service on this machine: gives tokens that Azurite takes, and counts them."""

from __future__ import annotations

import base64
import json
import time
from contextlib import AbstractContextManager
from http.server import ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

from tests.support.servers import Handler, serving

HEADER = "a-secret-of-the-platform"
TENANT = "00000000-0000-0000-0000-000000000001"
ISSUER = f"https://sts.windows.net/{TENANT}/"


class Endpoint(ThreadingHTTPServer):
    """`asked` has the client id and the resource of each token that was given."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.asked: list[tuple[str, str]] = []

    @property
    def settings(self) -> dict[str, str]:
        """What App Service gives its apps in the environment."""
        return {"IDENTITY_ENDPOINT": f"http://127.0.0.1:{self.server_port}/msi/token", "IDENTITY_HEADER": HEADER}


class _Handler(Handler):
    server: Endpoint

    def do_GET(self) -> None:
        query = {name: values[0] for name, values in parse_qs(urlsplit(self.path).query).items()}
        if self.headers.get("X-IDENTITY-HEADER") != HEADER:
            self.send_error(401)
            return
        self.server.asked.append((query.get("client_id", ""), query["resource"]))
        self.answer(_token(query["resource"]))


def identity_endpoint() -> AbstractContextManager[Endpoint]:
    return serving(Endpoint())


def _token(resource: str) -> dict[str, str]:
    now = int(time.time())
    content = {"aud": resource, "iss": ISSUER, "iat": now, "nbf": now, "exp": now + 3600}
    content |= {"oid": "00000000-0000-0000-0000-000000000002", "tid": TENANT, "sub": "app", "ver": "1.0"}
    parts = [{"alg": "RS256", "typ": "JWT"}, content]
    encoded = [base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=").decode() for part in parts]
    expires = str(now + 3600)
    return {
        "access_token": ".".join([*encoded, "c2ln"]),
        "expires_on": expires,
        "resource": resource,
        "token_type": "Bearer",
    }
