"""What the command line says: words first, times relative, the clock time beside them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from ..core.duration import duration
from ..journal.replay import Act, ReplayReport
from .times import local_clock

Json = Mapping[str, Any]
_MOST_ACTS = 40


def status_lines(status: Json, now: datetime) -> list[str]:
    """Say how everything stands."""
    host = status["host"]
    lines = [_headline(status, now), _last_evidence(host["evidence"], now)]
    if host["active"]:
        lines.append("At work: " + ", ".join(host["active"]))
    if status["dry_run"]:
        lines.append("Dry run: what falls due is recorded and announced, and nothing is changed.")
    for title, resources in (("Kernels", status["kernels"]), ("Terminals", status["terminals"])):
        if resources:
            lines += ["", title, *_table(_resource_row(resource) for resource in resources)]
    if status["keep_alives"]:
        lines += ["", "Kept awake", *_table(_keep_alive_row(k, now) for k in status["keep_alives"])]
    if status.get("costs"):
        lines += ["", _costs(status["costs"])]
    if status.get("last_stop"):  # a server of before has none
        lines += ["", *_last_stop(status["last_stop"], now)]
    return lines + _attention(status["health"], now)


def _attention(health: Json, now: datetime) -> list[str]:
    """Say what is wrong, and what would mend it; nothing where all is well."""
    if health["status"] == "ok":
        return []
    lines = ["", f"The idle culler needs attention: it is {health['status']}."]
    for problem in health["problems"]:
        since = local_clock(problem["since"], now)
        lines.append(f"  {problem['source']}, since {since}: {problem['detail']}")
        if problem["mend"]:
            lines.append(f"      {problem['mend']}")
    return lines


def _costs(costs: Json) -> str:
    return (
        f"Idle today {duration(costs['idle_today_seconds'])}, about"
        f" {costs['idle_today_cost']:.2f} of compute; stops saved"
        f" {duration(costs['saved_seconds'])}, about {costs['saved_cost']:.2f}, in 30 days."
    )


def _last_stop(stop: Json, now: datetime) -> list[str]:
    """Say when and why the host was stopped before, what was saved and what went."""
    at = local_clock(stop["at"], now)
    if stop["idle_seconds"] is None:
        by = stop["asked_by"] and f" ({stop['asked_by']})"
        why = f"{stop['reason']}{by}"
    else:
        why = f"idle for {duration(stop['idle_seconds'])}, last evidence: {stop['evidence']}"
    lines = [f"Stopped at {at}: {why}."]
    if stop["saved_documents"]:
        lines.append(f"  {_count(stop['saved_documents'], 'document')} saved before")
    if stop["unsaved_documents"]:
        lines.append(f"  could not be saved: {', '.join(stop['unsaved_documents'])}")
    if stop["silent_pages"]:
        lines.append(f"  {_count(stop['silent_pages'], 'open page')} did not answer")
    for kind in ("kernel", "terminal"):
        names = stop[f"{kind}s"]
        if names:
            lines.append(f"  {_count(len(names), kind)} shut down: {', '.join(names)}")
    return lines


def _count(number: int, thing: str) -> str:
    return f"{number} {thing}" if number == 1 else f"{number} {thing}s"


def explain_lines(explanation: Json, now: datetime) -> list[str]:
    """Say why, for the host and each kernel and terminal, with every observation."""
    status = explanation["status"]
    lines = [_headline(status, now), ""]
    host = status["host"]
    lines += _why("This host", host, "host", explanation, now)
    for kind in ("kernel", "terminal"):
        for resource in status[kind + "s"]:
            title = f"{kind.capitalize()} {resource['label']}"
            if resource["label"] != resource["id"]:
                title += f" ({resource['id']})"
            lines += ["", *_why(title, resource, f"{kind}:{resource['id']}", explanation, now)]
    general = [seen for seen in explanation["observations"] if seen["resource"] == "everything"]
    if general:
        lines += ["", "For all of them", *(f"  {_observation(seen)}" for seen in general)]
    for title, sentences in (
        ("What was ended lately", [_ended(ended, now) for ended in explanation["ended"]]),
        ("What happens if nothing else does", explanation["would_happen"]),
        ("What cannot be seen here", explanation["limitations"]),
        ("What else may end things here", explanation["other_cullers"]),
        ("Sources that fail", _failing(explanation["sources"], now)),
    ):
        if sentences:
            lines += ["", title, *(f"  {sentence}" for sentence in sentences)]
    return lines + _attention(status["health"], now)


def _ended(ended: Json, now: datetime) -> str:
    kind = ended["resource"].partition(":")[0].capitalize()
    name = ended["label"] if ended["label"].startswith(kind) else f"{kind} {ended['label']}"
    what = "culled" if ended["done"] else "not culled"
    return (
        f"{name}, {what} at {local_clock(ended['at'], now)}: {ended['reason']},"
        f" last evidence: {ended['evidence']}. {ended['detail'][:1].upper()}{ended['detail'][1:]}."
    )


def journal_lines(journal: Json, now: datetime) -> list[str]:
    """Show journal entries, one a line."""
    lines = [_entry(entry, now) for entry in journal["entries"]]
    if journal["skipped"]:
        lines.append(f"({journal['skipped']} lines could not be read and are left out.)")
    if journal["problem"]:
        lines.append(f"The journal cannot be written just now: {journal['problem']}")
    return lines or ["The journal is empty."]


def replay_lines(report: ReplayReport, hourly_price: float | None, now: datetime) -> list[str]:
    """Say what would have happened."""
    if not report.runs:
        return list(report.limits)
    began, ended = local_clock(report.began, now), local_clock(report.ended, now)
    runs = "one run" if report.runs == 1 else f"{report.runs} runs"
    lines = [
        f"From {began} to {ended}: {runs} of the server, {duration(report.host_seconds_recorded)}."
    ]
    stops = [act for act in report.acts if act.action == "stop"]
    culled = [act for act in report.acts if act.action == "cull"]
    saved = f"{report.host_seconds_saved / 3600:.2f} host hours would have been saved"
    if hourly_price is not None:
        saved += (
            f", {report.host_seconds_saved / 3600 * hourly_price:.2f} at {hourly_price:g} an hour"
        )
    lines.append(f"The host would have been stopped {_times(len(stops))}; {saved}.")
    lines.append(
        f"{len(culled)} kernels and terminals would have been culled:"
        f" {report.kernel_seconds_saved / 3600:.2f} kernel hours,"
        f" {report.terminal_seconds_saved / 3600:.2f} terminal hours."
    )
    shown = [*culled, *stops]
    shown.sort(key=lambda act: act.t)
    if shown:
        lines += ["", *_table(_act_row(act, now) for act in shown[:_MOST_ACTS])]
    if len(shown) > _MOST_ACTS:
        lines.append(f"  and {len(shown) - _MOST_ACTS} more (--json shows all)")
    if report.limits:
        lines += ["", "What this record cannot tell", *(f"  {limit}" for limit in report.limits)]
    return lines


def _headline(status: Json, now: datetime) -> str:
    host = status["host"]
    at = host["stops_at"] and local_clock(host["stops_at"], now)
    if host["warning"]:
        return f"This host stops in {duration(host['warning']['ends_in_seconds'])}, at {at}."
    if host["stops_in_seconds"] is not None:
        return (
            f"This host stops in {duration(host['stops_in_seconds'])}, at {at}, if nothing happens."
        )
    if host["stop_action"] == "none":
        return f"This host is not stopped here; it is {host['verdict']}: {host['reason']}."
    return f"This host does not stop while things stay as they are: {host['reason']}."


def _last_evidence(evidence: Json, now: datetime) -> str:
    at = local_clock(evidence["at"], now)
    ago = duration(evidence["age_seconds"])
    return f"Last evidence: {at}, {ago} ago: {evidence['detail']} ({evidence['source']})"


def _resource_row(resource: Json) -> Sequence[str]:
    if resource["verdict"] == "idle":
        state = f"idle {duration(resource['evidence']['age_seconds'])}"
    else:
        state = resource["verdict"]
    left = resource["culled_in_seconds"]
    rest = resource["reason"] if left is None else f"{duration(left)} left"
    name = resource["id"] if resource["id"] != resource["label"] else ""
    return resource["label"], state, rest, name


def _keep_alive_row(keep_alive: Json, now: datetime) -> Sequence[str]:
    owner = keep_alive["owner"] and f"by {keep_alive['owner']}"
    until = f"until {local_clock(keep_alive['ends_at'], now)}"
    return keep_alive["resource"] or "host", until, owner, keep_alive["reason"], keep_alive["id"]


def _why(title: str, stands: Json, name: str, explanation: Json, now: datetime) -> list[str]:
    lines = [f"{title}: {stands['verdict']}, {stands['reason']}"]
    left = stands.get("culled_in_seconds", stands.get("stops_in_seconds"))
    if left is not None:
        at = local_clock(stands.get("culled_at") or stands["stops_at"], now)
        lines.append(
            f"  {'goes' if 'culled_at' in stands else 'stops'} in {duration(left)}, at {at}"
        )
    lines.append(f"  {_last_evidence(stands['evidence'], now)}")
    lines += [f"  {_observation(o)}" for o in explanation["observations"] if o["resource"] == name]
    return lines


def _observation(seen: Json) -> str:
    text = f"{seen['source']}: {seen['verdict']}"
    if seen["age_seconds"] is not None:
        text += f", {duration(seen['age_seconds'])} ago"
    if seen["detail"]:
        text += f": {seen['detail']}"
    if seen["value"] is not None:
        text += f" [{seen['value']:.4g} {seen['unit']}".rstrip()
        text += f", counts from {seen['threshold']:.4g}]" if seen["threshold"] is not None else "]"
    if seen["strength"] == "unattended":
        text += " (holds only for a while by itself)"
    return text


def _failing(sources: Iterable[Json], now: datetime) -> list[str]:
    return [
        f"{source['name']}: {source['detail']}"
        + (f", since {local_clock(source['since'], now)}" if source["since"] else "")
        + ("; what it cannot see is kept" if source["essential"] else "")
        for source in sources
        if not source["ok"]
    ]


def _entry(entry: Json, now: datetime) -> str:
    known = ("time", "t", "run", "event", "resource", "until", "sees", "policy")
    shown = ("action", "verdict", "source", "reason", "detail")
    words = [str(entry[key]) for key in ("resource", *shown) if entry.get(key) not in (None, "")]
    if not words:
        words = [f"{k}={v}" for k, v in entry.items() if k not in known]
    seen = entry.get("sees")
    if isinstance(seen, list):
        words += [str(sight["detail"]) for sight in seen if sight.get("detail")]
    return f"{local_clock(entry['time'], now)}  {entry['event']:<10}  {', '.join(words)}"


def _act_row(act: Act, now: datetime) -> Sequence[str]:
    name = act.label or act.resource
    what = "stopped" if act.action == "stop" else "culled"
    again = "used again after" if act.used_again else "off for"
    return local_clock(act.time, now), what, name, f"{again} {duration(act.saved_seconds)}"


def _times(count: int) -> str:
    return {0: "never", 1: "once", 2: "twice"}.get(count, f"{count} times")


def _table(rows: Iterable[Sequence[str]]) -> list[str]:
    rows = [tuple(map(str, row)) for row in rows]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "  "
        + "  ".join(f"{cell:<{width}}" for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    ]
