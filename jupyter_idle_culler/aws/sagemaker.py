"""Describe one notebook instance or app, and stop it: once, surely.

boto3 and the standard library only, Python 3.8 syntax: autostop shares it.

An answer to a stop may get lost, and a stop that is repeated is refused, or worse. So a stop is
sent again only where AWS has surely not done it; after anything doubtful the thing is described,
and what it says then decides. An answer of 200 that does not hold what it must is an error.
"""

from __future__ import annotations

import json
import os
import re
import time
from typing import Any, Callable, Dict, Mapping, NamedTuple, Optional

from . import faults
from .faults import Fault
from .sign_of_life import SIGN_TAG, statement
from .target import APP, Target

CONNECT_SECONDS, READ_SECONDS = 4.0, 10.0
DESCRIBE_TRIES = 3
STOP_TRIES = 3
STOP_PAUSE_SECONDS = 2.0
_PAUSES = (0.3, 0.7, 1.5, 2.5)
"""How long to wait for a stop that was sent to show, before each look."""

RUNNING, STOPPING, STOPPED, OTHERWISE = "running", "stopping", "stopped", "otherwise"
_STATES = {
    "InService": RUNNING,
    "Stopping": STOPPING,
    "Stopped": STOPPED,
    "Deleting": STOPPING,
    "Deleted": STOPPED,
}
_STATUS_MEMBERS = {APP: "Status"}
_NAME_MEMBERS = {APP: "AppName"}


class Answer(NamedTuple):
    """What became of a request. ``fault`` is a word of `faults`, empty where it was done.

    ``status`` is what AWS calls the state, empty where it could not be seen. ``sent``: a stop went
    out that AWS accepted, or may have.
    """

    fault: str
    detail: str
    mend: str = ""
    status: str = ""
    sent: bool = False


def _always() -> bool:
    return True


class SageMaker:
    """Speaks to the SageMaker API about one target.

    ``pause`` waits so many seconds. ``may_send`` is asked before each stop that would go out:
    getting so far may have taken a while.
    """

    def __init__(
        self,
        target: Target,
        pause: Callable[[float], None] = time.sleep,
        may_send: Callable[[], bool] = _always,
    ) -> None:
        self._target = target
        self._pause = pause
        self._may_send = may_send
        self._sent = False
        self._session: Any = None
        self._clients: Dict[int, Any] = {}
        self._body = b""

    def make_ready(self) -> None:
        """Load boto3, make the client and fetch credentials, so that a request goes out at once.

        What fails here fails again, and is told of, when it is needed.
        """
        try:
            self._client(DESCRIBE_TRIES)
            credentials = self._session.get_credentials()
            if credentials is not None:
                credentials.get_frozen_credentials()
        except Exception:
            return

    def close(self) -> None:
        """Let go of the connections."""
        for client in self._clients.values():
            client.close()

    def describe(self) -> Answer:
        """Say how the target is, and what keeps it from being seen."""
        try:
            status = self._status()
        except Fault as fault:
            return self._failed(fault)
        if _STATES.get(status) == STOPPED:
            return self._failed(self._not_running(status))._replace(status=status)
        return Answer("", "{} is {}".format(self._target.label, status), "", status)

    def stop(self) -> Answer:
        """Stop the target, unless it is stopping already."""
        try:
            answer = self._stop()
        except Fault as fault:
            answer = self._failed(fault)
        return answer._replace(sent=self._sent)

    def sign(self, value: str) -> Answer:
        """Put a sign of life upon the target: a tag, which is read from outside."""
        tags = [{"Key": SIGN_TAG, "Value": value}]
        try:
            told = {"ResourceArn": self._target.arn, "Tags": tags}
            if "Tags" not in self._call("AddTags", DESCRIBE_TRIES, told):
                text = "AddTags was answered without tags (cut short, or not by the SageMaker API)"
                raise Fault(faults.GARBAGE, text, None)
        except Fault as fault:
            allowed = json.dumps(statement(self._target))
            mend = faults.mend(fault.code, fault.detail, self._target, allowed)
            return Answer(fault.code, fault.detail, mend)
        return Answer("", "{} says: {}".format(self._target.label, value))

    def _stop(self) -> Answer:
        label = self._target.label
        try:
            status = self._status()
        except Fault as fault:
            if fault.code == faults.DENIED:
                return self._stop_unseen()
            raise
        state = _STATES.get(status, OTHERWISE)
        if state == STOPPING:
            return Answer("", "{} is {} already".format(label, status), "", status)
        if state != RUNNING:
            raise self._not_running(status)
        doubt = self._send()
        return self._confirmed(doubt)

    def _stop_unseen(self) -> Answer:
        """Stop what may be stopped but not described."""
        doubt = self._send()
        if doubt is None:
            return Answer("", "AWS accepted the stop of {}".format(self._target.label))
        # What was refused says in which state it was: "Status (Stopping)", "is in Deleting".
        refused = re.search(r"\b(Stopping|Deleting)\b", doubt.detail)
        if doubt.code == faults.REFUSED and refused:
            text = "{} is {} already".format(self._target.label, refused.group(1))
            return Answer("", text, "", refused.group(1))
        raise doubt

    def _not_running(self, status: str) -> Fault:
        """Say what a state means from which nothing can be stopped."""
        label = self._target.label
        if _STATES.get(status) == STOPPED:
            text = "{} is {}, yet this runs: the metadata file may be another's".format(
                label, status
            )
        else:
            text = "{} is {}: it can be stopped from InService only".format(label, status)
        return Fault(faults.NOT_RUNNING, text)

    def _send(self) -> Optional[Fault]:
        """Send the stop. Returns None where it was accepted, the fault where that is in doubt.

        Raises: Fault where AWS has surely not stopped anything, and will not if asked again.
        """
        for tried in range(STOP_TRIES):
            if tried:
                self._pause(STOP_PAUSE_SECONDS * 2 ** (tried - 1))
            if not self._may_send():
                raise Fault(faults.WITHDRAWN, "new evidence came in before the stop was sent")
            try:
                self._call(self._target.stop_operation, tries=1)
            except Fault as fault:
                self._sent = self._sent or fault.performed is None
                again = (faults.THROTTLED, faults.NO_ROUTE)
                if fault.code in again and tried + 1 < STOP_TRIES:
                    continue
                if fault.performed is None or fault.code == faults.REFUSED:
                    return fault
                raise
            self._sent = True
            return None
        return None

    def _confirmed(self, doubt: Optional[Fault]) -> Answer:
        """Look whether a stop that went out shows."""
        label, unseen, status = self._target.label, None, ""
        for pause in _PAUSES:
            try:
                status = self._status()
            except Fault as fault:
                if fault.code == faults.NOT_FOUND:
                    return Answer("", "{} is gone".format(label), "", "Deleted")
                unseen = fault
                break
            if _STATES.get(status) in (STOPPING, STOPPED):
                text = "AWS accepted the stop of {}: it is {}".format(label, status)
                if doubt is not None:
                    text = "{} is {} (after: {})".format(label, status, doubt.detail)
                return Answer("", text, "", status)
            self._pause(pause)
        if doubt is not None:
            then = "" if unseen is None else "; and then: " + unseen.detail
            raise Fault(doubt.code, doubt.detail + then, doubt.performed)
        if unseen is not None:
            text = "AWS accepted the stop of {}; whether it stops could not be seen ({})"
            return Answer("", text.format(label, unseen.detail))
        text = "AWS accepted the stop of {}, but it is still {}".format(label, status)
        raise Fault(faults.NOT_STOPPING, text)

    def _status(self) -> str:
        """Return the target's status. Raises: Fault."""
        operation, target = self._target.describe_operation, self._target
        answer = self._call(operation, DESCRIBE_TRIES)
        name_member = _NAME_MEMBERS.get(target.kind, "NotebookInstanceName")
        status = answer.get(_STATUS_MEMBERS.get(target.kind, "NotebookInstanceStatus"))
        if not status or not isinstance(status, str):
            text = "{} was answered without a status (cut short, or not by the SageMaker API)"
            raise Fault(faults.GARBAGE, text.format(operation), None)
        if (
            answer.get(name_member, target.parameters[name_member])
            != target.parameters[name_member]
        ):
            raise Fault(faults.GARBAGE, "{} told of something else".format(operation), None)
        return status

    def _call(
        self, operation: str, tries: int, parameters: Optional[Mapping[str, Any]] = None
    ) -> Dict[str, Any]:
        """Call an operation about the target. Raises: Fault."""
        try:
            client = self._client(tries)
            stops = operation == self._target.stop_operation
            self._body = b""
            name = re.sub(r"(?<!^)([A-Z])", r"_\1", operation).lower()
            answer: Dict[str, Any] = getattr(client, name)(
                **(parameters or self._target.parameters)
            )
        except Exception as error:
            raise faults.understood(error, operation) from error
        signed = answer.get("ResponseMetadata", {}).get("RequestId")
        if stops and (not signed or self._body.strip() not in (b"", b"{}")):
            text = "{} was answered by something that is not the SageMaker API".format(operation)
            raise Fault(faults.GARBAGE, text, None)
        return answer

    def _client(self, tries: int) -> Any:
        if tries not in self._clients:
            try:
                import boto3
                from botocore.config import Config
            except ImportError as error:
                raise Fault(
                    faults.NO_BOTO3, "boto3 cannot be imported: {}".format(error)
                ) from error
            # The credentials of an instance come from a service that is asked once otherwise.
            os.environ.setdefault("AWS_METADATA_SERVICE_TIMEOUT", "2")
            os.environ.setdefault("AWS_METADATA_SERVICE_NUM_ATTEMPTS", "3")
            if self._session is None:
                self._session = boto3.session.Session(region_name=self._target.region or None)
            client = self._session.client(
                "sagemaker",
                config=Config(
                    connect_timeout=CONNECT_SECONDS,
                    read_timeout=READ_SECONDS,
                    retries={"mode": "standard", "total_max_attempts": tries},
                ),
            )
            client.meta.events.register("response-received.sagemaker", self._note_body)
            self._clients[tries] = client
        return self._clients[tries]

    def _note_body(self, response_dict: Optional[Dict[str, Any]] = None, **_: Any) -> None:
        """Keep what came: an answer to a stop has no members that could be missing."""
        body = (response_dict or {}).get("body")
        self._body = body if isinstance(body, bytes) else b""

    def _failed(self, fault: Fault) -> Answer:
        told = faults.mend(fault.code, fault.detail, self._target)
        return Answer(fault.code, fault.detail, told)
