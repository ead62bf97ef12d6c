"""Evidence from containers that say themselves whether they work (P4).

Their labels are those of jupyter-activity-monitor-extension: where to ask, with what, and the
JMESPath expression that is 0 of the answer when the container is idle.
"""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Mapping
from typing import Any

from tornado.httpclient import AsyncHTTPClient, HTTPRequest
from tornado.simple_httpclient import SimpleAsyncHTTPClient

from ..core.model import HOST, Observation, Verdict
from .base import Look, Report
from .docker_api import Container, NoDocker, docker_socket, running_containers

LABEL = "com.amazon.jupyter.activity."
TIME_LIMIT_SECONDS = 2.0
_MOST_AT_ONCE = 64
_MOST_BYTES = 1024 * 1024
_LAST_PORT = 65535
_LONGEST_DETAIL = 400
_EVALUATION_SECONDS = 0.5


class _Unclear(Exception):
    """A sidecar did not say whether it works; the text says why."""


class SidecarsSource:
    """Holds the host active while a labelled container says that it works.

    One that does not answer in time, or in no way that can be read, is unknown. ``environ`` may
    name Docker's socket (``DOCKER_HOST``).
    """

    name = "sidecars"
    covers = HOST
    essential = False

    def __init__(
        self,
        environ: Mapping[str, str] = os.environ,
        time_limit_seconds: float = TIME_LIMIT_SECONDS,
    ) -> None:
        self._socket = docker_socket(environ)
        self._time_limit_seconds = time_limit_seconds

    @property
    def limitations(self) -> tuple[str, ...]:
        """Say what cannot be seen here."""
        if self._socket is None:
            return (
                "DOCKER_HOST names no Unix socket: containers that say themselves whether they "
                "work are not asked.",
            )
        return ()

    async def observe(self, look: Look) -> Report:
        """Ask every sidecar, all at once.

        Raises: RuntimeError: Docker does not say which containers run.
        """
        del look
        if self._socket is None:
            return Report()
        try:
            containers = await running_containers(
                self._socket, LABEL + "port", self._time_limit_seconds
            )
        except NoDocker:
            return Report()
        if not containers:
            return Report()
        client = SimpleAsyncHTTPClient(
            force_instance=True, max_clients=_MOST_AT_ONCE, max_body_size=_MOST_BYTES
        )
        try:
            return Report(tuple(await asyncio.gather(*(self._ask(client, c) for c in containers))))
        finally:
            client.close()

    async def _ask(self, client: AsyncHTTPClient, container: Container) -> Observation:
        """Say what one sidecar answers."""
        about = f"container {container.name}"
        try:
            # A request ends by itself before that; an expression need not.
            activity = await asyncio.wait_for(
                self._activity(client, container.labels),
                self._time_limit_seconds + _EVALUATION_SECONDS,
            )
        except Exception as error:
            # Its labels and its answer are of others, and the libraries raise whatever they meet
            # in them: what is wrong with one must not hide what the others say.
            why = str(error) if isinstance(error, _Unclear) else _why(error)
            detail = f"{about} {why}"[:_LONGEST_DETAIL]
            return Observation(HOST, self.name, Verdict.UNKNOWN, detail=detail, essential=False)
        if activity == 0:
            detail = f"{about} says that it is idle"
            return Observation(HOST, self.name, Verdict.IDLE, detail=detail, essential=False)
        detail = f"{about} says that it works"
        return Observation(HOST, self.name, Verdict.ACTIVE, detail=detail, essential=False)

    async def _activity(self, client: AsyncHTTPClient, labels: Mapping[str, str]) -> object:
        """Return what the sidecar's expression finds in its answer. Raises: _Unclear."""
        request, expression = _request(labels, self._time_limit_seconds)
        try:
            answer = await client.fetch(request, raise_error=False)
        except Exception as error:
            raise _Unclear(_why(error)) from error
        if answer.error is not None:
            raise _Unclear(_why(answer.error)) from answer.error
        # An expression and an answer of others: whatever they take, not the event loop.
        return await asyncio.to_thread(_find, expression, answer.body)


def _why(error: BaseException) -> str:
    said = str(error)
    return f"does not say whether it works: {type(error).__name__}{said and ': '}{said}"


def _request(labels: Mapping[str, str], time_limit_seconds: float) -> tuple[HTTPRequest, str]:
    """Return the request that the labels ask for, and the expression. Raises: _Unclear."""
    for word in ("endpoint", "response"):
        if LABEL + word not in labels:
            message = f"has no label {LABEL}{word}"
            raise _Unclear(message)
    port, payload = labels[LABEL + "port"].strip(), labels.get(LABEL + "payload")
    digits = len(port) <= len(str(_LAST_PORT)) and port.isascii() and port.isdigit()
    if not (digits and 0 < int(port) <= _LAST_PORT):
        message = f"has the label {LABEL}port = {port[:20]!r}, which is no port"
        raise _Unclear(message)
    if payload:
        try:
            payload = json.dumps(json.loads(payload))
        except (ValueError, RecursionError) as error:
            message = f"has a label {LABEL}payload that is no JSON"
            raise _Unclear(message) from error
    request = HTTPRequest(
        f"http://127.0.0.1:{port}/{labels[LABEL + 'endpoint'].lstrip('/')}",
        "POST" if payload else "GET",
        {"Content-Type": "application/json"} if payload else None,
        payload or None,
        connect_timeout=time_limit_seconds,
        request_timeout=time_limit_seconds,
        follow_redirects=False,
    )
    return request, labels[LABEL + "response"]


def _find(expression: str, body: bytes) -> Any:
    """Evaluate the expression on an answer. Raises: _Unclear."""
    import jmespath  # not before there is a sidecar

    try:
        found = jmespath.search(expression, json.loads(body))
    except (ValueError, jmespath.exceptions.JMESPathError) as error:
        message = f"gives an answer that {LABEL}response = {expression!r} does not fit: {error}"
        raise _Unclear(message) from error
    if found is None:
        message = f"gives an answer without {expression!r}"
        raise _Unclear(message)
    return found
