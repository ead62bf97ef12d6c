"""The command line against real servers: what it says, what it finds, and how it fails."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from jupyter_server.auth.security import passwd

from jupyter_idle_culler.cli.commands import main
from jupyter_idle_culler.config.idle_culler import IdleCuller

from .live.harness import TOKEN, LiveServer, free_port, listens, wait_until

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveServer]:
    """Run a server whose kernels live for two hours and which is never stopped."""
    home = tmp_path_factory.mktemp("server")
    with LiveServer(home, {"timeout_minutes": 120}, isolate=False) as server:
        yield server


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Run:
    """Run the command line in this process, with a server's Jupyter directories (None: none)."""

    def run(*arguments: str, home: Path | None = None) -> tuple[int, str, str]:
        base = home or tmp_path
        monkeypatch.setenv("JUPYTER_RUNTIME_DIR", str(base / "runtime"))
        monkeypatch.setenv("JUPYTER_DATA_DIR", str(base / "data"))
        try:
            code = main(arguments)
        except SystemExit as ended:
            code = int(ended.code or 0)
        said = capsys.readouterr()
        return code, said.out, said.err

    return run


def test_status_says_in_words_how_everything_stands(server: LiveServer, run: Run) -> None:
    """A headline, the last evidence, a line for each kernel and each keep-alive; exit code 0."""
    kernel = server.start_kernel()
    wait_until(lambda: server.status()["kernels"], "the kernel in the status")
    code, out, err = run("status", home=server.home)
    assert (code, err) == (0, "")
    lines = out.splitlines()
    assert "This host is not stopped here" in lines[0]
    assert lines[1].startswith("Last evidence: ")
    assert any(kernel in line and "left" in line for line in lines)


@pytest.mark.parametrize("command", ["status", "explain", "journal"])
def test_json_is_what_the_server_answered(server: LiveServer, run: Run, command: str) -> None:
    """`--json` prints the answer of the API, for programs, and nothing else."""
    code, out, err = run(command, "--json", home=server.home)
    assert (code, err) == (0, "")
    expected = server.request("GET", f"api/idle-culler/v1/{command}")
    assert json.loads(out).keys() == expected.keys()


def test_explain_says_why_for_each_kernel(server: LiveServer, run: Run) -> None:
    """Host, kernels, observations with their source and age, and what happens next."""
    kernel = server.start_kernel()
    wait_until(lambda: kernel in str(server.status()), "the kernel in the status")
    code, out, _ = run("explain", home=server.home)
    assert code == 0
    about = out[out.index(kernel) :]
    assert "kernels: " in about
    assert "goes in " in about
    assert "What happens if nothing else does" in out


def test_keep_alive_and_cancel(server: LiveServer, run: Run) -> None:
    """A keep-alive stands in the status until it is cancelled by its id, or all of them are."""
    code, out, _ = run("keep-alive", "1h30m", "--reason", "a long lunch", home=server.home)
    assert code == 0
    assert out.startswith("This host is kept awake until ")
    (kept,) = server.status()["keep_alives"]
    assert kept["reason"] == "a long lunch"
    assert 5300 < kept["ends_in_seconds"] <= 5400
    assert "a long lunch" in run("status", home=server.home)[1]
    code, out, _ = run("cancel", kept["id"], "--json", home=server.home)
    assert (code, json.loads(out)) == (0, {"cancelled": 1})
    run("keep-alive", "until", "23:59", home=server.home)
    run("keep-alive", "45", home=server.home)
    assert run("cancel", "--all", home=server.home)[:2] == (0, "Cancelled: 2.\n")
    assert run("cancel", "--all", home=server.home)[:2] == (0, "Nothing was kept awake.\n")
    assert server.status()["keep_alives"] == []


def test_one_kernel_or_terminal_can_be_kept_alone(server: LiveServer, run: Run) -> None:
    """`--kernel` and `--terminal` name what is kept; what is not there is refused by name."""
    kernel = server.start_kernel()
    code, out, _ = run("keep-alive", "2h", "--kernel", kernel, "--json", home=server.home)
    assert (code, json.loads(out)["resource"]) == (0, f"kernel:{kernel}")
    run("cancel", "--all", home=server.home)
    code, out, err = run("keep-alive", "2h", "--terminal", "nine", home=server.home)
    assert (code, out) == (1, "")
    assert err.startswith("jupyter idle-culler: ")
    assert "nine" in err


def test_what_the_bounds_forbid_fails_with_the_bound(server: LiveServer, run: Run) -> None:
    """Exit code 1 and the server's own words, without anything about tokens."""
    code, out, err = run("keep-alive", "30d", home=server.home)
    assert (code, out) == (1, "")
    assert "1440" in err
    assert "token" not in err


@pytest.mark.parametrize(
    "arguments",
    [
        (),
        ("dance",),
        ("status", "--colour"),
        ("keep-alive",),
        ("keep-alive", "soon"),
        ("keep-alive", "2h", "--kernel", "a", "--terminal", "b"),
        ("cancel",),
        ("cancel", "a", "--all"),
        ("journal", "-n", "0"),
        ("journal", "-n", "many"),
        ("journal", "-n", "1001"),
        ("journal", "-n", "99999999999"),
        ("status", "--port", "0"),
        ("replay", "--timeout", "-1"),
        ("replay", "--timeout", "nan"),
        ("replay", "--hourly-price", "inf"),
    ],
)
def test_wrong_usage_is_exit_code_2_with_the_usage(run: Run, arguments: tuple[str, ...]) -> None:
    """Nothing is asked of any server; stderr says what was wrong, stdout stays empty."""
    code, out, err = run(*arguments)
    assert (code, out) == (2, "")
    assert err.startswith("usage: jupyter idle-culler")


def test_a_number_out_of_its_bounds_is_answered_with_the_bounds(run: Run) -> None:
    """The message says the rule, not the name of a function."""
    for number in ("0", "1001", "99999999999", "1.5"):
        _, _, err = run("journal", "-n", number)
        assert f"argument -n/--number: {number}: must be a whole number from 1 to 1000" in err
    assert "-1: must be a number, at least 0" in run("replay", "--timeout=-1")[2]


def test_the_journal_shows_what_happened(server: LiveServer, run: Run) -> None:
    """One line an entry, as many as asked for."""
    run("keep-alive", "5", home=server.home)
    run("cancel", "--all", home=server.home)
    code, out, _ = run("journal", "-n", "2", home=server.home)
    assert code == 0
    assert len(out.splitlines()) == 2
    assert "keep-alive" in out


def test_asking_is_no_evidence(server: LiveServer, run: Run) -> None:
    """Commands move neither the server's activity nor what the culler counts from."""

    def last_activity() -> str:
        return str(server.request("GET", "api/status?no_track_activity=1")["last_activity"])

    def settled() -> str | None:  # the looks that the tests before caused may still come
        before = last_activity()
        time.sleep(1)
        return before if last_activity() == before else None

    before = wait_until(settled, "the end of what was before")
    for command in ("status", "explain", "journal"):
        run(command, home=server.home)
    assert last_activity() == before


def test_the_real_command_works_and_finds_its_subcommand(server: LiveServer) -> None:
    """`jupyter idle-culler status` as a person types it, and its exit code."""
    command = [sys.executable, "-m", "jupyter", "idle-culler", "status", "--json"]
    env = {**server.env, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert json.loads(done.stdout)["version"]
    empty = {**env, "JUPYTER_RUNTIME_DIR": str(server.home / "empty")}
    done = subprocess.run(command, env=empty, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (1, "")
    assert "no Jupyter server of yours is running" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_reader_that_has_seen_enough_is_no_error(server: LiveServer) -> None:
    """`| head -1` gets its line and no traceback."""
    line = f"{sys.executable} -m jupyter_idle_culler.cli explain --json | head -1"
    done = subprocess.run(
        ["bash", "-c", line], env=server.env, capture_output=True, text=True, check=True
    )
    assert done.stderr == ""
    assert done.stdout == "{\n"


def test_inside_a_terminal_of_jupyter_its_own_server_is_meant(
    server: LiveServer, run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """JUPYTER_SERVER_URL picks among several, with the token of the runtime file; --port wins."""
    with LiveServer(tmp_path / "other", {}, isolate=False) as other:
        shared = tmp_path / "both"
        (shared / "runtime").mkdir(parents=True)
        for one in (server, other):
            for file in (one.home / "runtime").glob("jpserver-*.json"):
                shutil.copy(file, shared / "runtime")
        code, out, err = run("status", home=shared)
        assert (code, out) == (1, "")
        assert server.url in err
        assert other.url in err
        assert "--port" in err
        assert TOKEN not in err
        monkeypatch.setenv("JUPYTER_SERVER_URL", other.url)
        code, out, _ = run("keep-alive", "7", home=shared)
        assert code == 0
        assert len(other.status()["keep_alives"]) == 1
        assert server.status()["keep_alives"] == []
        assert run("keep-alive", "8", "--port", str(server.port), home=shared)[0] == 0
        assert len(server.status()["keep_alives"]) == 1
        assert run("cancel", "--all", "--url", server.url, home=shared)[0] == 0
        assert server.status()["keep_alives"] == []
        code, _, err = run("status", "--port", str(free_port()), home=shared)
        assert code == 1
        assert "no Jupyter server of yours is running on port" in err
    # Its runtime file outlives a server that was killed: the one that answers is the only one.
    monkeypatch.delenv("JUPYTER_SERVER_URL")
    (shared / "runtime" / "jpserver-1.json").write_text(
        json.dumps({"url": f"http://127.0.0.1:{free_port()}/", "pid": os.getpid(), "token": ""})
    )
    assert run("status", home=shared)[0] == 0


def test_a_wrong_or_missing_token_is_named(
    server: LiveServer, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without the runtime file: JUPYTER_TOKEN or --token; a refusal says so and shows none."""
    url = ("--url", server.url)
    code, _, err = run("status", *url)
    assert code == 1
    assert "wants a token" in err
    code, _, err = run("status", *url, "--token", "guess")
    assert code == 1
    assert "refused the token" in err
    assert "guess" not in err
    assert run("status", *url, "--token", TOKEN)[0] == 0
    monkeypatch.setenv("JUPYTER_TOKEN", TOKEN)
    assert run("status", *url)[0] == 0
    monkeypatch.delenv("JUPYTER_TOKEN")
    monkeypatch.setenv("JUPYTERHUB_SERVICE_PREFIX", "/user/ada/")
    monkeypatch.setenv("JUPYTERHUB_API_TOKEN", TOKEN)
    assert run("status", *url)[0] == 0


@pytest.mark.parametrize(
    ("url", "word"),
    [
        ("http://127.0.0.1:FREE/", "connection refused"),
        ("http://no-such-host.invalid/", "cannot be reached"),
        ("ftp://127.0.0.1/", "is no address of a server"),
        ("127.0.0.1:8888", "is no address of a server"),
        ("http://127.0.0.1:notaport/", "cannot be reached"),
    ],
)
def test_an_address_that_does_not_answer_is_said_plainly(run: Run, url: str, word: str) -> None:
    """Exit code 1 and one line that names the address and what is wrong with it."""
    url = url.replace("FREE", str(free_port()))
    code, out, err = run("status", "--url", url)
    assert (code, out) == (1, "")
    assert url in err
    assert word in err
    assert len(err.splitlines()) == 1


def wait_for_port(server: LiveServer, listening: Callable[[], bool] | None = None) -> None:
    """Wait until a server without the usual token listens, and its runtime file says where.

    The log says that it runs a moment before it listens.
    """
    files = server.home / "runtime"
    wait_until(
        lambda: (
            "is running at" in server.log
            and any(file.read_text().endswith("}") for file in files.glob("jpserver-*.json"))
            and (listening or (lambda: listens(server.port)))()
        ),
        f"the server; its log: {server.log_path}",
    )


def test_a_server_without_the_culler_is_told_apart_from_one_without_a_server(
    run: Run, tmp_path: Path
) -> None:
    """404: the message says that the culler is not on there, and how to put it there."""
    off = {"ServerApp": {"jpserver_extensions": {"jupyter_idle_culler": False}}}
    server = LiveServer(tmp_path / "off", {}, server_config=off, isolate=False)
    try:
        server.start(wait=False)
        wait_for_port(server)
        code, _, err = run("status", home=server.home)
    finally:
        server.close()
    assert code == 1
    assert "the idle culler is not on there" in err


def test_a_server_that_wants_a_password_says_how(run: Run, tmp_path: Path) -> None:
    """Password only: this command cannot give one, and says what to do instead."""
    config = {
        "IdentityProvider": {"token": ""},
        "PasswordIdentityProvider": {"hashed_password": passwd("secret", "sha1")},
    }
    server = LiveServer(tmp_path / "pw", {}, server_config=config, isolate=False)
    try:
        server.start(wait=False)
        wait_for_port(server)
        code, _, err = run("status", home=server.home)
    finally:
        server.close()
    assert code == 1
    assert "by a password" in err
    assert "--IdentityProvider.token" in err


def test_a_self_signed_certificate_is_taken_only_when_asked_to(run: Run, tmp_path: Path) -> None:
    """Refused with the reason and the option; with --insecure it works."""
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("openssl is not installed")
    key, certificate = tmp_path / "key.pem", tmp_path / "cert.pem"
    make = (openssl, "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2")
    subprocess.run(
        [*make, "-subj", "/CN=localhost", "-keyout", str(key), "-out", str(certificate)],
        check=True,
        capture_output=True,
    )
    config = {"ServerApp": {"certfile": str(certificate), "keyfile": str(key)}}
    server = LiveServer(tmp_path / "tls", {}, server_config=config, isolate=False)
    try:
        server.start(wait=False)
        wait_for_port(server)
        code, _, err = run("status", home=server.home)
        assert code == 1
        assert "certificate is not trusted" in err
        assert "--insecure" in err
        assert run("status", "--insecure", home=server.home)[0] == 0
    finally:
        server.close()


def test_a_server_on_a_unix_socket_is_reached(run: Run, tmp_path: Path) -> None:
    """`jupyter server --sock` has no port; its runtime file says where it is."""
    # The server refuses a socket beside any port but its default one, which it then does not use.
    config = {"ServerApp": {"sock": str(tmp_path / "s"), "port": 8888}}
    server = LiveServer(tmp_path / "sock", {}, server_config=config, isolate=False)
    try:
        server.start(wait=False)
        wait_for_port(server, (tmp_path / "s").exists)
        code, out, err = run("status", "--json", home=server.home)
    finally:
        server.close()
    assert err == ""
    assert code == 0
    assert json.loads(out)["host"]


def test_replay_of_a_real_journal_tells_what_a_shorter_timeout_would_have_done(
    run: Run, tmp_path: Path
) -> None:
    """The journal of a server that kept everything, tried with a timeout of a second."""
    with LiveServer(
        tmp_path, {"timeout_minutes": 0, "check_interval_seconds": 1}, isolate=False
    ) as server:
        kernel = server.kernel()
        kernel.execute("1")
        kernel.close()
        wait_until(
            lambda: [e for e in server.journal() if e.get("resource") == f"kernel:{kernel.id}"],
            "the kernel in the journal",
        )
        wait_until(lambda: server.status()["kernels"][0]["evidence"]["age_seconds"] > 3, "idleness")
        # Under load the host's evidence may be newer than the kernel's.
        wait_until(lambda: server.status()["host"]["evidence"]["age_seconds"] > 4, "an idle host")
        server.request("POST", "api/idle-culler/v1/keep-alive", {"minutes": 1})
    (journal,) = server.data_dir.rglob("journal-*.jsonl")
    code, out, err = run(
        *("replay", str(journal), "--timeout", "0.025", "--hourly-price", "2", "--json")
    )
    assert (code, err) == (0, "")
    report: dict[str, Any] = json.loads(out)
    assert f"kernel:{kernel.id}" in [a["resource"] for a in report["acts"] if a["action"] == "cull"]
    assert [act["action"] for act in report["acts"]].count("stop") >= 1
    assert report["host_seconds_saved"] > 0
    assert report["saved_price"] == pytest.approx(report["host_seconds_saved"] / 1800)
    assert report["recorded"] == []
    code, out, _ = run("replay", "--timeout", "0.025", home=tmp_path)
    assert code == 0
    assert "host hours would have been saved" in out
    assert "used again after" in out or "off for" in out
    code, out, _ = run("replay", "--timeout", "60", home=tmp_path)
    assert "never; 0.00 host hours" in out


def test_replay_says_which_file_it_misses_or_cannot_choose(run: Run, tmp_path: Path) -> None:
    """No journal, several journals, a file that is not there or is a directory: exit code 1."""
    code, _, err = run("replay")
    assert (code, "there is no journal in" in err) == (1, True)
    folder = tmp_path / "data" / "idle_culler"
    folder.mkdir(parents=True)
    for name in ("journal-a.jsonl", "journal-b.jsonl"):
        (folder / name).write_text('{"event": "start"}\nrubbish\n')
    code, _, err = run("replay")
    assert (code, "journal-b.jsonl" in err) == (1, True)
    code, out, _ = run("replay", str(folder / "journal-a.jsonl"))
    assert code == 0
    assert "tells nothing" in out
    assert "1 lines of the file are no entries" in out
    for path in (tmp_path / "nowhere.jsonl", tmp_path):
        code, _, err = run("replay", str(path))
        assert (code, str(path) in err, len(err.splitlines())) == (1, True, 1)


def test_help_teaches_with_examples_and_explains_every_setting(run: Run) -> None:
    """`--help` shows commands and examples, `--help-all` each trait, `--version` the version."""
    code, out, _ = run("--help")
    assert code == 0
    assert "examples:" in out
    for command in ("status", "explain", "keep-alive", "cancel", "journal", "replay"):
        assert f"jupyter idle-culler {command}" in out
        assert run(command, "--help")[0] == 0
    code, out, _ = run("--help-all")
    assert code == 0
    for trait in IdleCuller.class_traits(config=True):
        assert f"--IdleCuller.{trait}" in out
    code, out, _ = run("--version")
    assert (code, out.strip()[0].isdigit()) == (0, True)


def test_names_cannot_give_orders_to_the_terminal(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Control characters in what is shown are made visible."""
    monkeypatch.setattr(
        "jupyter_idle_culler.cli.commands._client",
        lambda _: type("C", (), {"ask": lambda *_, **__: {}})(),
    )
    monkeypatch.setattr(
        "jupyter_idle_culler.cli.text.status_lines", lambda *_: ["a\x1b[2Jb\x07.ipynb", "é"]
    )
    assert run("status")[1] == "a?[2Jb?.ipynb\né\n"
