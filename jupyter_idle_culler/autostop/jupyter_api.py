"""Ask the Jupyter server of this machine. What it does not answer rightly is an error, no list."""

from __future__ import annotations

import json
import ssl
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from typing import Any, Dict, List, Optional
from urllib.parse import quote, urlsplit

_LONGEST_BYTES = 1 << 25
_PATIENCE_SECONDS = 10


class ApiError(Exception):
    """The server did not answer as it should; the message says what was asked and what came.

    ``status`` is that of the answer; 0: there was none, or it was no JSON.
    """

    status = 0


class JupyterApi:
    """The REST interface of one server, at ``base_url`` (its own base path included)."""

    def __init__(self, base_url: str, token: str = "") -> None:
        self._url = urlsplit(base_url)
        self._headers = {"Authorization": "token " + token} if token else {}

    def get(self, path: str, query: str = "") -> Any:
        """Return the parsed answer, an object or a list. Raises: ApiError."""
        try:
            return json.loads(self._ask(quote(path) + "?no_track_activity=1" + query))
        except ValueError:
            raise ApiError(f"{path} was answered by something that is no JSON") from None

    def list(self, path: str) -> List[Dict[str, Any]]:
        """Return an answer that must be a list of objects. Raises: ApiError."""
        answer = self.get(path)
        if isinstance(answer, list) and all(isinstance(one, dict) for one in answer):
            return answer
        raise ApiError(f"{path} was not answered by a list")

    def kernels(self) -> Dict[str, Any]:
        """Return the kernels by id, each with its state and last_activity. Raises: ApiError."""
        kernels = {str(kernel.get("id")): kernel for kernel in self.list("api/kernels")}
        for kernel in kernels.values():
            if not all(map(kernel.get, ("id", "last_activity", "execution_state"))):
                raise ApiError("api/kernels: an entry lacks something")
        return kernels

    def delete(self, path: str) -> None:
        """Delete what is at a quoted path; what is not there is deleted. Raises: ApiError."""
        # A request that changes something must carry the same word twice (tornado's XSRF check).
        word = {"Cookie": "_xsrf=1", "X-XSRFToken": "1"}
        try:
            self._ask(path, method="DELETE", headers=word)
        except ApiError as error:
            if error.status != 404:
                raise

    def listen(self, kernel: str) -> Any:
        """Return the socket of a request for a kernel's websocket. Raises: ApiError."""
        wanted = {
            "Connection": "Upgrade",
            "Upgrade": "websocket",
            "Sec-WebSocket-Version": "13",
            "Sec-WebSocket-Key": "AAAAAAAAAAAAAAAAAAAAAA==",
        }
        path = "api/kernels/" + quote(kernel) + "/channels"
        try:
            return self._sent("GET", path, wanted).sock
        except (OSError, HTTPException) as error:
            raise ApiError(f"{path}: {error}") from error

    def _ask(
        self, path: str, method: str = "GET", headers: Optional[Dict[str, str]] = None
    ) -> bytes:
        try:
            server = self._sent(method, path, headers or {})
            try:
                response = server.getresponse()
                body: bytes = response.read(_LONGEST_BYTES)
            finally:
                server.close()
        except (OSError, HTTPException) as error:
            raise ApiError(f"{method} {path}: {error!r}") from error
        if response.status < 300:
            return body
        failed = ApiError(f"{method} {path}: HTTP {response.status} {response.reason}")
        failed.status = response.status
        raise failed

    def _sent(self, method: str, path: str, headers: Dict[str, str]) -> HTTPConnection:
        server = HTTPConnection(self._url.netloc, timeout=_PATIENCE_SECONDS)
        if self._url.scheme == "https":  # on this machine: its certificate is its own
            trusting = ssl._create_unverified_context()
            server = HTTPSConnection(self._url.netloc, timeout=_PATIENCE_SECONDS, context=trusting)
        server.request(method, self._url.path + path, None, {**self._headers, **headers})
        return server
