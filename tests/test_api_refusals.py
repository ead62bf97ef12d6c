"""What the API refuses: everything but good requests of the right people, and nothing changes."""

from __future__ import annotations

import json
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import pytest
from traitlets.config import Config

from jupyter_idle_culler.status import LastStop

from .api_server import VERBS, Api, ReadOnly, merged, operations, stopping

ROUTES = [*dict.fromkeys(route for route, _ in operations()), "/nowhere", "", "/status/more"]
GOOD: dict[tuple[str, str], Any] = {
    ("/keep-alive", "POST"): {"minutes": 5},
    ("/activity", "POST"): {"presence": True},
    ("/page", "POST"): {"page": "p-1", "open": True, "saved": 1, "failed": ["a.ipynb"]},
    ("/settings", "PATCH"): {"kernel_timeout_minutes": 30},
    ("/stop", "POST"): {"reason": "lunch"},
}
"""A body that would do something, for each verb that takes one."""

KERNEL = "kernel:00000000-0000-0000-0000-000000000000"
BAD: dict[tuple[str, str], list[tuple[Any, str]]] = {
    ("/keep-alive", "POST"): [
        ({}, "minutes"),
        ({"minutes": 0}, "minutes"),
        ({"minutes": -5}, "minutes"),
        ({"minutes": 1e300}, "minutes"),
        ({"minutes": 10**300}, "minutes"),
        ({"minutes": "5"}, "minutes"),
        ({"minutes": True}, "minutes"),
        ({"minutes": None}, "minutes"),
        ({"minutes": [5]}, "minutes"),
        ({"minutes": 5, "hours": 1}, "hours"),
        ({"minutes": 5, "owner": "root"}, "owner"),
        ({"minutes": 5, "reason": 7}, "reason"),
        ({"minutes": 5, "reason": "x" * 201}, "reason"),
        ({"minutes": 5, "reason": "two\nlines"}, "reason"),
        ({"minutes": 5, "resource": "host"}, "resource"),
        ({"minutes": 5, "resource": "kernel:"}, "resource"),
        ({"minutes": 5, "resource": "kernel:a\u0000b"}, "resource"),
        ({"minutes": 5, "resource": "kernel:" + "x" * 201}, "resource"),
        ({"minutes": 5, "resource": {"kind": "kernel"}}, "resource"),
        ({"minutes": 5, "resource": None}, "resource"),
    ],
    ("/activity", "POST"): [
        ({"presence": "yes"}, "presence"),
        ({"presence": 1}, "presence"),
        ({"resource": 5}, "resource"),
        ({"resource": "process:1"}, "resource"),
        ({"at": "2026-01-01T00:00:00Z"}, "at"),
    ],
    ("/page", "POST"): [
        ({}, "page"),
        ({"page": "p"}, "open"),
        ({"page": "", "open": True}, "page"),
        ({"page": "p" * 65, "open": True}, "page"),
        ({"page": "p\n", "open": True}, "page"),
        ({"page": "../p", "open": True}, "page"),
        ({"page": 5, "open": True}, "page"),
        ({"page": "p", "open": 1}, "open"),
        ({"page": "p", "open": None}, "open"),
        ({"page": "p", "open": True, "saved": -1}, "saved"),
        ({"page": "p", "open": True, "saved": 1.5}, "saved"),
        ({"page": "p", "open": True, "saved": None}, "saved"),
        ({"page": "p", "open": True, "failed": "a.ipynb"}, "failed"),
        ({"page": "p", "open": True, "failed": ["x"] * 101}, "failed"),
        ({"page": "p", "open": True, "failed": [5]}, "failed.0"),
        ({"page": "p", "open": True, "failed": ["x" * 201]}, "failed.0"),
        ({"page": "p", "open": True, "owner": "root"}, "owner"),
    ],
    ("/settings", "PATCH"): [
        ({}, ""),
        ({"kernel_timeout_minutes": -1}, "kernel_timeout_minutes"),
        ({"kernel_timeout_minutes": "30"}, "kernel_timeout_minutes"),
        ({"kernel_timeout_minutes": 1e12}, "kernel_timeout_minutes"),
        ({"host_timeout_minutes": False}, "host_timeout_minutes"),
        ({"stop_action": "none"}, "stop_action"),
        ({"kernel_timeout_minutes": 30, "dry_run": True}, "dry_run"),
        ({"kernel_timeout_minutes": 30, "warning_minutes": -1}, "warning_minutes"),
    ],
    ("/stop", "POST"): [
        ({"reason": 5}, "reason"),
        ({"reason": "x\u001b[31m"}, "reason"),
        ({"force": True}, "force"),
    ],
}
RAW = [
    b"{",
    b"[]",
    b"null",
    b"5",
    b'"minutes"',
    b"minutes=5",
    b'{"minutes": NaN}',
    b'{"minutes": Infinity}',
    b'{"minutes": -Infinity}',
    b'{"minutes": 1e400}',
    b'{"minutes": ' + b"9" * 5000 + b"}",
    b'{"minutes": 5, "minutes": 6}',
    b'{"minutes": 5} {}',
    b'{"minutes": 5, "reason": "\\ud800"}',
    b'{"minutes": 5, "reason": "\xff"}',
    b'{"reason": ' + b"[" * 5000 + b"]" * 5000 + b"}",
    b'{"reason": "' + b"x" * 100_000 + b'"}',
]


@pytest.fixture
def marker(tmp_path: Path) -> Path:
    """Give the file that appears when the stop command has run."""
    return tmp_path / "stopped"


@pytest.fixture
def jp_server_config(jp_server_config: Config, marker: Path) -> Config:
    """Make a stop leave a mark."""
    return merged(jp_server_config, **stopping(marker))


@pytest.fixture
def api(api: Api) -> Api:
    """Give the API, with a last stop to dismiss."""
    at = datetime(2026, 3, 1, tzinfo=timezone.utc)
    api.service.last_stops.loaded = LastStop(at, "idle", "a cell ran", 7200.0, None, "server")
    return api


async def refused(api: Api, marker: Path, response: Any, *codes: int) -> dict[str, Any]:
    """Assert a refusal that says in JSON what was wrong."""
    assert response.code in codes, (response.request.method, response.effective_url, response.body)
    assert not marker.exists()
    if response.request.method == "HEAD":
        return {}
    told = json.loads(response.body)
    assert set(told) == {"message", "reason", "field"}
    assert told["message"]
    return dict(told)


@pytest.mark.parametrize("open_house", [False, True])
async def test_nobody_gets_in_without_the_token(api: Api, marker: Path, open_house: bool) -> None:
    """Each route and verb, without a token and with a wrong one: 403, and nothing has changed."""
    # True is the server's default: then the routes have to see to it themselves.
    api.server.web_app.settings["allow_unauthenticated_access"] = open_house
    before = api.state()
    for route in ROUTES:
        for verb in VERBS:
            for token in (None, "wrong", "x" * 5000):
                body = GOOD.get((route, verb))
                response = await api.send(verb, route, body, token=token)
                if verb == "OPTIONS" and route in dict(operations()):
                    # A browser's preflight, which comes without credentials, tells only the verbs.
                    assert (response.code, response.body) == (204, b"")
                else:
                    empty = (404, 405) if open_house or verb == "OPTIONS" else ()
                    await refused(api, marker, response, 403, *empty)
    assert api.state() == before


async def test_another_site_cannot_use_the_cookies_of_who_is_logged_in(
    api: Api, marker: Path
) -> None:
    """A cross-site request with the login cookie is refused; so is one without the XSRF token."""
    await api.login()
    before = api.state()
    evil = {"Origin": "https://evil.example", "Referer": "https://evil.example/page"}
    for headers in (evil, {"Referer": evil["Referer"]}, {}):
        for route in ROUTES:
            for verb in ("POST", "PUT", "PATCH", "DELETE"):
                sent = {**headers, "Cookie": api.cookies, "Content-Type": "text/plain"}
                body = GOOD.get((route, verb))
                response = await api.send(verb, route, body, token=None, headers=sent)
                await refused(api, marker, response, 403, 404)
    for route, verb in operations():
        if verb == "GET":
            sent = {**evil, "Cookie": api.cookies}
            await refused(
                api, marker, await api.send(verb, route, token=None, headers=sent), 403, 404
            )
    assert api.state() == before


async def test_a_page_of_the_server_itself_may_use_its_cookies(api: Api) -> None:
    """With the XSRF token that only such a page can read, the login cookie is enough."""
    await api.login()
    xsrf = dict(part.split("=", 1) for part in api.cookies.split("; "))["_xsrf"]
    headers = {"Cookie": api.cookies, "X-XSRFToken": xsrf}
    await api.ask("POST", "/keep-alive", {"minutes": 5}, token=None, headers=headers)
    assert len(api.service.keep_alives.standing()) == 1


async def test_who_may_only_read_changes_nothing(api: Api, marker: Path) -> None:
    """With an authorizer that allows reading only, what changes something is refused."""
    api.server.web_app.settings["authorizer"] = ReadOnly(parent=api.server)
    before = api.state()
    for route, verb in operations():
        response = await api.send(verb, route, GOOD.get((route, verb)))
        api.check(verb, route, response)
        if verb == "GET":
            assert response.code == 200
        else:
            told = await refused(api, marker, response, 403)
            assert "not authorized" in told["message"]
    assert api.state() == before
    may = (await api.ask("GET", "/status"))["may"]
    assert may == {"write": False, "stop": False, "administer": True}
    assert all(one["locked"] for one in (await api.ask("GET", "/settings")).values())


async def test_verbs_that_a_route_does_not_have_are_refused_and_named(
    api: Api, marker: Path
) -> None:
    """405 with the verbs that there are; unknown routes are 404 whatever the verb."""
    before = api.state()
    for route in ROUTES:
        own = {verb for r, verb in operations() if r == route}
        for verb in (*VERBS, "TRACE", "PROPFIND"):
            if verb in own:
                continue
            response = await api.send(verb, route, {"minutes": 5} if verb == "PUT" else None)
            if not own:
                if verb != "OPTIONS":
                    await refused(api, marker, response, 404, 405)
            elif verb == "OPTIONS":
                assert response.code == 204
                assert set(response.headers["Allow"].split(", ")) == {*own, "OPTIONS"}
            else:
                await refused(api, marker, response, 405)
                assert set(response.headers["Allow"].split(", ")) == {*own, "OPTIONS"}
    assert api.state() == before


@pytest.mark.parametrize(("route", "verb"), list(BAD))
async def test_a_wrong_body_is_refused_with_the_field_and_the_rule(
    api: Api, marker: Path, route: str, verb: str
) -> None:
    """Missing, unknown, wrongly typed, negative, huge: 400 that names the field, no change."""
    before = api.state()
    for body, field in BAD[route, verb]:
        response = await api.send(verb, route, body)
        api.check(verb, route, response)
        told = await refused(api, marker, response, 400)
        assert (told["reason"], told["field"] or "") == ("invalid", field), (body, told)
        assert field in told["message"]
        assert len(told["message"]) < 300
    assert api.state() == before


@pytest.mark.parametrize(("route", "verb"), list(GOOD))
async def test_what_is_no_json_object_is_refused(
    api: Api, marker: Path, route: str, verb: str
) -> None:
    """Not JSON, not an object, NaN, infinities, members twice, too long, too deep: 400."""
    before = api.state()
    for raw in RAW:
        response = await api.send(verb, route, raw=raw)
        api.check(verb, route, response)
        await refused(api, marker, response, 400)
    assert api.state() == before


async def test_a_body_that_is_needed_may_not_be_missing(api: Api, marker: Path) -> None:
    """Empty or blank: 400 where a body is required, also with a JSON content type."""
    before = api.state()
    for route, verb in (("/keep-alive", "POST"), ("/page", "POST"), ("/settings", "PATCH")):
        for raw in (b"", b"  \n"):
            headers = {"Content-Type": "application/json"}
            response = await api.send(verb, route, raw=raw, headers=headers)
            told = await refused(api, marker, response, 400)
            assert "required" in told["message"]
    assert api.state() == before


@pytest.mark.parametrize(("route", "verb"), operations())
async def test_query_parameters_that_are_not_described_are_refused(
    api: Api, marker: Path, route: str, verb: str
) -> None:
    """Unknown, repeated and malformed parameters: 400 that names them; nothing changed."""
    before = api.state()
    body = GOOD.get((route, verb))
    response = await api.send(verb, route + "?minutes=5", body)
    api.check(verb, route, response)
    assert (await refused(api, marker, response, 400))["field"] == "minutes"
    if verb in ("GET", "DELETE"):
        await refused(api, marker, await api.send(verb, route, {"minutes": 5}), 400)
    assert api.state() == before


@pytest.mark.parametrize(
    "query",
    [
        *("limit=0", "limit=-1", "limit=1001", "limit=x", "limit=", "limit=1.5", "limit=1e2"),
        *("limit=1&limit=2", "limit=" + "9" * 400, "limit=NaN", "limit=%00", "limit=0x10"),
    ],
)
async def test_a_limit_is_a_number_from_1_to_1000(api: Api, marker: Path, query: str) -> None:
    """Anything else is refused, and the message says the rule."""
    response = await api.send("GET", "/journal?" + query)
    api.check("GET", "/journal", response)
    assert (await refused(api, marker, response, 400))["field"] == "limit"


async def test_what_does_not_exist_is_404(api: Api, marker: Path) -> None:
    """A kernel, terminal or keep-alive that is not there: 404 that names it; nothing changed."""
    before = api.state()
    requests = [
        ("POST", "/keep-alive", {"minutes": 5, "resource": KERNEL}, "unknown-resource"),
        ("POST", "/keep-alive", {"minutes": 5, "resource": "terminal:9"}, "unknown-resource"),
        ("POST", "/activity", {"resource": KERNEL}, "unknown-resource"),
        ("POST", "/activity", {"resource": "terminal:9", "presence": True}, "unknown-resource"),
        ("DELETE", "/keep-alive?id=nothing", None, "unknown-keep-alive"),
    ]
    for verb, route, body, reason in requests:
        response = await api.send(verb, route, body)
        api.check(verb, route, response)
        assert (await refused(api, marker, response, 404))["reason"] == reason
    assert api.state() == before


async def test_what_the_bounds_forbid_is_409(api: Api, marker: Path) -> None:
    """A keep-alive beyond the administrator's longest: 409 that names the field and the bound."""
    before = api.state()
    response = await api.send("POST", "/keep-alive", {"minutes": 5000})
    api.check("POST", "/keep-alive", response)
    told = await refused(api, marker, response, 409)
    assert (told["reason"], told["field"]) == ("out-of-bounds", "minutes")
    assert "1440" in told["message"]
    assert api.state() == before


async def test_without_a_culler_the_routes_say_so(api: Api, marker: Path) -> None:
    """Where the culler did not start: 503 in JSON, not a traceback."""
    del api.server.web_app.settings["idle_culler"]
    for route, verb in operations():
        response = await api.send(verb, route, GOOD.get((route, verb)))
        api.check(verb, route, response)
        assert (await refused(api, marker, response, 503))["reason"] == "unavailable"
    api.server.web_app.settings["idle_culler"] = api.service
