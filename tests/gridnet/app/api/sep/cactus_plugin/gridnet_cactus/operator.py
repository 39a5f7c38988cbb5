"""An operator of a gridnet service: its public HTTP API with a bearer token."""

from __future__ import annotations

import json
import os
import ssl
import urllib.error
import urllib.parse
import urllib.request
from typing import Any


class Operator:
    """Set up by the environment: `GRIDNET_URL`, `GRIDNET_CA` (a file), `GRIDNET_CLIENT`, `GRIDNET_SECRET`."""

    def __init__(self) -> None:
        self._url = os.environ["GRIDNET_URL"]
        self._tls = ssl.create_default_context(cafile=os.environ["GRIDNET_CA"])
        self._token = ""

    def ask(self, method: str, path: str, body: Any = None, *, fine: tuple[int, ...] = ()) -> Any:
        """The answer; None where it is an error that is `fine`. A token that has run out is asked for anew."""
        for attempt in range(2):
            try:
                return self._send(method, path, body)
            except urllib.error.HTTPError as error:
                if error.code == 401 and attempt == 0:
                    self._login()
                elif error.code in fine:
                    return None
                else:
                    raise RuntimeError(f"{method} {path}: {error.code} {error.read().decode()}") from error
        raise RuntimeError(f"{method} {path}: the token is not taken")

    def _login(self) -> None:
        form = {
            "grant_type": "client_credentials",
            "client_id": os.environ["GRIDNET_CLIENT"],
            "client_secret": os.environ["GRIDNET_SECRET"],
        }
        request = urllib.request.Request(self._url + "/oauth/token", urllib.parse.urlencode(form).encode())
        with urllib.request.urlopen(request, context=self._tls, timeout=20) as answer:
            self._token = json.load(answer)["access_token"]

    def _send(self, method: str, path: str, body: Any) -> Any:
        content = None if body is None else json.dumps(body).encode()
        headers = {"Authorization": f"Bearer {self._token}", "Content-Type": "application/json"}
        request = urllib.request.Request(self._url + path, content, headers, method=method)
        with urllib.request.urlopen(request, context=self._tls, timeout=20) as answer:
            return json.loads(answer.read() or b"null")
