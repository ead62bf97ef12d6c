"""One run over the notebook instances: what is due is started, stopped, or told why not."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from .clients import Clients
from .deadline import Deadline
from .due import (
    LAST_START_TAG,
    REMEMBER,
    START,
    STOP,
    Due,
    Instance,
    Rules,
    due,
    due_now,
    mark,
    softened,
)
from .listing import Progress, matching, write_tag
from .report import Report
from .schedules import Schedule
from .selection import Selection, exempt

SCHEDULE_TAG = "idle-culler:schedule"
"""Names the schedule of an instance, or several with blanks between them."""
_OURS_ALREADY = {START: re.compile(r"\((Pending|InService)\)"), STOP: re.compile(r"\(Stopping\)")}
"""A call whose answer got lost is repeated by boto3, and then refused in these states."""


@dataclass(frozen=True)
class Plan:
    """What a run is to do. ``default_schedule`` is that of instances whose tag names none."""

    rules: Rules
    selection: Selection
    schedules: Mapping[str, Schedule] = field(default_factory=dict)
    default_schedule: str = ""
    dry_run: bool = True


class Run:
    """Goes over the instances once. ``now`` is the time that all of them are judged at."""

    def __init__(self, clients: Clients, plan: Plan, now: datetime, deadline: Deadline) -> None:
        self._clients, self._plan, self._now, self._deadline = clients, plan, now, deadline
        self._moments = {name: each.moment(now) for name, each in plan.schedules.items()}
        self.report = Report(plan.dry_run)
        self.held_since: list[datetime] = []
        """Since when each stop that was not made is held back (by work, silence or a grace)."""

    def run(self, progress: Progress | None = None) -> Report:
        """Do what is due; what fails is noted, and the rest done."""
        plan = self._plan
        for batch in matching(self._clients, plan.selection, self.report.fail, progress):
            if self._deadline.near():
                self.report.remaining += [each.name for each in batch]
                self.report.details["complete"] = False
                break
            self.report.matched += len(batch)
            self._batch(batch)
        return self.report

    def _batch(self, batch: list[Instance]) -> None:
        found = [(instance, self._due(instance)) for instance in batch]
        unmarked = {} if self._plan.dry_run else self._remember(found)
        not_sent: list[Instance] = []
        for instance, what in found:
            if what.what not in (START, STOP):
                if instance.arn in unmarked:
                    text = f"{LAST_START_TAG} cannot be written: {unmarked[instance.arn]}"
                    self.report.fail(instance.name, text)
                else:
                    self.report.skip(instance.name, what.reason)
            elif instance.arn in unmarked:
                text = f"not started: {LAST_START_TAG} cannot be written: {unmarked[instance.arn]}"
                self.report.fail(instance.name, text)
            elif not self._act(instance, what) and what.what == START:
                not_sent.append(instance)
        if not self._plan.dry_run:
            self._forget(not_sent)

    def _due(self, instance: Instance) -> Due:
        plan = self._plan
        if exempt(instance.tags):
            return Due("nothing", "its tags exempt it")
        if not plan.schedules:
            found = due_now(instance, plan.rules)
        else:
            names = instance.tags.get(SCHEDULE_TAG, plan.default_schedule).split()
            missing = [name for name in names if name not in self._moments]
            if missing or not names:
                why = f"its tag names {missing[0]}, which is no schedule" if missing else ""
                return Due("nothing", why or f"no tag {SCHEDULE_TAG}, and no default schedule")
            moments = [self._moments[name] for name in names]
            found = due(instance, moments, plan.rules, self._now)
        found = softened(found, instance, plan.rules, self._now)
        if found.held:
            self.held_since.append(found.since or self._now)
        return found

    def _remember(self, found: list[tuple[Instance, Due]]) -> dict[str, str]:
        """Write which window it is on those that are on, or will be; return those that refuse."""
        windows: dict[str, list[str]] = {}
        for instance, what in found:
            if what.what in (START, REMEMBER) and what.window_start is not None:
                windows.setdefault(mark(what.window_start), []).append(instance.arn)
        refused: dict[str, str] = {}
        for window, arns in windows.items():
            refused |= write_tag(self._clients, arns, LAST_START_TAG, window)
        return refused

    def _forget(self, not_sent: list[Instance]) -> None:
        """Put the marks back as they were on those whose start did not go out."""
        marks: dict[str, list[Instance]] = {}
        for instance in not_sent:
            marks.setdefault(instance.tags.get(LAST_START_TAG, ""), []).append(instance)
        for before, instances in marks.items():
            arns = [instance.arn for instance in instances]
            refused = write_tag(self._clients, arns, LAST_START_TAG, before)
            left = [instance.name for instance in instances if instance.arn in refused]
            if left:
                self.report.details.setdefault("marks_left", []).extend(left)

    def _act(self, instance: Instance, what: Due) -> bool:
        """Start or stop it, or tell why not; return whether that was sent."""
        if self._deadline.near():
            self.report.remaining.append(instance.name)
            self.report.details["complete"] = False
            return False
        try:
            if not self._plan.dry_run:
                self._send(what.what, instance.name)
        except Exception as error:  # boto3's: the others are not to suffer
            self.report.fail(instance.name, error)
            return False
        self.report.change(
            instance.name,
            action=what.what,
            reason=what.reason,
            instance_type=instance.instance_type,
        )
        return True

    def _send(self, action: str, name: str) -> None:
        from botocore.exceptions import ClientError

        sagemaker = self._clients.sagemaker
        calls: dict[str, Any] = {
            START: sagemaker.start_notebook_instance,
            STOP: sagemaker.stop_notebook_instance,
        }
        try:
            calls[action](NotebookInstanceName=name)
        except ClientError as error:
            if not _OURS_ALREADY[action].search(str(error)):
                raise
