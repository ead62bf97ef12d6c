"""Remove an endpoint whose grace is over: save it, look again, delete."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta, timezone
from typing import Any

from ...errors import IdleCullerError
from ..clients import Clients
from ..deadline import Deadline
from ..selection import exempt
from .idleness import before_asking, confirmed, judged, proofs
from .marks import mark_of
from .metrics import ask, queries_of
from .model import Endpoint, Judgement, Verdict
from .reading import components_of, described, is_missing, tags_of
from .saving import ENDPOINT, described_in_full, save
from .scaling import forget
from .settings import Settings
from .window import Window

_DELETING = "Deleting"
_POLL_SECONDS = 5.0
_MOST_WAITED_SECONDS = 600.0


class NotNow(IdleCullerError):
    """It is left alone after all; the message says why."""


class Underway(IdleCullerError):
    """Its inference components were deleted, and it itself was not; the message says why.

    ``saved``: where all of it is saved.
    """

    def __init__(self, reason: str, saved: str) -> None:
        super().__init__(reason)
        self.saved = saved


def by_part(endpoint: Endpoint, answers: list[Any]) -> dict[Any, Any]:
    """Return the answers to an endpoint's queries by its parts."""
    found: dict[Any, Any] = {}
    for (part, query), answer in zip(queries_of(endpoint), answers, strict=True):
        found.setdefault(part, []).append((query, answer))
    return found


def look(clients: Clients, endpoint: Endpoint, window: Window, since: datetime) -> Judgement:
    """Ask CloudWatch of one endpoint and judge it. Raises: botocore's errors, BadAnswer."""
    answers = ask(clients.cloudwatch, [query for _, query in queries_of(endpoint)], window)
    found = by_part(endpoint, answers)
    judgement = judged(endpoint, found, window, since)
    still = proofs(endpoint, found, window, since, judgement)
    if not still:
        return judgement
    latest = Window.latest(window.now)
    came = ask(clients.cloudwatch, [query for _, query in still], latest)
    return confirmed(judgement, still, came, latest)


@dataclass(frozen=True)
class Remover:
    """Removes endpoints, one after the other. ``wall_clock`` is aware; ``sleep`` takes seconds."""

    clients: Clients
    settings: Settings
    deadline: Deadline
    wall_clock: Callable[[], datetime] = lambda: datetime.now(timezone.utc)
    sleep: Callable[[float], None] = time.sleep

    def remove(self, endpoint: Endpoint, mark: datetime) -> tuple[str, str]:
        """Remove an endpoint; return where it is saved, and what could not be tidied up after it.

        Raises: NotNow where the last look sees something else than idle; Underway where that is
        after its inference components were deleted; NotSavable, SavingFailed, botocore's errors.
        In each case the endpoint is still there.
        """
        saved = described_in_full(self.clients, endpoint, ENDPOINT)
        where = save(self.clients, self.settings.save_to, saved)
        self._look_again(endpoint, mark)
        if endpoint.components:
            self._remove_components(endpoint)
            try:
                self._wait_for_components(endpoint)
                left = replace(endpoint, parts=endpoint.variants)
                self._look_again(left, mark, touched=True)
            except NotNow as reason:
                raise Underway(str(reason), where) from reason
        self._delete(endpoint)
        try:
            forget(self.clients, saved["scaling"])
        except Exception as error:  # the endpoint is gone all the same, and that must be told
            return where, f"it is deleted, but its autoscaling is not forgotten: {error}"
        return where, ""

    def _delete(self, endpoint: Endpoint) -> None:
        sagemaker = self.clients.sagemaker
        try:
            sagemaker.delete_endpoint(EndpointName=endpoint.name)
        except sagemaker.exceptions.ClientError:
            # A call whose answer got lost is repeated by boto3, and refused then.
            if not self._is_going(endpoint.name):
                raise

    def _is_going(self, name: str) -> bool:
        sagemaker = self.clients.sagemaker
        try:
            told = sagemaker.describe_endpoint(EndpointName=name)
        except sagemaker.exceptions.ClientError as error:
            return is_missing(error)
        return bool(told["EndpointStatus"] == _DELETING)

    def _look_again(self, endpoint: Endpoint, mark: datetime, *, touched: bool = False) -> None:
        """Look once more. ``touched``: this run itself has changed it. Raises: NotNow."""
        sagemaker = self.clients.sagemaker
        tags = tags_of(sagemaker, endpoint.arn)
        if mark_of(tags) != mark or exempt(tags):
            message = "its tags were changed during this run"
            raise NotNow(message)
        listed = components_of(sagemaker, endpoint.name)
        now = described(sagemaker, endpoint.region, endpoint.name, tags, listed)
        window = Window.of(self.wall_clock(), self.settings.idle, self.settings.grace)
        judgement = before_asking(now.status, now.created, window)
        same = (now.arn, now.created, now.config) == (
            endpoint.arn,
            endpoint.created,
            endpoint.config,
        )
        same = same and (touched or now.modified == endpoint.modified)
        if judgement is None and not same:
            message = "it was changed during this run"
            raise NotNow(message)
        if judgement is None:
            judgement = look(self.clients, now, window, min(window.since, mark))
        if not may_go(judgement, self.settings.include_free):
            message = f"{judgement.verdict.value} at the last look: {judgement.reason}"
            raise NotNow(message)

    def _remove_components(self, endpoint: Endpoint) -> None:
        """Delete the components, adapters before their base: they hold the endpoint."""
        sagemaker = self.clients.sagemaker
        there = {
            component["InferenceComponentName"]: component.get("InferenceComponentStatus")
            for component in components_of(sagemaker, endpoint.name)
        }
        for part in sorted(endpoint.components, key=lambda part: part.proof == part.name):
            if there.get(part.name, _DELETING) != _DELETING:
                sagemaker.delete_inference_component(InferenceComponentName=part.name)

    def _wait_for_components(self, endpoint: Endpoint) -> None:
        until = time.monotonic() + _MOST_WAITED_SECONDS
        while components_of(self.clients.sagemaker, endpoint.name):
            if self.deadline.near() or time.monotonic() > until:
                message = "its inference components are being deleted; the next run does the rest"
                raise NotNow(message)
            self.sleep(_POLL_SECONDS)


def may_go(judgement: Judgement, include_free: bool) -> bool:
    """Tell whether something may be removed; what costs nothing only where that was asked for."""
    if judgement.verdict is Verdict.FREE:
        return include_free and judgement.proven
    return judgement.verdict is Verdict.IDLE


def grace_ends(mark: datetime, grace: timedelta) -> datetime:
    """Return when a marked endpoint may go."""
    return mark + grace
