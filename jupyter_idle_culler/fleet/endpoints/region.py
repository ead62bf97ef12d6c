"""One region of a run: its endpoints are listed, judged, told of, and dealt with."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime
from typing import Any, NamedTuple

from ..clients import Clients
from ..deadline import Deadline
from ..order import turned
from ..report import Report
from ..selection import exempt
from .findings import finding, part_finding
from .idleness import before_asking, confirmed, judged, of_config, proofs
from .marks import MARK_TAG, Mark, mark_of, promised, remove_mark, set_mark, stands
from .metrics import Query, answered, queries_of
from .model import Endpoint, Judgement, Kind, Part, Verdict
from .reading import (
    Listed,
    bulk_tags,
    components_by_endpoint,
    described,
    instance_types,
    is_missing,
    listed,
)
from .removal import NotNow, Remover, Underway, by_part, grace_ends, may_go
from .saving import SCALING, NotSavable, described_in_full, save
from .scaling import read_scaling, scale_to_zero, scales_to_zero
from .settings import DELETE, MARK, REPORT, SCALE_TO_ZERO, Settings
from .window import Window

Progress = Callable[[str], None]
_DATE = "%Y-%m-%d %H:%M UTC"
LISTS = {Verdict.IDLE: "idle", Verdict.FREE: "idle_costs_nothing", Verdict.UNKNOWN: "unknown"}
"""The lists of a report, by what is in them."""


class _Look(NamedTuple):
    """What is known of an endpoint before it is known whether its metrics still come."""

    endpoint: Endpoint
    judgement: Judgement
    during: Judgement
    still: list[tuple[Part, Query]]


class Region:
    """One region of a run; `run` fills the report. ``marked`` then has the marks that were set,
    with the names in the report; they count once they were told. ``clock`` is what the last look
    before a removal goes by.
    """

    def __init__(
        self,
        settings: Settings,
        clients: Clients,
        region: str,
        deadline: Deadline,
        now: datetime,
        report: Report,
        progress: Progress,
        clock: Callable[[], datetime],
    ) -> None:
        self._settings, self._clients, self._region = settings, clients, region
        self._deadline, self._report, self._progress = deadline, report, progress
        self._window = Window.of(now, settings.idle, settings.grace)
        self._several = len(settings.regions) > 1
        self._clock = clock
        self._found: list[Listed] = []
        self.marked: list[tuple[str, Mark]] = []

    def run(self) -> None:
        """Go over the endpoints. Raises: botocore's errors where they cannot even be listed."""
        if self._deadline.near():
            self._report.remaining.append(f"{self._region}: all endpoints")
            return
        # Without the tags nobody knows what is exempt, nor which grace runs: they come first.
        self._tags = bulk_tags(self._clients.tagging)
        try:
            self._components: dict[str, list[dict[str, Any]]] | None = components_by_endpoint(
                self._clients.sagemaker
            )
        except Exception as error:  # what may have components is unknown then, not idle
            self._components = None
            self._report.fail(self._called("ListInferenceComponents"), error)
        cloudwatch, latest = self._clients.cloudwatch, Window.latest(self._window.now)
        for look, answers in answered(cloudwatch, self._looks(), latest, self._not_answered):
            endpoint = look.endpoint
            try:
                judgement = confirmed(look.judgement, look.still, answers, latest)
                during = confirmed(look.during, look.still, answers, latest)
                self._one(endpoint, judgement, during)
            except (NotNow, NotSavable) as reason:
                self._report.skip(self._called(endpoint.name), str(reason))
            except Exception as error:  # one that is refused does not end the others
                self._report.fail(self._called(endpoint.name), error)
        self._note_where_it_ended()

    def _looks(self) -> Iterator[tuple[_Look, list[Query]]]:
        """Yield what the whole window says of each endpoint, and what must still come."""
        window = self._window
        for endpoint, answers in answered(
            self._clients.cloudwatch, self._to_ask(), window, self._not_answered
        ):
            found = by_part(endpoint, answers)
            judgement = judged(endpoint, found, window, window.since)
            mark = mark_of(endpoint.tags)
            during = judgement
            if mark is not None and mark < window.since:
                during = judged(endpoint, found, window, mark)
            still = proofs(endpoint, found, window, window.since, judgement)
            yield _Look(endpoint, judgement, during, still), [query for _, query in still]

    def _not_answered(self, error: Exception) -> None:
        self._report.fail(self._called("GetMetricData"), error)

    def _called(self, name: str) -> str:
        return f"{self._region}/{name}" if self._several else name

    def _to_ask(self) -> Iterator[tuple[Endpoint, list[Query]]]:
        """Yield the endpoints that have to be judged by metrics, in this run's order."""
        found = self._found = self._matching()
        self._report.matched += len(found)
        for number, told in enumerate(found):
            if self._deadline.near():
                left = found[number:]
                self._report.remaining += [self._called(one.name) for one in left]
                return
            endpoint = self._described(told)
            if endpoint is not None:
                yield endpoint, [query for _, query in queries_of(endpoint)]
            self._progress(f"{self._region}: {number + 1} of {len(found)} endpoints")

    def _note_where_it_ended(self) -> None:
        """Note after which endpoint, in this run's order, the next run has to go on."""
        left = set(self._report.remaining)
        names = [told.name for told in self._found]
        first = next((n for n, name in enumerate(names) if self._called(name) in left), None)
        if first is not None:
            self._report.details["after"][self._region] = names[first - 1]

    def _matching(self) -> list[Listed]:
        """Return what the selection matches, in this run's order; a page that fails is told."""
        found: list[Listed] = []
        seen = 0
        try:
            for told in listed(self._clients.sagemaker, self._settings.selection.name_contains):
                seen += 1
                if seen % 100 == 0:
                    self._progress(f"{self._region}: {seen} endpoints are listed")
                if self._settings.selection.matches(told.name, self._tags_of(told)):
                    found.append(told)
        except Exception as error:  # those on the pages before it are done
            self._report.fail(self._called("ListEndpoints"), error)
        after = self._settings.after.get(self._region)
        if after is None:
            return turned(found, self._window.now)
        return sorted(found, key=lambda told: told.name <= after)

    def _tags_of(self, told: Listed) -> dict[str, str]:
        return self._tags.get(told.arn.lower(), {})

    def _described(self, told: Listed) -> Endpoint | None:
        """Describe an endpoint that is to be judged by metrics; None: what it is was told."""
        name, tags = self._called(told.name), self._tags_of(told)
        if exempt(tags):
            self._report.skip(name, "its tags exempt it")
            return None
        early = before_asking(told.status, told.created, self._window)
        if early is not None:
            self._report.skip(name, f"{early.verdict.value}: {early.reason}")
            if early.verdict is not Verdict.UNKNOWN:
                return None
        components = None if self._components is None else self._components.get(told.name, [])
        try:
            found = described(self._clients.sagemaker, self._region, told.name, tags, components)
            if early is None:
                return found
            # It never came into service, or did not get back: it may cost, and nobody uses it.
            self._list(found, early, self._config(found)[0])
            return None
        except Exception as error:  # one of many
            if is_missing(error):
                self._report.skip(name, "it was deleted meanwhile")
            else:
                self._report.fail(name, error)
            return None

    def _one(self, endpoint: Endpoint, judgement: Judgement, during: Judgement) -> None:
        """Tell of one endpoint, do what is asked for. ``during``: what it was since its mark."""
        window, name = self._window, self._called(endpoint.name)
        born = endpoint.created
        types: dict[str, str] = {}
        if judgement.verdict is not Verdict.BUSY or judgement.idle_parts:
            types, made = self._config(endpoint)
            judgement = of_config(judgement, made, window)
            born = max(born, made)
        told = self._list(endpoint, judgement, types)
        mark = mark_of(endpoint.tags)
        if judgement.verdict is Verdict.BUSY:
            self._busy(endpoint, judgement)
        elif self._settings.action != REPORT and self._deadline.near():
            self._report.remaining.append(name)
        elif self._settings.action == SCALE_TO_ZERO:
            self._scale(endpoint, judgement)
        elif self._settings.action == REPORT:
            if judgement.verdict is not Verdict.IDLE:
                self._report.skip(name, f"{judgement.verdict.value}: {judgement.reason}")
        elif not may_go(judgement, self._settings.include_free):
            self._report.skip(name, f"{judgement.verdict.value}: {judgement.reason}")
        elif mark is None or not stands(mark, born, window.now):
            self._mark(endpoint)
        else:
            self._marked(endpoint, mark, during, told)

    def _busy(self, endpoint: Endpoint, judgement: Judgement) -> None:
        name = self._called(endpoint.name)
        if self._settings.action in (MARK, DELETE) and MARK_TAG in endpoint.tags:
            if not self._settings.dry_run:
                remove_mark(self._clients.sagemaker, endpoint.arn)
            self._report.change(name, action="unmark", reason=judgement.reason)
        else:
            self._report.skip(name, f"busy: {judgement.reason}")

    def _mark(self, endpoint: Endpoint, **more: str) -> None:
        now, name = self._window.now, self._called(endpoint.name)
        until = None
        if self._settings.action == DELETE:
            until = grace_ends(now, self._settings.grace)
            more["may_be_deleted_after"] = until.strftime(_DATE)
        if not self._settings.dry_run:
            mark = Mark(endpoint.arn, now, until)
            set_mark(self._clients.sagemaker, mark, told=not self._settings.topic_arn)
            self.marked.append((name, mark))
        self._report.change(name, action=MARK, **more)

    def _marked(
        self, endpoint: Endpoint, mark: datetime, during: Judgement, told: dict[str, Any]
    ) -> None:
        """Go on with one that is idle and has a mark. ``during``: what it was since then.

        ``told`` is what the report has of it: each says anew when it goes.
        """
        name, settings = self._called(endpoint.name), self._settings
        # People were told a date: a grace that is configured shorter since then is none for this.
        until = max(grace_ends(mark, settings.grace), promised(endpoint.tags) or mark)
        if during.verdict is Verdict.BUSY:
            self._mark(endpoint, reason="it was used in its grace, which begins anew")
        elif endpoint.modified > mark:
            # To another configuration, old or not, other instances: somebody works on it.
            self._mark(endpoint, reason="it was changed in its grace, which begins anew")
        elif not may_go(during, settings.include_free):
            self._report.skip(name, f"{during.verdict.value} in its grace: {during.reason}")
        elif settings.action == MARK:
            self._report.skip(name, f"idle, marked at {mark:%Y-%m-%d %H:%M} UTC already")
        elif self._window.now < until:
            told["may_be_deleted_after"] = until.strftime(_DATE)
            self._report.skip(name, f"idle, in its grace until {until:%Y-%m-%d %H:%M} UTC")
        elif settings.dry_run:
            self._report.change(name, action=DELETE)
        else:
            self._delete(endpoint, mark)

    def _delete(self, endpoint: Endpoint, mark: datetime) -> None:
        name = self._called(endpoint.name)
        remover = Remover(self._clients, self._settings, self._deadline, self._clock)
        try:
            where, left = remover.remove(endpoint, mark)
        except Underway as reason:
            what = "delete inference components"
            self._report.change(name, action=what, reason=str(reason), saved=reason.saved)
            self._report.remaining.append(name)
            return
        self._report.change(name, action=DELETE, saved=where)
        if left:
            self._report.fail(name, left)

    def _scale(self, endpoint: Endpoint, judgement: Judgement) -> None:
        name, verdict = self._called(endpoint.name), judgement.verdict
        asynchronous = all(part.kind is Kind.ASYNCHRONOUS for part in endpoint.variants)
        if verdict is not Verdict.IDLE:
            self._report.skip(name, f"{verdict.value}: {judgement.reason}")
        elif not asynchronous:
            self._report.skip(name, "only asynchronous endpoints can be scaled to zero")
        elif scales_to_zero(former := read_scaling(self._clients, endpoint), endpoint):
            self._report.skip(name, "it scales to zero already")
        elif endpoint.modified > self._window.since:
            # Somebody works on it, as by other instances for a test: this has no grace.
            self._report.skip(name, f"it was changed at {endpoint.modified:{_DATE}}")
        elif self._settings.dry_run:
            self._report.change(name, action=SCALE_TO_ZERO)
        else:
            saved = described_in_full(self._clients, endpoint, SCALING)
            where = save(self._clients, self._settings.save_to, saved)
            backlog = self._settings.backlog_per_instance
            scale_to_zero(self._clients, endpoint, former, backlog)
            self._report.change(name, action=SCALE_TO_ZERO, saved=where)

    def _config(self, endpoint: Endpoint) -> tuple[dict[str, str], datetime]:
        """Return the instance types of a configuration, and when it was made.

        One that was deleted under its endpoint is no older than the endpoint's last change.
        """
        sagemaker = self._clients.sagemaker
        try:
            told = sagemaker.describe_endpoint_config(EndpointConfigName=endpoint.config)
        except Exception as error:
            if not is_missing(error):
                raise
            return {}, endpoint.modified
        made: datetime = told["CreationTime"]
        return instance_types(told), made

    def _list(
        self, endpoint: Endpoint, judgement: Judgement, types: dict[str, str]
    ) -> dict[str, Any]:
        """Put an endpoint into the list that it belongs to; return what is told of it."""
        window, prices = self._window, self._settings.prices
        told = finding(endpoint, judgement, window, types, prices)
        key = LISTS.get(judgement.verdict)
        if key is not None:
            self._report.details[key].append(told)
        self._report.details["idle_variants"] += [
            part_finding(endpoint, part, its, window, types, prices)
            for part, its in judgement.idle_parts
        ]
        return told
