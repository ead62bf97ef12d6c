"""One run of autostop, whatever comes in its way."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from jupyter_idle_culler.autostop import run


class _Dripping(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        """Answer a byte now and then: each comes in time, and the answer never ends."""
        self.send_response(200)
        self.end_headers()
        for _ in range(100):
            self.wfile.write(b" ")
            self.wfile.flush()
            time.sleep(0.1)

    def log_message(self, format: str, *args: object) -> None:
        """Keep the tests' output clean."""


@pytest.fixture
def dripping() -> Iterator[str]:
    """Serve it; give its address."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Dripping)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/"
    server.shutdown()
    server.server_close()


def test_an_answer_that_never_ends_holds_no_look_up(
    dripping: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """The next look would find the lock taken; so a look has its time, and says that it was up."""
    monkeypatch.setattr(run, "_LONGEST_LOOK_SECONDS", 1)
    state = str(tmp_path / "state.json")
    began = time.monotonic()
    words = ["--environment", "studio-classic", "--base-url", dripping, "--state-file", state]
    assert run.main(words) == 0
    assert time.monotonic() - began < 5
    said = capsys.readouterr().out
    assert "unknown, so nothing is ended: " in said
    assert "it took too long" in said


def test_two_runs_never_overlap(
    dripping: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The second says so, and ends."""
    import fcntl

    state = tmp_path / "state.json"
    with Path(f"{state}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        words = ["--environment", "studio-classic", "--base-url", dripping]
        assert run.main([*words, "--state-file", str(state)]) == 0
    assert capsys.readouterr().out.endswith("Z another run is at it\n")
