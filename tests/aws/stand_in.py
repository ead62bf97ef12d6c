"""A stand-in for SageMaker's API over HTTP: strict about requests, states, and its own answers.

It checks each request, and each answer of its own, against the service model, recomputes the
signature, and asks a policy where one is given. A thing that stops cannot be stopped again.
"""

from __future__ import annotations

import contextlib
import datetime
import hashlib
import hmac
import json
import re
import threading
import time
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from email.message import Message
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, ClassVar

from . import model

ACCOUNT, REGION = "123456789012", "eu-central-1"
KEY, SECRET = "AKIDSTANDIN0000000", "stand-in-secret"
CREDENTIALS = {
    "AWS_ACCESS_KEY_ID": KEY,
    "AWS_SECRET_ACCESS_KEY": SECRET,
    "AWS_EC2_METADATA_DISABLED": "true",
}
"""What a process gets in its environment to be let in."""

_ROLE = f"arn:aws:sts::{ACCOUNT}:assumed-role/ExecutionRole/SageMaker"
_SIGNED = re.compile(
    r"AWS4-HMAC-SHA256 Credential=([^/]+)/(\d{8})/([^/]+)/([^/]+)/aws4_request, "
    r"SignedHeaders=([^,]+), Signature=([0-9a-f]{64})"
)
Allows = Callable[[str, str], bool]
"""Tells whether an action (``sagemaker:DeleteApp``) on an ARN is allowed."""


class Refusal(Exception):
    """An error that AWS answers with."""

    def __init__(self, code: str, message: str, status: int = 400) -> None:
        super().__init__(message)
        self.code, self.status = code, status


@dataclass(frozen=True)
class Call:
    """A request that came: when (monotonic), what was asked for, and what was answered."""

    at: float
    operation: str
    parameters: Mapping[str, Any]
    code: str
    """Empty: done. Else the error's."""


def _now() -> datetime.datetime:
    return datetime.datetime.now(datetime.timezone.utc)


@dataclass
class _Thing:
    arn: str
    status: str = "InService"
    created: datetime.datetime = field(default_factory=_now)
    modified: datetime.datetime = field(default_factory=_now)
    until: float | None = None
    """When the state that passes has passed."""

    def turn(self, status: str, until: float | None = None) -> None:
        """Turn to another state: the time of modification moves."""
        self.status, self.until, self.modified = status, until, _now()


class SageMakerStandIn:
    """The API, on a port of its own. Use it as a context manager.

    ``linger_seconds`` is how long what stops is stopping. ``allows`` is the policy of who asks.
    ``expired``: the credentials have. ``key``: their id. ``token``: the session token that must be
    sent with them.
    ``problems`` are broken rules of the model or the signature. ``services``: what it answers for,
    by the first half of a request's target, each with the name of its model and of its signatures.
    """

    services: ClassVar[Mapping[str, tuple[str, str]]] = {"SageMaker": ("sagemaker", "sagemaker")}

    def __init__(self, linger_seconds: float = 30.0, allows: Allows | None = None) -> None:
        self.linger_seconds = linger_seconds
        self.allows: Allows = allows or (lambda action, arn: True)
        self.expired = False
        self.key = KEY
        self.token: str | None = None
        self.calls: list[Call] = []
        self.problems: list[str] = []
        self._notebooks: dict[str, _Thing] = {}
        self._apps: dict[tuple[str, str, str, str, str], _Thing] = {}
        self._lock = threading.Lock()
        handler = type("Handler", (_Handler,), {"stand_in": self})
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> SageMakerStandIn:
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    @property
    def env(self) -> dict[str, str]:
        """What makes boto3 in a process speak to it."""
        return {**CREDENTIALS, "AWS_ENDPOINT_URL_SAGEMAKER": self.url}

    def add_notebook(self, name: str) -> str:
        """Create a notebook instance that is InService; return its ARN (lower case, as there)."""
        arn = f"arn:aws:sagemaker:{REGION}:{ACCOUNT}:notebook-instance/{name.lower()}"
        self._notebooks[name] = _Thing(arn)
        return arn

    def add_app(
        self, domain: str, app_type: str, *, space: str = "", user: str = "", name: str = "default"
    ) -> str:
        """Create an app of a space or of a user profile; return its ARN."""
        path = f"{domain}/{space or user}/{app_type}/{name}"
        arn = f"arn:aws:sagemaker:{REGION}:{ACCOUNT}:app/{path}"
        self._apps[domain, space, user, app_type, name] = _Thing(arn)
        return arn

    def set_status(self, arn: str, status: str) -> None:
        """Put a thing into a state."""
        next(t for t in self._all() if t.arn == arn).turn(status)

    def status_of(self, arn: str) -> str:
        """Return the state that a thing is in."""
        with self._lock:
            self._pass_time()
            return next(thing.status for thing in self._all() if thing.arn == arn)

    def stops(self) -> list[Call]:
        """Return the calls that asked for a stop, whatever they were answered."""
        return [c for c in self.calls if c.operation in ("StopNotebookInstance", "DeleteApp")]

    def answer(self, name: str, body: bytes, headers: Message) -> tuple[int, Any]:
        """Answer one request: the HTTP status and the JSON body."""
        parameters: dict[str, Any] = {}
        try:
            parameters = json.loads(body)
            service, signed_for = self.services[headers["X-Amz-Target"].partition(".")[0]]
            self._check_signature(body, headers, signed_for)
            described = model.operation(name, service)
            broken = model.faults_of(parameters, described.input_shape)
            if broken:
                self.problems.append(f"{name}: {broken}")
                raise Refusal("ValidationException", "; ".join(broken))
            with self._lock:
                self._pass_time()
                answer = getattr(self, "_" + name)(parameters)
            broken = model.faults_of(answer, described.output_shape)
            if broken:
                self.problems.append(f"the stand-in's own answer to {name}: {broken}")
        except Refusal as refusal:
            self.calls.append(Call(time.monotonic(), name, parameters, refusal.code))
            return refusal.status, {"__type": refusal.code, "Message": str(refusal)}
        self.calls.append(Call(time.monotonic(), name, parameters, ""))
        return 200, model.as_json(answer)

    def _check_signature(self, body: bytes, headers: Message, signed_for: str) -> None:
        found = _SIGNED.fullmatch(headers.get("Authorization", ""))
        if found is None:
            self.problems.append(f"not signed: {headers.get('Authorization')!r}")
            raise Refusal("MissingAuthenticationToken", "Missing Authentication Token", 403)
        key, day, region, service, names, signature = found.groups()
        if key != self.key:
            text = "The security token included in the request is invalid."
            raise Refusal("UnrecognizedClientException", text)
        if (region, service) != (REGION, signed_for) or "host" not in names.split(";"):
            self.problems.append(f"signed for {region}, {service}, {names}")
        signed = "".join(f"{n}:{' '.join(headers[n].split())}\n" for n in names.split(";"))
        payload = hashlib.sha256(body).hexdigest()
        request = f"POST\n/\n\n{signed}\n{names}\n{payload}"
        scope = f"{day}/{region}/{service}/aws4_request"
        digest = hashlib.sha256(request.encode()).hexdigest()
        text = f"AWS4-HMAC-SHA256\n{headers['X-Amz-Date']}\n{scope}\n{digest}"
        secret = b"AWS4" + SECRET.encode()
        for part in (day, region, service, "aws4_request"):
            secret = hmac.digest(secret, part.encode(), "sha256")
        if hmac.new(secret, text.encode(), "sha256").hexdigest() != signature:
            self.problems.append("the signature does not match")
            raise Refusal("InvalidSignatureException", "The signature does not match.", 403)
        if headers.get("X-Amz-Security-Token") != self.token:
            self.problems.append("another session token")
        if self.expired:
            text = "The security token included in the request is expired"
            raise Refusal("ExpiredTokenException", text)

    def _authorize(self, operation: str, arn: str) -> None:
        if not self.allows(f"sagemaker:{operation}", arn):
            text = (
                f"User: {_ROLE} is not authorized to perform: sagemaker:{operation} on resource:"
                f" {arn} because no identity-based policy allows the sagemaker:{operation} action"
            )
            raise Refusal("AccessDeniedException", text)

    def _all(self) -> list[_Thing]:
        return [*self._notebooks.values(), *self._apps.values()]

    def _pass_time(self) -> None:
        ends = {"Stopping": "Stopped", "Deleting": "Deleted"}
        for thing in self._all():
            if thing.until is not None and time.monotonic() >= thing.until:
                thing.turn(ends[thing.status])

    def _notebook(self, operation: str, parameters: Mapping[str, Any]) -> _Thing:
        name = parameters["NotebookInstanceName"]
        arn = f"arn:aws:sagemaker:{REGION}:{ACCOUNT}:notebook-instance/{name.lower()}"
        self._authorize(operation, arn)
        if name not in self._notebooks:
            raise Refusal("ValidationException", "RecordNotFound")
        return self._notebooks[name]

    def _DescribeNotebookInstance(self, parameters: Mapping[str, Any]) -> Any:
        thing = self._notebook("DescribeNotebookInstance", parameters)
        return {
            "NotebookInstanceArn": thing.arn,
            "NotebookInstanceName": parameters["NotebookInstanceName"],
            "NotebookInstanceStatus": thing.status,
            "InstanceType": "ml.t3.medium",
            "RoleArn": f"arn:aws:iam::{ACCOUNT}:role/ExecutionRole",
            "CreationTime": thing.created,
            "LastModifiedTime": thing.modified,
            "DirectInternetAccess": "Enabled",
            "VolumeSizeInGB": 5,
        }

    def _StopNotebookInstance(self, parameters: Mapping[str, Any]) -> Any:
        thing = self._notebook("StopNotebookInstance", parameters)
        if thing.status != "InService":
            text = (
                f"Status ({thing.status}) not in ([InService]). Unable to transition to"
                f" (Stopping) for Notebook Instance ({thing.arn})"
            )
            raise Refusal("ValidationException", text)
        thing.turn("Stopping", time.monotonic() + self.linger_seconds)

    def _app(self, operation: str, parameters: Mapping[str, Any]) -> _Thing:
        space, user = parameters.get("SpaceName", ""), parameters.get("UserProfileName", "")
        if bool(space) == bool(user):
            text = "Exactly one of UserProfileName and SpaceName must be given"
            raise Refusal("ValidationException", text)
        domain, kind, name = (parameters[k] for k in ("DomainId", "AppType", "AppName"))
        path = f"{domain}/{space or user}/{kind}/{name}"
        self._authorize(operation, f"arn:aws:sagemaker:{REGION}:{ACCOUNT}:app/{path}")
        thing = self._apps.get((domain, space, user, kind, name))
        if thing is None:
            raise Refusal("ResourceNotFound", f"App [{path}] does not exist.")
        return thing

    def _DescribeApp(self, parameters: Mapping[str, Any]) -> Any:
        thing = self._app("DescribeApp", parameters)
        return {
            **parameters,
            "AppArn": thing.arn,
            "Status": thing.status,
            "CreationTime": thing.created,
            "LastHealthCheckTimestamp": _now(),
            "LastUserActivityTimestamp": _now(),
            "ResourceSpec": {"InstanceType": "ml.t3.medium"},
        }

    def _DeleteApp(self, parameters: Mapping[str, Any]) -> Any:
        thing = self._app("DeleteApp", parameters)
        if thing.status == "Deleted":
            raise Refusal("ResourceNotFound", f"App [{thing.arn}] does not exist.")
        if thing.status not in ("InService", "Failed"):
            text = f"App [{thing.arn}] is in {thing.status} and cannot be deleted."
            raise Refusal("ResourceInUse", text)
        thing.turn("Deleting", time.monotonic() + self.linger_seconds)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # else each answer waits for an acknowledgement that is delayed
    stand_in: SageMakerStandIn

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        service, _, name = self.headers.get("X-Amz-Target", "").partition(".")
        if (
            service not in self.stand_in.services
            or self.headers.get("Content-Type") != "application/x-amz-json-1.1"
        ):
            self.stand_in.problems.append(f"not JSON 1.1 of what is here: {dict(self.headers)}")
        status, answer = self.stand_in.answer(name, body, self.headers)
        text = b"" if answer is None else json.dumps(answer).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/x-amz-json-1.1")
        self.send_header("x-amzn-RequestId", str(uuid.uuid4()))
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def handle(self) -> None:
        """Take requests; a server under test that is killed leaves in the middle of one."""
        with contextlib.suppress(ConnectionError):
            super().handle()

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""


class CredentialsServer:
    """What gives a space's processes their credentials. Use it as a context manager."""

    token = "stand-in-session-token"

    def __init__(self) -> None:
        expires = (_now() + datetime.timedelta(hours=1)).strftime("%Y-%m-%dT%H:%M:%SZ")
        given = {
            "AccessKeyId": KEY,
            "SecretAccessKey": SECRET,
            "Token": self.token,
            "Expiration": expires,
        }
        body = json.dumps(given).encode()

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self.send_response(200)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *args: Any) -> None:
                """Say nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}/credentials"

    def __enter__(self) -> CredentialsServer:
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
