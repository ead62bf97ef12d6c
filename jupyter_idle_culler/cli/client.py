"""The command line's way to the server: find it, ask it, and say plainly what went wrong."""

from __future__ import annotations

import http.client
import json
import socket
import ssl
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any
from urllib.parse import quote, unquote, urlencode, urlsplit

from ..errors import IdleCullerError

API = "api/idle-culler/v1/"
_TIME_LIMIT_SECONDS = 30.0
_LONGEST_ANSWER_BYTES = 64 << 20
_TRIES = 5


class CommandFailed(IdleCullerError):
    """A command could not be carried out; the message says why and what to do."""


@dataclass(frozen=True)
class Server:
    """A Jupyter server: its address with the base URL, and how one is let in.

    ``tokenless``: its runtime file names no token, so it asks for something else, or for nothing.
    """

    url: str
    token: str = ""
    tokenless: bool = False
    root_dir: str = ""


def running_servers() -> list[Server]:
    """Return the servers of this user that run now, by their runtime files.

    Raises: CommandFailed.
    """
    found = _runtime_files()
    servers = [
        Server(
            str(info.get("url", "")),
            str(info.get("token", "")),
            not info.get("token"),
            str(info.get("root_dir", "")),
        )
        for info in found
        if info.get("url")
    ]
    return sorted(servers, key=lambda server: server.url)


def _runtime_files() -> list[dict[str, Any]]:
    from jupyter_server.serverapp import list_running_servers

    problem: OSError | None = None
    for _ in range(_TRIES):
        try:
            return list(list_running_servers())
        except FileNotFoundError as error:
            problem = error  # a server ended between the listing and the reading
        except OSError as error:
            problem = error
            break
    message = f"cannot read the runtime files of Jupyter: {problem}"
    raise CommandFailed(message) from problem


def choose_server(
    url: str | None, port: int | None, token: str | None, environ: Mapping[str, str]
) -> Server:
    """Find the server that is meant.

    By ``--url``; else by ``--port``; else, inside a terminal of Jupyter, the one that terminal
    belongs to; else the only one that runs. The token is the one given, else that in the runtime
    file, else JUPYTER_TOKEN, else, on JupyterHub, JUPYTERHUB_API_TOKEN.

    Raises: CommandFailed where none runs, or several and none is named.
    """
    running = running_servers()
    named = url or (environ.get("JUPYTER_SERVER_URL") if port is None else None)
    if named:
        here = next((s for s in running if _same(s.url, named)), Server(named))
    else:
        here = _only([s for s in running if port is None or _port(s.url) == port], port)
    token = token or here.token or environ.get("JUPYTER_TOKEN")
    if not token and "JUPYTERHUB_SERVICE_PREFIX" in environ:
        token = environ.get("JUPYTERHUB_API_TOKEN")
    return Server(here.url, token or "", here.tokenless and not token, here.root_dir)


def _only(servers: Sequence[Server], port: int | None) -> Server:
    if not servers:
        where = "" if port is None else f" on port {port}"
        message = (
            f"no Jupyter server of yours is running{where} on this machine; start one"
            " (jupyter lab), or name one with --url"
        )
        raise CommandFailed(message)
    answering = [s for s in servers if _answers(s)] if len(servers) > 1 else list(servers)
    if len(answering) > 1:
        listed = "\n".join(f"  {server.url}  in {server.root_dir}" for server in answering)
        message = f"several Jupyter servers are running; pick one with --url or --port:\n{listed}"
        raise CommandFailed(message)
    return answering[0] if answering else servers[0]


def _same(one: str, other: str) -> bool:
    return one.rstrip("/") == other.rstrip("/")


def _port(url: str) -> int | None:
    parts = urlsplit(url)
    try:
        return parts.port or {"http": 80, "https": 443}.get(parts.scheme)
    except ValueError:
        return None


def _answers(server: Server) -> bool:
    """Tell whether anything listens there: a runtime file may outlive its server."""
    parts = urlsplit(server.url)
    if parts.scheme == "http+unix":
        return True
    try:
        with socket.create_connection((parts.hostname or "", _port(server.url) or 0), 1.0):
            return True
    except OSError:
        return False


class _UnixConnection(http.client.HTTPConnection):
    """HTTP through a Unix socket, which `jupyter server --sock` listens on."""

    def __init__(self, path: str) -> None:
        super().__init__("localhost", timeout=_TIME_LIMIT_SECONDS)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(_TIME_LIMIT_SECONDS)
        self.sock.connect(self._path)


@dataclass(frozen=True)
class Client:
    """Asks one server's idle culler. ``insecure``: take any certificate."""

    server: Server
    insecure: bool = False

    def ask(
        self,
        verb: str,
        route: str,
        body: Mapping[str, Any] | None = None,
        query: Mapping[str, object] | None = None,
    ) -> Any:
        """Return the answer, None where there is none to return. Raises: CommandFailed."""
        parts = urlsplit(self.server.url)
        path = f"{parts.path.rstrip('/')}/{API}{route}"
        if query:
            path += "?" + urlencode(query)
        headers = {"Accept": "application/json", "Content-Type": "application/json"}
        if self.server.token:
            headers["Authorization"] = "token " + self.server.token
        sent = None if body is None else json.dumps(body)
        try:
            connection = self._connection()
            try:
                connection.request(verb, quote(path, safe="/?=&%"), sent, headers)
                response = connection.getresponse()
                answer = response.read(_LONGEST_ANSWER_BYTES)
            finally:
                connection.close()
        except (OSError, http.client.HTTPException, ValueError) as error:
            raise CommandFailed(self._unreachable(error)) from error
        return self._understood(response.status, answer)

    def _connection(self) -> http.client.HTTPConnection:
        parts = urlsplit(self.server.url)
        if parts.scheme == "http+unix":
            return _UnixConnection(unquote(parts.netloc))
        if parts.scheme not in ("http", "https") or not parts.hostname:
            message = f"{self.server.url} is no address of a server (http://…, https://…)"
            raise CommandFailed(message)
        if parts.scheme == "http":
            return http.client.HTTPConnection(
                parts.hostname, parts.port, timeout=_TIME_LIMIT_SECONDS
            )
        context = ssl.create_default_context()
        if self.insecure:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        return http.client.HTTPSConnection(
            parts.hostname, parts.port, timeout=_TIME_LIMIT_SECONDS, context=context
        )

    def _unreachable(self, error: Exception) -> str:
        url = self.server.url
        if isinstance(error, ssl.SSLCertVerificationError):
            why = error.verify_message
            return f"{url}: its certificate is not trusted ({why}); if it is yours, add --insecure"
        if isinstance(error, ConnectionRefusedError):
            return f"{url}: nothing listens there (connection refused); is the server running?"
        if isinstance(error, TimeoutError):
            return f"{url}: no answer within {_TIME_LIMIT_SECONDS:g} s"
        return f"{url}: cannot be reached: {str(error) or type(error).__name__}"

    def _understood(self, status: int, answer: bytes) -> Any:
        try:
            value = json.loads(answer) if answer else None
        except ValueError:
            value = None
        if status < HTTPStatus.MULTIPLE_CHOICES and (value is not None or not answer):
            return value
        said = value if isinstance(value, dict) and "reason" in value else {}
        raise CommandFailed(self._refused(status, said))

    def _refused(self, status: int, said: Mapping[str, Any]) -> str:
        url, message = self.server.url, said.get("message")
        if said.get("reason") in _OURS:
            return str(message)
        denied = status in (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN, HTTPStatus.FOUND)
        if denied and self.server.tokenless:
            return (
                f"{url} has no token: it lets people in by a password or a provider of its own,"
                " which this command cannot answer. Start the server with a token beside it"
                " (--IdentityProvider.token=… or JUPYTER_TOKEN=…) and pass that with --token"
            )
        if denied:
            how = "refused the token" if self.server.token else "wants a token"
            detail = f" ({message})" if message and message != "Forbidden" else ""
            return f"{url} {how}{detail}; give the right one with --token or JUPYTER_TOKEN"
        if status == HTTPStatus.NOT_FOUND:
            return (
                f"{url}: the idle culler is not on there; pip install jupyter_idle_culler in the"
                " server's environment, restart it, and see: jupyter server extension list"
            )
        return f"{url} answered {status}: {message or 'and did not say why'}"


_OURS = frozenset(
    {
        *("invalid", "not-owner", "unknown-resource", "unknown-keep-alive", "out-of-bounds"),
        *("unavailable", "failed", "not-found"),
    }
)
"""The words with which the culler itself refuses."""
