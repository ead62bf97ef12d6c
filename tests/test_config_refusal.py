"""The real command with a bad configuration: it ends, with one line that says what to mend."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

OURS = "jupyter_idle_culler: "
_OTHER_EXTENSIONS = ("jupyter_lsp", "jupyter_server_proxy", "jupyterlab", "notebook")
"""Not what is tested, and slow to load; ours is on because it is installed."""


class Server:
    """Runs ``jupyter server`` in a home of its own."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.config_dir = home / "config"
        self.config_dir.mkdir()

    def start(self, *arguments: str, **environment: str) -> subprocess.Popen[str]:
        """Start the command with the extension as installing it switches it on."""
        return subprocess.Popen(
            [
                *(sys.executable, "-m", "jupyter", "server", "--no-browser", "--allow-root"),
                *("--ip=127.0.0.1", "--port=0", "--ServerApp.port_retries=0"),
                *(f"--ServerApp.jpserver_extensions={name}=False" for name in _OTHER_EXTENSIONS),
                *arguments,
            ],
            cwd=self.home,
            env={
                **os.environ,
                "HOME": str(self.home),
                "JUPYTER_CONFIG_DIR": str(self.config_dir),
                "JUPYTER_DATA_DIR": str(self.home / "data"),
                "JUPYTER_RUNTIME_DIR": str(self.home / "runtime"),
                # The server's own handler of SIGTERM logs; amid a line that is being written this
                # fails where stderr has a buffer, and the server runs on.
                "PYTHONUNBUFFERED": "1",
                **environment,
            },
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def refusal(self, *arguments: str, **environment: str) -> str:
        """Return the one line with which the start is refused."""
        process = self.start(*arguments, **environment)
        try:
            output, errors = process.communicate(timeout=60)
        except subprocess.TimeoutExpired:
            process.kill()
            output, errors = process.communicate()
            pytest.fail(f"the server runs on:\n{errors}")
        assert process.returncode == 1, errors
        assert "is running at" not in errors
        assert "Traceback" not in errors
        (line,) = [line for line in errors.splitlines() if line.startswith(OURS)]
        assert OURS not in output
        return line.removeprefix(OURS)

    def run(self, *arguments: str, settle: bool, **environment: str) -> str:
        """Start, stop once it runs (settle: once it began its journal), and return what it said."""
        process = self.start(*arguments, **environment)
        assert process.stderr is not None
        seen = ""
        deadline = time.monotonic() + 60
        try:
            while "is running at" not in seen:
                line = process.stderr.readline()
                seen += line
                assert line, seen
            while settle and not list(self.home.glob("data/idle_culler/journal-*.jsonl")):
                assert time.monotonic() < deadline, "no journal was begun"
                time.sleep(0.1)
            process.terminate()
            seen += process.communicate(timeout=30)[1]
        finally:
            process.kill()
            process.communicate()
        assert process.returncode == 0, seen
        return seen


@pytest.fixture
def server(tmp_path: Path) -> Server:
    """Give a server that reads nobody's configuration but the test's."""
    return Server(tmp_path)


@pytest.mark.js214
def test_a_negative_timeout_on_the_command_line_ends_the_start(server: Server) -> None:
    """The line names the trait, the value and the rule."""
    line = server.refusal("--IdleCuller.timeout_minutes=-3")
    assert "IdleCuller.timeout_minutes = -3" in line
    assert "must be a number of minutes from 0 to" in line


@pytest.mark.js214
def test_a_variable_that_is_no_number_ends_the_start(server: Server) -> None:
    """The line names the variable, which is what the administrator set."""
    line = server.refusal(TIMEOUT_IN_MINS="abc")
    assert line.startswith("TIMEOUT_IN_MINS = 'abc': must be a number of minutes")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--IdleCuller.stop_action=reboot"], ["stop_action", "reboot", "'server'"]),
        (["--IdleCuller.timeout_minuts=3"], ["timeout_minuts", "did you mean timeout_minutes"]),
        (
            ["--IdleCuller.max_timeout_minutes=60", "--IdleCuller.timeout_minutes=90"],
            ["timeout_minutes = 90", "at most 60 minutes", "max_timeout_minutes"],
        ),
    ],
    ids=lambda value: value[-1][:40].replace("=", " ") if isinstance(value, list) else None,
)
def test_each_kind_of_fault_ends_the_start(
    server: Server, arguments: list[str], words: list[str]
) -> None:
    """No such choice, misspelt, contradictory: each is a start-up of a whole server."""
    line = server.refusal(*arguments)
    assert [word for word in words if word not in line] == []


def test_a_fault_in_a_configuration_file_ends_the_start(server: Server) -> None:
    """A file in Python and one in JSON are held to the same rules as the command line."""
    file = server.config_dir / "jupyter_server_config.py"
    file.write_text("c.IdleCuller.viewer_commands.append(7)\n")
    assert "viewer_commands" in server.refusal()
    file.unlink()
    section = {"IdleCuller": {"timeout_minutes": "60"}}
    (server.config_dir / "jupyter_server_config.json").write_text(json.dumps(section))
    assert "timeout_minutes = '60'" in server.refusal()
    misspelt = {"IdleCullerr": {"timeout_minutes": 60}}
    (server.config_dir / "jupyter_server_config.json").write_text(json.dumps(misspelt))
    line = server.refusal()
    assert line == ("IdleCullerr.timeout_minutes: there is no such class; did you mean IdleCuller?")


@pytest.mark.js214
def test_a_good_configuration_starts_with_the_culler_loaded(server: Server) -> None:
    """The counterpart, without which every refusal above could be a server that never starts."""
    seen = server.run("--IdleCuller.stop_action=server", settle=True, TIMEOUT_IN_MINS="90")
    assert "jupyter_idle_culler | extension was successfully loaded" in seen
    assert OURS not in seen
    assert "Traceback" not in seen, seen


@pytest.mark.js214
def test_a_server_told_to_stop_while_it_starts_ends_without_a_word_of_complaint(
    server: Server,
) -> None:
    """What has not begun yet is not begun any more."""
    seen = server.run(settle=False)
    assert "Traceback" not in seen, seen
    assert "never awaited" not in seen, seen
