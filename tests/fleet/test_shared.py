"""What every part of the fleet shares: selection, events, reports, deadlines, messages."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jupyter_idle_culler.fleet.deadline import Deadline
from jupyter_idle_culler.fleet.events import EventError, EventReader
from jupyter_idle_culler.fleet.notify import messages
from jupyter_idle_culler.fleet.report import FleetFailed, Report
from jupyter_idle_culler.fleet.selection import Selection, exempt


def test_an_empty_selection_matches_nothing() -> None:
    """Everything is meant only where that is said; a pattern of stars alone does not say it."""
    assert not Selection().matches("dev-1", {})
    assert not Selection(name_pattern="*").matches("dev-1", {})
    assert Selection(match_all=True).matches("dev-1", {})


@pytest.mark.parametrize("pattern", ["?*", "*?", "**", "??*", "?", "*?*?*"])
def test_a_pattern_of_wildcards_alone_is_no_choice(pattern: str) -> None:
    """Every name fits it, or every name of a length: `match_all` has to say that."""
    with pytest.raises(EventError) as refused:
        EventReader({"name_pattern": pattern}, {}).selection()
    assert refused.value.field == "match_all"
    assert not Selection(name_pattern=pattern).matches("prod-x", {})
    assert Selection(name_pattern="*?", match_all=True).matches("prod-x", {})


@pytest.mark.parametrize("pattern", ["[!!]*", "[a-z]*", "[dp]ev-1", "dev[-]1", "[[]dev-1"])
def test_a_bracket_in_a_pattern_is_itself(pattern: str) -> None:
    """Only `*` and `?` stand for something else; no name has a bracket."""
    assert not Selection(name_pattern=pattern).matches("dev-1", {})
    literal = pattern.replace("*", "x")
    assert Selection(name_pattern=pattern).matches(literal, {})


def test_name_and_tags_must_both_hold() -> None:
    """A selection by name and tags is both; a star as value asks only for the key."""
    both = Selection(name_contains="dev-", tags={"team": "a", "env": "*"})
    assert both.matches("my-dev-1", {"team": "a", "env": "x"})
    assert not both.matches("my-dev-1", {"team": "b", "env": "x"})
    assert not both.matches("my-dev-1", {"team": "a"})
    assert not both.matches("prod-1", {"team": "a", "env": "x"})
    assert Selection(name_pattern="dev-?").matches("dev-1", {})
    assert not Selection(name_pattern="dev-?").matches("Dev-1", {})


def test_a_tag_takes_a_resource_out() -> None:
    """Any value but a no exempts."""
    assert exempt({"idle-culler:exempt": ""})
    assert exempt({"idle-culler:exempt": "until June"})
    assert not exempt({"idle-culler:exempt": "False"})
    assert not exempt({})


@pytest.mark.parametrize(
    ("event", "field"),
    [
        ({"name_contain": "dev-"}, "name_contain"),
        ({"dry_run": "false", "match_all": True}, "dry_run"),
        ({"dry_run": 0, "match_all": True}, "dry_run"),
        ({"idle_hours": True, "match_all": True}, "idle_hours"),
        ({"idle_hours": -1, "match_all": True}, "idle_hours"),
        ({"idle_hours": float("nan"), "match_all": True}, "idle_hours"),
        ({"tags": ["a"]}, "tags"),
        ({"tags": {"team": 1}}, "tags.team"),
        ({"regions": "eu", "match_all": True}, "regions"),
        ({}, "match_all"),
        ([], "event"),
    ],
)
def test_a_bad_event_is_refused_with_its_field(event: Any, field: str) -> None:
    """A wrong type, a value out of bounds, a misspelt field, nothing selected."""

    def read() -> None:
        reader = EventReader(event, {})
        reader.dry_run()
        reader.number("idle_hours", 24, least=0.1)
        reader.words("regions")
        try:
            reader.selection()
        except EventError as error:
            if error.field == "match_all":
                reader.finish()
            raise
        reader.finish()

    with pytest.raises(EventError) as refused:
        read()
    assert refused.value.field == field
    assert str(refused.value).startswith(field)


def test_what_an_event_leaves_out_comes_from_the_environment() -> None:
    """Texts as they are, the rest as JSON; the event wins; dry_run absent means true."""
    environ = {
        "IDLE_CULLER_NAME_CONTAINS": "dev-",
        "IDLE_CULLER_TAGS": '{"team": "a"}',
        "IDLE_CULLER_IDLE_HOURS": "12",
    }
    reader = EventReader({"name_contains": "test-"}, environ)
    assert reader.selection() == Selection("test-", tags={"team": "a"})
    assert reader.number("idle_hours", 24) == 12
    assert reader.dry_run() is True
    bad = EventReader({}, {"IDLE_CULLER_IDLE_HOURS": "twelve"})
    with pytest.raises(EventError, match="IDLE_CULLER_IDLE_HOURS must be JSON"):
        bad.number("idle_hours", 24)


def test_a_report_has_the_members_of_the_contract_and_fails_after_the_batch() -> None:
    """The error names who failed; what was done is in the report all the same."""
    report = Report(dry_run=False, matched=3)
    report.change("a", action="stop")
    report.skip("b", "it works")
    report.raise_if_failed()
    report.fail("c", ValueError("refused"))
    assert json.loads(json.dumps(report.to_json())) == {
        "dry_run": False,
        "matched": 3,
        "changed": [{"name": "a", "action": "stop"}],
        "skipped": [{"name": "b", "reason": "it works"}],
        "failed": [{"name": "c", "error": "refused"}],
        "remaining": [],
    }
    with pytest.raises(FleetFailed, match=r"1 failed, the rest is done \(1 changed\): c: refused"):
        report.raise_if_failed()


def test_a_deadline_is_near_when_only_the_reserve_is_left() -> None:
    """A Lambda's context says what is left; without one there is no deadline."""

    class Context:
        left = 900_000

        def get_remaining_time_in_millis(self) -> int:
            return self.left

    context = Context()
    deadline = Deadline.of_lambda(context)
    context.left = 45_001
    assert not deadline.near()
    context.left = 45_000
    assert deadline.near()
    context.left = 20_000
    short = Deadline.of_lambda(context)
    assert not short.near()
    context.left = 5_000
    assert short.near()
    assert not Deadline.of_lambda(None).near()


@given(st.lists(st.text(max_size=40), max_size=30), st.integers(20, 60))
def test_a_long_message_is_split_and_nothing_is_lost(texts: list[str], most: int) -> None:
    """Each part fits, in bytes of UTF-8; together they hold every character in order."""
    parts = list(messages(texts, most))
    assert all(len(part.encode()) <= most for part in parts)

    def bare(pieces: list[str]) -> str:
        return "".join("".join(pieces).split())

    assert bare(parts) == bare(texts)


@pytest.mark.parametrize(
    ("event", "environment", "dry"),
    [
        ({}, {}, True),
        ({}, {"IDLE_CULLER_DRY_RUN": ""}, True),
        ({}, {"IDLE_CULLER_DRY_RUN": "false"}, False),
        ({"dry_run": True}, {"IDLE_CULLER_DRY_RUN": "false"}, True),
        ({"dry_run": False}, {"IDLE_CULLER_DRY_RUN": "true"}, False),
    ],
)
def test_acting_has_to_be_asked_for_by_the_event_or_else_by_the_environment(
    event: dict[str, Any], environment: dict[str, str], dry: bool
) -> None:
    """What the event says stands above what the function was deployed with."""
    assert EventReader(event, environment).dry_run() == dry


@pytest.mark.parametrize(
    "value",
    [10**400, -(10**400), math.inf, -math.inf, math.nan],
    ids=["huge", "very small", "inf", "-inf", "nan"],
)
def test_a_number_beyond_all_floats_names_its_field(value: float) -> None:
    """JSON has whole numbers of any length, and Python reads Infinity and NaN from it, too."""
    with pytest.raises(EventError, match="must be a number of at least 0") as refused:
        EventReader({"backlog_per_instance": value}, {}).number("backlog_per_instance", 1)
    assert refused.value.field == "backlog_per_instance"
