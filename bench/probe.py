"""An extension for the servers under measurement, plain ones too: it tells what only they know.

``GET bench/state``: imported modules, and what the culler did. ``POST bench/lag`` measures the
event loop for some seconds: a timer each millisecond, and by how much it came late.
``POST bench/preflight`` asks AWS as at the start of a server, ``POST bench/stop`` stops by an
action that remembers no stop before.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from typing import Any

from jupyter_server.base.handlers import JupyterHandler
from jupyter_server.utils import url_path_join
from tornado import web

_TICK_SECONDS = 0.001


def _jupyter_server_extension_points() -> list[dict[str, str]]:
    return [{"module": "bench.probe"}]


def _load_jupyter_server_extension(serverapp: Any) -> None:
    settings = serverapp.web_app.settings
    settings["bench_observed"] = Observed()
    routes = {
        "state": StateHandler,
        "attach": AttachHandler,
        "lag": LagHandler,
        "preflight": PreflightHandler,
        "stop": StopHandler,
    }
    serverapp.web_app.add_handlers(
        ".*$",
        [
            (url_path_join(settings["base_url"], "bench", name), handler)
            for name, handler in routes.items()
        ],
    )


class Observed:
    """What the culler was seen to do: looks (from, to) and the beginnings of culls."""

    def __init__(self) -> None:
        self.looks: list[tuple[float, float]] = []
        self.begun: dict[str, dict[str, float | None]] = {}
        self._attached = False

    def attach(self, culler: Any) -> None:
        """Note from now on when this culler looks and acts."""
        if self._attached:
            return
        self._attached = True
        look, begin = culler.look, culler.actor.begin

        async def noted_look() -> Any:
            began = time.monotonic()
            try:
                return await look()
            finally:
                self.looks.append((began, time.monotonic()))

        def noted_begin(decision: Any) -> Any:
            self.begun[decision.resource.name] = {
                "at": time.monotonic(),
                "deadline": decision.deadline,
                "evidence_at": decision.evidence_at,
            }
            return begin(decision)

        culler.look, culler.actor.begin = noted_look, noted_begin


class _Handler(JupyterHandler):
    _track_activity = False

    def check_xsrf_cookie(self) -> None:
        """Let a token do."""

    @property
    def observed(self) -> Observed:
        found: Observed = self.settings["bench_observed"]
        return found


class StateHandler(_Handler):
    """What there is."""

    @web.authenticated
    def get(self) -> None:
        """Tell it."""
        observed = self.observed
        state = {
            "modules": sorted(sys.modules),
            "looks": observed.looks,
            "begun": observed.begun,
        }
        self.finish(json.dumps(state))


class AttachHandler(_Handler):
    """Watch the culler, and set how often it looks."""

    @web.authenticated
    def post(self) -> None:
        """Do so."""
        culler = self.settings["idle_culler"].culler
        self.observed.attach(culler)
        interval = json.loads(self.request.body or b"{}").get("check_interval_seconds")
        if interval is not None:
            culler.check_interval_seconds = interval
            culler.poke()
        self.finish("{}")


class PreflightHandler(_Handler):
    """What the culler asks of AWS before its first deadline."""

    @web.authenticated
    async def post(self) -> None:
        """Ask it now."""
        report = await self.settings["idle_culler"].preflight.once()
        self.finish(json.dumps({"ready": report.ready, "found": report.found}))


class StopHandler(_Handler):
    """The stop, as often as it is asked for."""

    @web.authenticated
    async def post(self) -> None:
        """Send it now."""
        # Here, for a plain server must load nothing of the culler.
        from jupyter_idle_culler.actions.stop_sagemaker import StopSageMaker
        from jupyter_idle_culler.aws.errand import Errand
        from jupyter_idle_culler.core.model import HOST, Action, Decision, Verdict

        target = self.settings["idle_culler"].preflight._errand.target
        action = StopSageMaker(Errand(target), self.log)
        outcome = await action.apply(Decision(HOST, Action.STOP, Verdict.IDLE, "bench", 0.0))
        self.finish(json.dumps({"ok": outcome.ok, "detail": outcome.detail}))


class LagHandler(_Handler):
    """How late timers come."""

    @web.authenticated
    async def post(self) -> None:
        """Measure for some seconds; tell each timer's lateness, and when looks were under way."""
        seconds = json.loads(self.request.body)["seconds"]
        loop = asyncio.get_running_loop()
        late: list[tuple[float, float]] = []
        began = time.monotonic()
        over = loop.create_future()

        def tick(due: float) -> None:
            now = time.monotonic()
            late.append((now, max(0.0, now - due)))
            if now - began > seconds:
                over.set_result(None)
            else:
                loop.call_at(now + _TICK_SECONDS, tick, now + _TICK_SECONDS)

        loop.call_soon(tick, began)
        await over
        looks = [look for look in self.observed.looks if look[1] > began]
        self.finish(json.dumps({"late": late, "looks": looks}))
