"""What people and programs ask of the culler: the one door for REST (and so for CLI and widget).

It shows state and passes wishes on; what becomes of them is decided in `core`.
"""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

from . import status as shapes
from .actions.base import Outcome
from .actor import dry_run_text
from .config.idle_culler import IdleCuller, Settings
from .config.user_settings import SETTING_NAMES, UserSettings, save_user_settings
from .core.model import HOST, Action, Decision, ResourceId, Verdict
from .costs import Costs
from .culler import Culler, Looked
from .errors import OutOfBounds, UnknownResource
from .farewell import Farewell
from .journal.journal import Journal
from .last_stop import LastStops
from .other_cullers import OtherCuller
from .pages import Pages
from .preflight import Preflight
from .records import JournalRecords
from .sagemaker_activity import ActivityFile
from .sign_of_life import SignOfLife
from .sources.keep_alives import KeepAlives, StandingKeepAlive
from .sources.presence import PresenceSource
from .sources.reported import ReportedSource
from .status_view import StatusView, minutes, policy_summary
from .stopping import HostStop

EXACT_SECONDS, NOTICEABLE_SECONDS = 2.0, 15.0
"""A countdown that presence moves by a hundredth is told at once; within these bounds."""


@dataclass
class CullerService:
    """The running culler as the API knows it (`api.culler_port.CullerPort`).

    ``exists`` knows of kernels and terminals that came after the last look. ``other_cullers`` are
    what else may end things on this server. ``host_stop`` None: no stop here. ``costs``
    None: no price is configured. ``preflight`` None: AWS is not needed. ``activity_file`` None:
    nobody to tell of evidence. ``sign_of_life`` None: none is shown.
    """

    config: IdleCuller
    settings_in_force: Settings
    culler: Culler
    journal: Journal
    view: StatusView
    keep_alives: KeepAlives
    presence: PresenceSource
    reported: ReportedSource
    farewell: Farewell
    records: JournalRecords
    exists: Callable[[ResourceId], bool]
    log: logging.Logger
    host_stop: HostStop | None = None
    costs: Costs | None = None
    preflight: Preflight | None = None
    activity_file: ActivityFile | None = None
    sign_of_life: SignOfLife | None = None
    user_settings: UserSettings = field(default_factory=UserSettings)
    other_cullers: tuple[OtherCuller, ...] = ()
    _settings_problem: str | None = None
    _saving: asyncio.Lock = field(default_factory=asyncio.Lock)

    @property
    def pages(self) -> Pages:
        """The pages that are open."""
        return self.farewell.pages

    @property
    def last_stops(self) -> LastStops:
        """The record of the stop before this start."""
        return self.farewell.record

    def status(self) -> shapes.Status:
        """Say how everything stands, from memory."""
        policy, bound = self.culler.policy, self.config.bounds()["timeout_minutes"]
        summary = policy_summary(
            policy,
            min_timeout_minutes=bound.minimum or None,
            max_timeout_minutes=None if math.isinf(bound.maximum) else bound.maximum,
            max_keep_alive_minutes=self.settings_in_force.max_keep_alive_seconds / 60,
        )
        keep_alives = [self._shown(wish) for wish in self.keep_alives.standing()]
        status = self.view.status(self.culler.last, summary, keep_alives, self.problems())
        return replace(
            status,
            last_stop=self.last_stops.loaded,
            costs=None if self.costs is None else self.costs.shown(),
        )

    def explain(self) -> shapes.Explanation:
        """Say why, with every observation of the last look."""
        others = [str(other) for other in self.other_cullers]
        return self.view.explain(self.status(), self.culler.last, others, self.farewell.ended.ended)

    def looked(self, looked: Looked) -> None:
        """Remember what things are called, until what is done about them is settled."""
        self.farewell.ended.looked(looked, self.culler.actor.running)

    def settled(self, decision: Decision, outcome: Outcome) -> None:
        """Remember what was ended, and why."""
        self.farewell.ended.settled(decision, outcome, self.culler.clock.utc_now())

    def problems(self) -> list[shapes.Problem]:
        """List what is wrong beside failing sources and actions."""
        since = self.culler.clock.to_utc(self.culler.observer.server_started_at)
        disk, log = "make the path writable, or free disk space", "see the server log"
        known = (
            ("culler", self.culler.problem, log),
            ("journal", self.journal.problem, disk),
            ("keep-alives", self.keep_alives.problem, disk),
            ("settings", self._settings_problem, disk),
            ("costs", self.costs.problem if self.costs else None, log),
            ("last stop", self.last_stops.problem, f"dismiss it, or {disk}"),
            ("pages", self.pages.problem, "save there by hand, or reload the page"),
            ("activity file", self.activity_file.problem if self.activity_file else None, disk),
        )
        found = [
            shapes.Problem(source, since, detail, mend) for source, detail, mend in known if detail
        ]
        if self.sign_of_life is not None and self.sign_of_life.problem:
            sign = self.sign_of_life
            found.append(shapes.Problem("sign of life", since, str(sign.problem), sign.mend))
        found += self._environment_problems(since)
        mend = "switch it off, or set take_over_builtin_culling"
        found += [
            shapes.Problem("other culler", since, str(other), mend)
            for other in self.other_cullers
            if other.is_problem
        ]
        return found

    async def keep_alive(
        self, minutes: float, reason: str, resource: ResourceId | None, owner: str
    ) -> shapes.KeepAlive:
        """Keep the host or one resource awake. Raises: OutOfBounds, UnknownResource."""
        self._check_exists(resource)
        wish = await self.keep_alives.add(minutes, reason, resource, owner)
        await self.journal.append(
            "keep-alive",
            id=wish.id,
            resource=str(wish.resource),
            minutes=minutes,
            reason=wish.reason,
            ends_at=wish.ends_at,
        )
        self.culler.poke()
        return self._shown(wish)

    async def cancel_keep_alive(self, keep_alive_id: str | None, owner: str, is_admin: bool) -> int:
        """End one keep-alive, or all of the owner. Raises: NotOwner, UnknownKeepAlive."""
        ended = await self.keep_alives.cancel(keep_alive_id, owner, is_admin)
        if ended:
            await self.journal.append("keep-alive", id=keep_alive_id, cancelled=ended)
            self.culler.poke()
        return ended

    def report_activity(self, resource: ResourceId | None, presence: bool, owner: str) -> None:
        """Take note of a person, or of a script's word. Raises: UnknownResource."""
        self._check_exists(resource)
        if presence:
            self.presence.report(owner, resource)
        else:
            self.reported.report(resource)
        last = self.culler.last
        if last is None:
            return
        warned = last.state.warned is not None
        if warned or (presence and self._moves_a_deadline(last, resource)):
            self.culler.poke()

    def settings(self) -> Mapping[str, shapes.Setting]:
        """List what a user may change, the value in force and the bounds, in minutes."""
        policy, bounds = self.culler.policy, self.config.user_bounds()
        in_force = {
            "kernel_timeout_minutes": minutes(policy.kernel_timeout_seconds),
            "terminal_timeout_minutes": minutes(policy.terminal_timeout_seconds),
            "host_timeout_minutes": minutes(policy.host_timeout_seconds),
            "warning_minutes": policy.warning_seconds / 60,
        }
        everything = self.user_settings.timeout_minutes
        if everything is None:
            everything = self.config.timeout_minutes
        in_force["timeout_minutes"] = everything or None
        shown = {}
        for name in SETTING_NAMES:
            bound = bounds.get(name)
            shown[name] = shapes.Setting(
                value=in_force[name],
                source=self._source_of(name),
                minimum=bound.minimum or None if bound else None,
                maximum=None if bound is None or math.isinf(bound.maximum) else bound.maximum,
            )
        return shown

    async def update_settings(self, changes: Mapping[str, float | None]) -> None:
        """Set what the user wishes, all or nothing. Raises: OutOfBounds, ConfigurationError."""
        async with self._saving:
            self.user_settings = self.user_settings.changed(changes, self.config.user_bounds())
            self.culler.policy = self.config.policy(self.user_settings)
            path = self.settings_in_force.user_settings_path
            try:
                await asyncio.to_thread(save_user_settings, path, self.user_settings)
            except OSError as error:
                self._settings_problem = f"{path}: {error.strerror or error}"
                self.log.warning("Idle culler: settings are kept in memory only: %s", error)
            else:
                self._settings_problem = None
        await self.journal.append("settings", changes=dict(changes))
        self.culler.poke()

    async def stop_now(self, owner: str, reason: str) -> Outcome:
        """Stop the host at a person's own wish.

        Raises: OutOfBounds where nothing may be stopped.
        """
        if self.host_stop is None:
            message = "there is nothing to stop here: the administrator chose stop_action = none"
            raise OutOfBounds(message)
        now = self.culler.clock.now()
        asked = f"a person asked for it: {reason}" if reason else "a person asked for it"
        decision = Decision(HOST, Action.STOP, Verdict.ACTIVE, asked, now, asked, "request")
        if self.settings_in_force.dry_run:
            await self.journal.append("stop", durable=True, owner=owner, reason=reason)
            return Outcome(True, dry_run_text(self.host_stop.would))
        self.stop_is_near()
        await self.records.asked_to_stop(decision, owner, reason)
        try:
            outcome = await self.host_stop.stop_now(decision, owner)
        except Exception as error:
            self.log.exception("Idle culler: the stop that was asked for failed")
            outcome = Outcome(False, f"{type(error).__name__}: {error}")
        await self.records.settled(decision, outcome)
        if not outcome.ok:
            mend = f" To mend it: {outcome.mend}." if outcome.mend else ""
            self.log.error("Idle culler: could not stop the host: %s.%s", outcome.detail, mend)
        return outcome

    def stop_is_near(self) -> None:
        """Get ready for a stop that is about to be announced; a dry run asks nobody."""
        if not self.settings_in_force.dry_run:
            self.farewell.stop_is_near()

    def report_page(
        self, page: str, is_open: bool, saved: int | None, failed: Sequence[str]
    ) -> None:
        """Take note that a page is open, has saved, or closes."""
        if is_open:
            self.presence.widget_seen()
        self.pages.tell(page, is_open, saved, failed)

    async def dismiss_last_stop(self) -> None:
        """Forget the last stop: somebody has read of it."""
        if self.last_stops.loaded is not None or self.last_stops.problem is not None:
            await self.last_stops.dismiss()
            self.culler.poke()

    def _moves_a_deadline(self, last: Looked, resource: ResourceId | None) -> bool:
        """Tell whether pages would see a countdown move, now that a person was seen.

        However many people there are, their reports cause a few looks a minute at most.
        """
        now = self.culler.clock.now()
        for decision in last.decisions:
            if decision.deadline is None or decision.resource not in (HOST, resource):
                continue
            countdown = decision.deadline - decision.evidence_at
            least = min(max(countdown / 100, EXACT_SECONDS), NOTICEABLE_SECONDS)
            if now - decision.evidence_at > least:
                return True
        return False

    def _check_exists(self, resource: ResourceId | None) -> None:
        if resource is None:
            return
        if not self.exists(resource):
            message = f"there is no {resource.kind.value} {resource.name!r}"
            raise UnknownResource(message)

    def _shown(self, wish: StandingKeepAlive) -> shapes.KeepAlive:
        clock = self.culler.clock
        return shapes.KeepAlive(
            id=wish.id,
            owner=wish.owner,
            reason=wish.reason,
            resource=str(wish.resource) if wish.resource.name else None,
            ends_in_seconds=max(0.0, wish.ends_at - clock.now()),
            ends_at=clock.to_utc(wish.ends_at),
        )

    def _source_of(self, name: str) -> str:
        if getattr(self.user_settings, name) is not None:
            return "user"
        return self.config.source_of(name)

    def _environment_problems(self, since: datetime) -> list[shapes.Problem]:
        """List what keeps the host from being stopped, as far as it can be known before."""
        if self.config.environment_problem:
            mend = "mend the metadata file, or choose another stop_action"
            return [shapes.Problem("environment", since, self.config.environment_problem, mend)]
        report = self.preflight.report if self.preflight is not None else None
        if report is None or report.ready:
            return []
        return [shapes.Problem("preflight", since, report.found, report.mend)]
