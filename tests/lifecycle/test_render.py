"""Scripts filled in: each value arrives as it was typed, and none breaks out of its quotes."""

from __future__ import annotations

import base64
import json
import re
import subprocess
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

import build_autostop
from jupyter_idle_culler.lifecycle import parameters, size
from jupyter_idle_culler.lifecycle.render import (
    parameters_of,
    render,
    without_comments,
    without_fetching,
)
from jupyter_idle_culler.lifecycle.scripts import ENVIRONMENTS, LifecycleError, script_of

from .conftest import Run, packed
from .throwaway_root import ROOT

SCRIPT = """\
#!/bin/bash
# What it does.
# Parameters
# The first.
ONE='1'
# The second.
TWO=''
# End of parameters
# A comment.
cat >/dev/null <<'DATA'
# kept: this is data
DATA
printf '%s\\0%s' "$ONE" "$TWO"
"""
WHEEL = "s3://bucket/jupyter_idle_culler-0.1.0-py3-none-any.whl"
SHA = "0123456789abcdef" * 4
ALL = sorted(ENVIRONMENTS)
OFFLINE_EXTENSION = ("--offline", "--wheel", WHEEL, "--sha256", SHA)
TEXT = st.text(
    st.characters(exclude_categories=("Cc", "Cs"), exclude_characters="\u2028\u2029"), max_size=60
)


def in_bash(script: bytes) -> list[str]:
    """Run a script in bash and return the values that it saw."""
    ran = subprocess.run(
        ["bash", "-s"],
        input=script,
        capture_output=True,
        check=True,
        timeout=20,
        env={"LC_ALL": "C.UTF-8"},
    )
    assert ran.stderr == b""
    return ran.stdout.decode().split("\0")


@settings(max_examples=60)
@given(TEXT, TEXT)
@example("'; touch /tmp/broken-out; '", '"$(id)`id`\\')
@example("\\", "'")
@example("#", "$ONE ${TWO} !! *")
@example(packed("notebook-instance")[:200], "")
def test_each_value_comes_out_of_bash_as_it_was_typed(one: str, two: str) -> None:
    """Quotes, backslashes, substitutions, whatever it is: one word, the very same."""
    script = render(SCRIPT, {"ONE": one, "TWO": two}, "a script").script
    assert in_bash(script) == [one, two]
    assert parameters_of(script.decode()) == {"ONE": one, "TWO": two}


@pytest.mark.parametrize("character", ["\n", "\r", "\0", "\x1b", "\x7f", "\x85", "\u2028"])
def test_a_control_character_is_refused(character: str) -> None:
    """Nothing that could end the line, or move a reader's cursor."""
    with pytest.raises(LifecycleError, match="ONE: there must be no control character"):
        render(SCRIPT, {"ONE": f"a{character}b"}, "a script")


def test_comments_go_only_where_the_size_needs_it() -> None:
    """The shebang, here-documents and what the script does stay."""
    assert not render(SCRIPT, {"ONE": "2"}, "a script").shortened
    long = "x" * (size.MOST_BYTES - len(without_comments(SCRIPT)))
    rendered = render(SCRIPT, {"TWO": long}, "a script")
    assert rendered.shortened
    assert rendered.script.startswith(b"#!/bin/bash\n")
    assert b"# kept: this is data" in rendered.script
    assert b"comment" not in rendered.script
    assert in_bash(rendered.script) == ["1", long]


def test_what_is_too_long_is_refused_with_the_figures() -> None:
    """Bytes, characters of base64, and the limit."""
    with pytest.raises(LifecycleError, match=r"too long for AWS by .* of 16,384 characters"):
        render(SCRIPT, {"TWO": "x" * size.MOST_BYTES}, "a script")
    assert len(size.encoded(b"x" * size.MOST_BYTES)) == size.MOST_CHARACTERS
    assert size.fits(b"x" * size.MOST_BYTES)
    assert not size.fits(b"x" * (size.MOST_BYTES + 1))


@pytest.mark.parametrize(
    ("environment", "more"),
    [
        *((name, ()) for name in ALL),
        *((name, ("--index-url", "https://index.example/simple")) for name in ALL),
        *((name, ("--wheel", "/" + "w" * 300 + ".whl", "--sha256", SHA)) for name in ALL),
        *(
            (name, OFFLINE_EXTENSION if ENVIRONMENTS[name].extension else ("--offline",))
            for name in ALL
        ),
    ],
)
def test_each_form_of_each_script_fits_and_is_a_script(
    environment: str, more: tuple[str, ...], run: Run, payloads: Path
) -> None:
    """The gate: at most 16,384 characters of base64, LF, and bash can read it."""
    del payloads
    code, out, err = run("render", environment, "--timeout", "90m", *more)
    assert code == 0, err
    assert "It stops what has been idle for 1 h 30 min." in err
    assert "of 16,384 characters of base64." in err
    assert len(base64.b64encode(out.encode())) <= 16_384
    assert out.startswith("#!/bin/bash\n")
    assert "\r\n" not in out
    subprocess.run(["bash", "-n"], input=out.encode(), check=True, timeout=20)
    values = dict(re.findall(r"^([A-Z_0-9]+)='([^']*)'$", out, re.M))  # comments may be gone
    assert values.get("TIMEOUT_IN_MINS", values.get("IDLE_TIME")) in ("90", "5400")
    inlined = "--offline" in more and not ENVIRONMENTS[environment].extension
    assert values["AUTOSTOP"] == (packed(environment) if inlined else "")
    expected = script_of(ENVIRONMENTS[environment])
    assert ("are taken out for its size" in err) == (out.count("\n") < expected.count("\n"))
    if out.count("\n") < expected.count("\n"):
        expected = without_comments(without_fetching(expected) if inlined else expected)
    assert out.count("\n") == expected.count("\n")


def test_the_packed_autostop_of_these_sources_fits_too(run: Run, payloads: Path) -> None:
    """The offline forms with the real one."""
    for name in build_autostop.ENVIRONMENTS:
        (payloads / f"{name}.txt").write_text(build_autostop.packed(ROOT, name))
        code, out, err = run("render", name, "--offline", "--format", "base64")
        assert code == 0, err
        assert len(out.strip()) <= 16_384


def test_a_build_without_a_packed_autostop_says_so(run: Run, payloads: Path) -> None:
    """One line, exit code 1, no script."""
    (payloads / "studio-classic.txt").unlink()
    code, out, err = run("render", "studio-classic", "--offline")
    assert (code, out, len(err.splitlines())) == (1, "", 1)
    assert "the packed autostop of studio-classic is missing from this installation" in err


def test_every_flag_lands_in_its_parameter(run: Run) -> None:
    """And nothing else changes."""
    code, out, _ = run(
        *("render", "notebook-instance", "--idle-time", "1800", "--cron-schedule", "*/5  * * * *"),
        *("--keep-connected", "--wheel", WHEEL, "--sha256", SHA.upper()),
        *("--package-version", "0.2.0rc1", "--json"),
    )
    assert code == 0
    told = json.loads(out)
    script = base64.b64decode(told["content"]).decode()
    wanted = {
        **{"IDLE_TIME": "1800", "CRON_SCHEDULE": "*/5 * * * *", "IGNORE_CONNECTIONS": "no"},
        **{"WHEEL": WHEEL, "WHEEL_SHA256": SHA, "VERSION": "0.2.0rc1"},
    }
    assert told["parameters"] == wanted
    assert parameters_of(script) == {
        **parameters_of(script_of(ENVIRONMENTS["notebook-instance"])),
        **wanted,
    }
    assert told["bytes"] == len(script.encode())
    out = run("render", "studio-classic", "--keep-terminals")[1]
    assert parameters_of(out)["KEEP_TERMINALS"] == "yes"
    out = run("render", "studio-code-editor", "--check-every", "2m")[1]
    assert parameters_of(out)["CHECK_EVERY"] == "120"


def test_without_flags_the_script_is_the_one_in_the_repository(run: Run, tmp_path: Path) -> None:
    """Also when it is written to a file."""
    for name in ALL:
        assert run("render", name)[1] == script_of(ENVIRONMENTS[name])
    file = tmp_path / "on-start.sh"
    assert run("render", "studio-jupyterlab", "--output", str(file))[:2] == (0, "")
    assert file.read_bytes().decode() == script_of(ENVIRONMENTS["studio-jupyterlab"])


@pytest.mark.parametrize(
    ("text", "plain", "expected"),
    [
        *(("3600", 1, 3600), ("60m", 1, 3600), ("60m", 60, 3600), ("1h", 60, 3600)),
        *(("120", 60, 7200), ("1h30m", 1, 5400), ("90min", 1, 5400), ("300s", 60, 300)),
        *(("2d", 1, 172_800), (" 1 H ", 1, 3600)),
    ],
)
def test_time_outs_are_written_as_people_do(text: str, plain: int, expected: int) -> None:
    """A plain number is in the unit of the script."""
    assert parameters.timeout_seconds(text, plain) == expected


@pytest.mark.parametrize(
    "schedule", ["* * * * *", "*/5 * * * *", "0,30 8-18 * * mon-fri", "5 4 1-15/2 jan,6 0-7"]
)
def test_schedules_of_cron_are_taken(schedule: str) -> None:
    """Lists, ranges, steps and names."""
    assert parameters.cron_schedule(schedule) == schedule


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("nowhere",), "'nowhere' is no environment: one of notebook-instance,"),
        (("notebook-instance", "--timeout=-5"), "--timeout '-5' is no time"),
        (("notebook-instance", "--timeout", "0"), "must be from 5 minutes to 30 days"),
        (("notebook-instance", "--timeout", "60"), "without a unit is seconds here"),
        (("studio-jupyterlab", "--timeout", "31d"), "must be from 5 minutes to 30 days"),
        (("studio-jupyterlab", "--timeout", "9" * 400), "must be from 5 minutes to 30 days"),
        (("studio-jupyterlab", "--timeout", "330s"), "must be whole minutes"),
        (("studio-jupyterlab", "--timeout", "nan"), "'nan' is no time"),
        (("studio-jupyterlab", "--timeout", ""), "'' is no time"),
        (("notebook-instance", "--timeout", "1h", "--idle-time", "9"), "are the same"),
        (("notebook-instance", "--cron-schedule", "* * * *"), "is no cron schedule"),
        (("notebook-instance", "--cron-schedule", "60 * * * *"), "'60' is no minute"),
        (("notebook-instance", "--cron-schedule", "*/0 * * * *"), "'*/0' is no minute"),
        (("notebook-instance", "--cron-schedule", "* * * * *\nroot"), "is no cron schedule"),
        (("notebook-instance", "--cron-schedule", "* * * * %id"), "is no day of the week"),
        (("studio-jupyterlab", "--cron-schedule", "* * * * *"), "--cron-schedule is nothing that"),
        (("notebook-instance", "--keep-terminals"), "--keep-terminals is nothing that"),
        (("studio-code-editor", "--check-every", "5"), "must be from 10 seconds to 1 hour"),
        (("notebook-instance", "--index-url", "ftp://x/simple"), "must be an address such as"),
        (("notebook-instance", "--index-url", "https://x/'; id"), "must be an address such as"),
        (("notebook-instance", "--index-url", "https://[x/"), "must be an address such as"),
        (("notebook-instance", "--wheel", "culler.whl"), "must be s3://bucket/key or an absolute"),
        (
            ("notebook-instance", "--wheel", "s3://B/k.whl"),
            "must be s3://bucket/key or an absolute",
        ),
        (("notebook-instance", "--wheel", "/a\n.whl"), "must be s3://bucket/key or an absolute"),
        (("notebook-instance", "--sha256", "abc"), "must be 64 hexadecimal digits"),
        (("notebook-instance", "--package-version", "1; id"), "must be a version such as"),
        (("studio-jupyterlab", "--offline"), "needs --wheel"),
        (("studio-jupyterlab", "--offline", "--wheel", WHEEL), "needs --sha256"),
        (("notebook-instance", "--offline", "--wheel", WHEEL), "are not used"),
        (("notebook-instance", "--max-volume", "9"), "are of --format cloudformation"),
        (("studio-classic", "--format", "cloudformation"), "for Studio use create and attach"),
        (("notebook-instance", "--format=cloudformation", "--max-volume", "4"), "from 5 to 16384"),
        (
            ("notebook-instance", "--format=cloudformation", "--instance-types", "t3"),
            "type of inst",
        ),
    ],
)
def test_bad_input_is_one_clear_line(arguments: tuple[str, ...], said: str, run: Run) -> None:
    """Exit code 2, nothing on stdout."""
    code, out, err = run("render", *arguments)
    assert (code, out) == (2, "")
    assert said in err
    assert err.count("\n") == 1
    assert err.startswith("jupyter idle-culler: ")


def test_a_password_in_the_address_is_told_of(run: Run) -> None:
    """Whoever may describe the configuration can read it."""
    code, _, err = run("render", "notebook-instance", "--index-url", "https://a:b@x.example/simple")
    assert code == 0
    assert "can read the password" in err


@pytest.mark.parametrize("command", [(), ("render",), ("create",), ("attach",), ("detach",)])
def test_the_help_teaches_with_examples(command: tuple[str, ...], run: Run) -> None:
    """Each command's own, too."""
    code, out, _ = run(*command, "--help")
    assert code == 0
    assert "examples:" in out
