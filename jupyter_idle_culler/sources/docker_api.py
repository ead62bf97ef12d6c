"""Ask Docker which containers run, over its socket: no command line, nothing blocking."""

from __future__ import annotations

import json
import socket
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from tornado.httpclient import HTTPRequest
from tornado.netutil import Resolver
from tornado.simple_httpclient import SimpleAsyncHTTPClient

DEFAULT_SOCKET = "/var/run/docker.sock"
_UNIX = "unix://"
_MOST_BYTES = 16 * 1024 * 1024


class NoDocker(Exception):
    """Nobody listens on Docker's socket, or this user may not ask."""


@dataclass(frozen=True)
class Container:
    """A container that runs: its name, and its labels."""

    name: str
    labels: Mapping[str, str]


def docker_socket(environ: Mapping[str, str]) -> str | None:
    """Return the path of Docker's socket; None: ``DOCKER_HOST`` names something else."""
    host = environ.get("DOCKER_HOST", "").strip()
    if not host:
        return DEFAULT_SOCKET
    return host[len(_UNIX) :] if host.startswith(_UNIX) else None


class _OneSocket(Resolver):
    """Leads every name to one Unix socket."""

    def initialize(self, path: str) -> None:
        """Take the path of the socket."""
        self._path = path

    async def resolve(
        self, host: str, port: int, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[tuple[int, Any]]:
        """Return the socket, whatever is asked for."""
        del host, port, family
        return [(socket.AF_UNIX, self._path)]


async def running_containers(
    socket_path: str, label: str, time_limit_seconds: float
) -> Sequence[Container]:
    """List the running containers that have a label.

    Raises: NoDocker; RuntimeError where Docker gives no answer, or one that cannot be read.
    """
    query = urlencode({"filters": json.dumps({"label": [label]})})
    client = SimpleAsyncHTTPClient(
        force_instance=True, resolver=_OneSocket(path=socket_path), max_body_size=_MOST_BYTES
    )
    try:
        answer = await client.fetch(
            HTTPRequest(
                f"http://docker/containers/json?{query}",
                connect_timeout=time_limit_seconds,
                request_timeout=time_limit_seconds,
                follow_redirects=False,
            )
        )
        # What stands between may not know the filter, and list them all.
        return [c for c in map(_container, json.loads(answer.body)) if label in c.labels]
    except (FileNotFoundError, NotADirectoryError, ConnectionRefusedError) as error:
        message = f"nobody listens on {socket_path}"
        raise NoDocker(message) from error
    except PermissionError as error:
        message = f"this user may not ask Docker ({socket_path})"
        raise NoDocker(message) from error
    except Exception as error:
        message = f"Docker ({socket_path}) does not say which containers run: {error}"
        raise RuntimeError(message) from error
    finally:
        client.close()


def _container(entry: Mapping[str, Any]) -> Container:
    names = entry.get("Names") or [entry["Id"][:12]]
    labels = entry.get("Labels") or {}
    return Container(str(names[0]).lstrip("/"), {str(k): str(v) for k, v in labels.items()})
