"""Whether an endpoint is idle: a function of what SageMaker and CloudWatch said.

CloudWatch may publish no zeros, so that nothing was published proves nothing by itself. That a part
was not invoked is *proven* when

- its variant's CPUUtilization was published in each period of the window (real-time, shadow,
  asynchronous), or the queue's ApproximateBacklogSize was (asynchronous);
- the component's own CPUUtilizationNormalized was, or its base component's (inference components);
- Invocations of this very variant were published at some time in the days that are looked back on:
  then the metric exists, comes with each request, and did not come (serverless, and components
  that have no copy just now); or the utilization of its provisioned concurrency was published in
  each period (serverless);
- zeros were published in each period (all kinds).

What must come in each period must have come in the last half hour, too (see `confirmed`).

Else it is unknown, and unknown is never idle.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime

from .metrics import Answer, Query, Role
from .model import Endpoint, Judgement, Kind, Part, Peaks, Verdict
from .reading import IN_SERVICE, UPDATING
from .window import Window

Answered = Sequence[tuple[Query, Answer | None]]
_PROVES = (Role.PROOF, Role.BOTH, Role.CPU_PROOF)
_ACTS = (Role.ACTIVITY, Role.BOTH)


def before_asking(status: str, created: datetime, window: Window) -> Judgement | None:
    """Return what can be said without metrics; None: they have to be asked."""
    if status in UPDATING:
        return Judgement(Verdict.UPDATING, f"its status is {status}")
    if status != IN_SERVICE:
        return Judgement(Verdict.UNKNOWN, f"its status is {status}")
    if created > window.since:
        return _young("it was created", created, window)
    return None


def of_config(judgement: Judgement, created: datetime, window: Window) -> Judgement:
    """Return what is left of a judgement once the age of the configuration is known.

    Variants of a configuration that is younger than the idle time are younger, too.
    """
    quiet = judgement.verdict in (Verdict.IDLE, Verdict.FREE, Verdict.UNKNOWN)
    if quiet and created > window.since:
        return _young("its configuration was made", created, window)
    return judgement


def _young(what: str, created: datetime, window: Window) -> Judgement:
    hours = (window.now - created).total_seconds() / 3600
    wanted = window.idle.total_seconds() / 3600
    return Judgement(Verdict.YOUNG, f"{what} {hours:.1f} of {wanted:g} hours ago")


def judged(
    endpoint: Endpoint, answers: dict[Part, Answered], window: Window, since: datetime
) -> Judgement:
    """Judge an endpoint by all its parts: one that is busy makes it busy, one unknown unknown."""
    parts = [
        (part, _judged_part(endpoint, part, answers.get(part, ()), window, since))
        for part in endpoint.parts
    ]
    peaks = Peaks()
    for _, judgement in parts:
        peaks = peaks.joined(judgement.peaks)
    last = max((j.last_activity for _, j in parts if j.last_activity), default=None)
    of_verdict = {v: [(p, j) for p, j in parts if j.verdict is v] for v in Verdict}
    if busy := of_verdict[Verdict.BUSY]:
        reason = "; ".join(f"{part.name}: {judgement.reason}" for part, judgement in busy)
        # The instances below a component that is busy are not idle, whatever their own metrics say.
        carries = any(part.kind is Kind.COMPONENT for part, _ in busy)
        idle = tuple(
            (part, judgement)
            for part, judgement in of_verdict[Verdict.IDLE]
            if not (carries and part.kind is Kind.HOST)
        )
        return Judgement(Verdict.BUSY, reason, last, False, peaks, idle)
    unknown = [
        f"{part.name}: {j.reason}"
        for part, j in parts
        if j.verdict is Verdict.UNKNOWN or not (j.proven or endpoint.free)
    ]
    if not endpoint.components_known:
        unknown.append("its inference components could not be listed")
    if not endpoint.parts:
        unknown.append("it has no variants")
    if unknown:
        return Judgement(Verdict.UNKNOWN, "; ".join(unknown), last, False, peaks)
    proven = all(judgement.proven for _, judgement in parts)
    if endpoint.free:
        return Judgement(Verdict.FREE, _why(parts), last, proven, peaks)
    return Judgement(Verdict.IDLE, _why(parts), last, proven, peaks)


def proofs(
    endpoint: Endpoint,
    answers: Mapping[Part, Answered],
    window: Window,
    since: datetime,
    judgement: Judgement,
) -> list[tuple[Part, Query]]:
    """Return what must still come, lest a judgement does not hold: what proves by coming always.

    Empty where nothing is proven that something is done for.
    """
    if judgement.verdict not in (Verdict.IDLE, Verdict.FREE) or not judgement.proven:
        return []
    wanted = window.proving(since)
    return [
        (part, query)
        for part in endpoint.parts
        for query, answer in answers.get(part, ())
        if _may_prove(query) and _throughout(answer, wanted)
    ]


def confirmed(
    judgement: Judgement,
    asked: Iterable[tuple[Part, Query]],
    answers: Sequence[Answer | None],
    latest: Window,
) -> Judgement:
    """Return what is left of a judgement once it is known what still came in the last half hour."""
    still: dict[Part, bool] = {}
    for (part, _), answer in zip(asked, answers, strict=True):
        still[part] = still.get(part, False) or bool(answer)
    gone = [part.name for part, comes in still.items() if not comes]
    if not gone:
        return judgement
    reason = f"{', '.join(gone)}: no metrics since {_clock(latest.start)}"
    free = judgement.verdict is Verdict.FREE
    verdict = Verdict.FREE if free else Verdict.UNKNOWN
    return replace(judgement, verdict=verdict, reason=reason, proven=False)


def _why(parts: Sequence[tuple[Part, Judgement]]) -> str:
    if len(parts) == 1:
        return parts[0][1].reason
    return "; ".join(f"{part.name}: {judgement.reason}" for part, judgement in parts)


def _judged_part(
    endpoint: Endpoint, part: Part, answers: Answered, window: Window, since: datetime
) -> Judgement:
    first = window.period_of(max(since, window.start))
    peaks = _peaks(answers, window)
    seen = [
        (period, query, value)
        for query, answer in answers
        if query.role in _ACTS
        for period, value in (answer or {}).items()
        if value > 0
    ]
    latest = max((period for period, _, _ in seen), default=None)
    last = None if latest is None else window.ended(latest)
    recent = [(query, value) for period, query, value in seen if period >= first]
    if recent:
        query, value = max(recent, key=lambda pair: pair[1])
        reason = f"{query.metric} up to {value:g} since {_clock(since)}"
        return Judgement(Verdict.BUSY, reason, last, False, peaks)
    if not answers or any(answer is None for query, answer in answers if query.role in _ACTS):
        return Judgement(Verdict.UNKNOWN, "CloudWatch did not answer", last, False, peaks)
    proof, doubt = _proof(part, answers, window, since)
    if proof:
        reason = f"not invoked since {_clock(since)} ({proof})"
        verdict = Verdict.FREE if part.free else Verdict.IDLE
        return Judgement(verdict, reason, last, True, peaks)
    if part.kind is not Kind.SERVERLESS and (part.free or endpoint.free):
        reason = "nothing runs, and no traffic was seen"
        return Judgement(Verdict.FREE, reason, last, False, peaks)
    return Judgement(Verdict.UNKNOWN, doubt, last, False, peaks)


def _proof(part: Part, answers: Answered, window: Window, since: datetime) -> tuple[str, str]:
    """Return what proves that silence is none of the metrics', or else why nothing does."""
    wanted = window.proving(since)
    no_host = part.kind is Kind.SERVERLESS or (part.kind is Kind.COMPONENT and part.instances == 0)
    doubts = []
    for query, answer in answers:
        if not _may_prove(query):
            continue
        if _throughout(answer, wanted):
            zeros = "zeros of " if query.metric == "Invocations" else ""
            return f"{zeros}{query.metric} were published throughout", ""
        if no_host and query.metric == "Invocations" and answer:
            return "it published Invocations before", ""
        share = f"{sum(p in (answer or {}) for p in wanted)} of {len(wanted)} periods"
        doubts.append(f"{query.metric} was published in {share}")
    if part.kind is Kind.SERVERLESS and not part.provisioned:
        return "", f"it published nothing since {_clock(window.start)}; it costs nothing"
    return "", "; ".join(doubts)


def _may_prove(query: Query) -> bool:
    return query.role in _PROVES or query.metric == "Invocations"


def _throughout(answer: Answer | None, wanted: Sequence[int]) -> bool:
    return bool(wanted) and answer is not None and all(period in answer for period in wanted)


def _peaks(answers: Answered, window: Window) -> Peaks:
    first = window.period_of(window.since)

    def peak(*roles: Role) -> float | None:
        return max(
            (
                value
                for query, answer in answers
                if query.role in roles
                for period, value in (answer or {}).items()
                if period > first - (window.peak_seconds if query.role not in _PROVES else 1)
            ),
            default=None,
        )

    return Peaks(peak(Role.CPU, Role.CPU_PROOF), peak(Role.MEMORY), peak(Role.GPU))


def _clock(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%d %H:%M UTC")
