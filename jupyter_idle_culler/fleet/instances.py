"""One run over the notebook instances: what is due is started, stopped, or told why not."""

from __future__ import annotations

import re
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from .clients import Clients
from .deadline import Deadline
from .due import (
    LAST_START_TAG,
    NOTHING,
    START,
    STOP,
    Due,
    Instance,
    Rules,
    due,
    due_now,
    softened,
)
from .listing import Progress, matching, with_tags_of_now, write_tag
from .report import Report
from .schedules import Schedule
from .selection import NOT_SELECTED, Selection, exempt
from .signals import FRESH_SECONDS

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
        self._began = time.monotonic()
        self.report = Report(plan.dry_run)
        self.since: dict[str, datetime] = {}
        """Since when what is said of an instance is so, by its name; only what is to be told."""

    def run(self, progress: Progress | None = None) -> Report:
        """Do what is due; what fails is noted, and the rest done."""
        plan = self._plan
        for batch in matching(self._clients, plan.selection, self.report.fail, progress):
            if self._deadline.near():
                self.report.remaining += [each.name for each in batch]
                self.report.details |= {"complete": False, "not_listed_after": batch[-1].name}
                break
            self.report.matched += len(batch)
            self._batch(batch)
        return self.report

    def _batch(self, batch: list[Instance]) -> None:
        found = [(instance, self._due(instance, self._now)) for instance in batch]
        read_at = time.monotonic()
        self.since |= {i.name: what.since for i, what in found if what.since is not None}
        unmarked = {} if self._plan.dry_run else self._remember(found)
        latest: dict[str, Due] = {}
        not_sent: list[Instance] = []
        for index, (instance, what) in enumerate(found):
            acts = what.what in (START, STOP)
            if instance.arn in unmarked:
                text = f"{LAST_START_TAG} cannot be written: {unmarked[instance.arn]}"
                self.report.fail(instance.name, f"not started: {text}" if acts else text)
                continue
            if acts and not self._plan.dry_run and time.monotonic() - read_at > FRESH_SECONDS:
                latest = self._look_again(found[index:])
                read_at = time.monotonic()
            still = latest.get(instance.arn, what)
            sent = acts and still.what == what.what and self._act(instance, still)
            if not acts or still.what != what.what:
                self.report.skip(instance.name, still.reason)
            if still.what != what.what:
                self.since[instance.name] = self._now
            if what.what == START and not sent:
                not_sent.append(instance)
        if not self._plan.dry_run:
            self._forget(not_sent)

    def _look_again(self, found: list[tuple[Instance, Due]]) -> dict[str, Due]:
        """Return what is due of the rest of a batch by what their tags say now, by ARN."""
        acting = [instance for instance, what in found if what.what in (START, STOP)]
        now = self._now + timedelta(seconds=time.monotonic() - self._began)
        try:
            fresh = with_tags_of_now(self._clients, acting)
        except Exception as error:  # boto3's, ours: in doubt nothing is done
            self.report.fail(f"the tags of {len(acting)} instances, before acting", error)
            return {each.arn: Due(NOTHING, "its tags could not be read again") for each in acting}
        return {
            each.arn: self._due(each, now)
            if self._plan.selection.matches(each.name, each.tags)
            else Due(NOTHING, NOT_SELECTED)
            for each in fresh
        }

    def _due(self, instance: Instance, now: datetime) -> Due:
        plan = self._plan
        if exempt(instance.tags):
            return Due(NOTHING, "its tags exempt it")
        if not plan.schedules:
            found = due_now(instance, plan.rules, now)
        else:
            names = instance.tags.get(SCHEDULE_TAG, plan.default_schedule).split()
            missing = [name for name in names if name not in self._moments]
            if missing or not names:
                why = f"its tag names {missing[0]}, which is no schedule" if missing else ""
                why = why or f"no tag {SCHEDULE_TAG}, and no default schedule"
                begun = [w.start for each in self._moments.values() for w in each.begun]
                return Due(NOTHING, why, since=max(begun, default=None))  # told with each window
            moments = [self._moments[name] for name in names]
            found = due(instance, moments, plan.rules, now)
        return softened(found, instance, plan.rules, now)

    def _remember(self, found: list[tuple[Instance, Due]]) -> dict[str, str]:
        """Write which window it is on those that are on, or will be; return those that refuse."""
        marks: dict[str, list[str]] = {}
        for instance, what in found:
            if what.remembered_as:
                marks.setdefault(what.remembered_as, []).append(instance.arn)
        refused: dict[str, str] = {}
        for value, arns in marks.items():
            refused |= write_tag(self._clients, arns, LAST_START_TAG, value)
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
