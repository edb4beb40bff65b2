"""How schemathesis logs in: as a user of its own, and as another once that one's token has ended.

schemathesis loads it; SERVICE_URL says where the endpoints are.
"""

import os
import uuid

import httpx
import schemathesis

CLIENT = httpx.Client(base_url=os.environ["SERVICE_URL"])


@schemathesis.auth(refresh_interval=None)
class LoggedIn:
    """A Bearer token that is good when the request is made."""

    def __init__(self) -> None:
        self._headers: dict[str, str] = {}

    def get(self, case: schemathesis.Case, context: schemathesis.AuthContext) -> dict[str, str]:
        if CLIENT.get("/account", headers=self._headers).status_code == 401:
            user = {"username": f"u{uuid.uuid4().hex}", "password": "secret", "name": "Ada"}
            assert CLIENT.post("/users", json={"user": user}).json() == "ok"
            token = CLIENT.post("/sessions", json=user).json()["token"]
            self._headers = {"Authorization": f"Bearer {token}"}
        return self._headers

    def set(
        self, case: schemathesis.Case, data: dict[str, str], context: schemathesis.AuthContext
    ) -> None:
        case.headers.update(data)
