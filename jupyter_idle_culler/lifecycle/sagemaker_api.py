"""Calls of the SageMaker API: boto3 where it is needed, faults in words, every page of a list."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Collection, Iterator
from typing import Any

from ..aws import faults
from ..aws.faults import Fault
from .scripts import LifecycleError

TRIES = 5
_DENIED = re.compile(r"not authorized to perform: (\S+)(?: on resource: (\S+))?")


class SageMakerApi:
    """The API of one region. ``pause`` waits so many seconds, ``progress`` shows a line meanwhile.

    ``region`` and ``profile`` empty: as the AWS configuration says.
    """

    def __init__(
        self,
        region: str = "",
        profile: str = "",
        pause: Callable[[float], None] = time.sleep,
        progress: Callable[[str], None] = lambda line: None,
    ) -> None:
        self._region, self._profile = region, profile
        self._pause = pause
        self.progress = progress
        self._client: Any = None

    def call(self, operation: str, needed: str = "", **parameters: Any) -> dict[str, Any]:
        """Call an operation and return its answer, in which ``needed`` must be.

        Raises: Fault. An answer without what it must hold is one, too.
        """
        try:
            client = self._connected()
            method = re.sub(r"(?<!^)([A-Z])", r"_\1", operation).lower()
            answer: dict[str, Any] = getattr(client, method)(**parameters)
        except Exception as error:
            raise faults.understood(error, operation) from error
        if (needed and needed not in answer) or not answer.get("ResponseMetadata", {}).get(
            "RequestId"
        ):
            text = f"{operation} was answered by something that is not the SageMaker API"
            raise Fault(faults.GARBAGE, text, None)
        return {name: value for name, value in answer.items() if name != "ResponseMetadata"}

    def every(self, operation: str, member: str, **parameters: Any) -> Iterator[dict[str, Any]]:
        """Give each entry of a list, page by page. Raises: Fault."""
        following: dict[str, Any] = {}
        while True:
            answer = self.call(operation, member, **parameters, **following)
            yield from answer[member]
            if not answer.get("NextToken"):
                return
            following = {"NextToken": answer["NextToken"]}

    def found(self, operation: str, needed: str, **parameters: Any) -> dict[str, Any] | None:
        """Return a description, None where there is no such thing. Raises: Fault."""
        try:
            return self.call(operation, needed, **parameters)
        except Fault as fault:
            if fault.code == faults.NOT_FOUND:
                return None
            raise

    def wait(
        self,
        what: str,
        status: Callable[[], str],
        until: Collection[str],
        meanwhile: Collection[str],
        most: float,
    ) -> None:
        """Wait for one of some states; ``meanwhile`` are those on the way, ``most`` is in seconds.

        Raises: LifecycleError where it turns to another state or takes too long; Fault.
        """
        waited, pause = 0.0, 0.25
        while True:
            now = status()
            if now in until:
                return
            if now not in meanwhile or waited >= most:
                late = f" still, after {waited:.0f} s" if now in meanwhile else ""
                message = f"{what} is {now}{late}: {' or '.join(until)} was waited for"
                raise LifecycleError(message)
            self.progress(f"{what}: {now}, {waited:.0f} s")
            self._pause(pause)
            waited += pause
            pause = min(pause * 2, 10.0)

    def close(self) -> None:
        """Let go of the connections."""
        if self._client is not None:
            self._client.close()

    def _connected(self) -> Any:
        if self._client is None:
            try:
                import boto3
                from botocore.config import Config
            except ImportError as error:
                raise Fault(faults.NO_BOTO3, f"boto3 cannot be imported: {error}") from error
            session = boto3.session.Session(
                region_name=self._region or None, profile_name=self._profile or None
            )
            self._client = session.client(
                "sagemaker",
                config=Config(
                    connect_timeout=5,
                    read_timeout=30,
                    retries={"mode": "standard", "total_max_attempts": TRIES},
                ),
            )
        return self._client


def in_one_line(error: Exception) -> str:
    """Say a failure on one line; of a permission that is missing, the action and the resource."""
    text = str(error)
    if isinstance(error, Fault) and error.code == faults.DENIED:
        missing = _DENIED.search(text)
        if missing:
            where = f" on {missing[2].rstrip(',;.')}" if missing[2] else ""
            reason = text[missing.end() :].strip(" ,;.")
            text = f"permission missing: {missing[1].rstrip(',;.')}{where}" + (
                f" ({reason})" if reason else ""
            )
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())
