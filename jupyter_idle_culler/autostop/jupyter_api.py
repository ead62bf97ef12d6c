"""Ask the Jupyter server of this machine. What it does not answer rightly is an error, no list."""

from __future__ import annotations

import json
import ssl
from http.client import HTTPException
from typing import Any, Dict, List
from urllib.parse import quote
from urllib.request import HTTPSHandler, ProxyHandler, Request, build_opener

_LONGEST_BYTES = 1 << 25


class ApiError(Exception):
    """The server did not answer as it should; the message says what was asked and what came."""


class JupyterApi:
    """The REST interface of one server, at ``base_url`` (its own base path included)."""

    def __init__(self, base_url: str, token: str = "") -> None:
        self._url = base_url
        self._headers = {"Authorization": "token " + token} if token else {}
        # It is on this machine: no proxy leads there, and its certificate is its own.
        unverified = HTTPSHandler(context=ssl._create_unverified_context())
        self._open = build_opener(ProxyHandler({}), unverified).open

    def get(self, path: str, query: str = "") -> Any:
        """Return the parsed answer, an object or a list. Raises: ApiError."""
        try:
            return json.loads(self._ask(quote(path), "?no_track_activity=1" + query))
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
        self._headers.update({"Cookie": "_xsrf=1", "X-XSRFToken": "1"})
        try:
            self._ask(path, method="DELETE")
        except ApiError as error:
            if getattr(error.__cause__, "code", 0) != 404:
                raise

    def _ask(self, path: str, query: str = "", method: str = "GET") -> bytes:
        request = Request(self._url + path + query, None, self._headers, method=method)
        try:
            with self._open(request, timeout=10) as response:
                body: bytes = response.read(_LONGEST_BYTES)
                return body
        except (OSError, HTTPException) as error:
            raise ApiError(f"{method} {path}: {error}") from error
