"""Look at the background of a machine of its own: run inside a pid namespace by the tests.

``python -m tests.host_look '{"jobs": [...], "looks": 3, "whole_machine": true}'`` starts the jobs
(shell commands) from a shell that ends at once, looks as often as asked, and prints what it saw of
the host each time as one line of JSON.
"""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import time

from jupyter_idle_culler.sources.base import Look
from jupyter_idle_culler.sources.processes import ProcessesSource
from jupyter_idle_culler.sources.procfs import read_process_table


async def observe(source: ProcessesSource) -> dict[str, object]:
    """Look once; what failed is told as the culler would see it."""
    try:
        table, error = read_process_table(), None
    except OSError as failure:
        table, error = None, str(failure)
    try:
        report = await source.observe(Look(time.monotonic(), table, error))
    except RuntimeError as failure:
        return {"verdict": "unknown", "detail": str(failure)}
    (host,) = report.observations
    return {"verdict": host.verdict.value, "detail": host.detail, "at": host.at}


def main() -> None:
    """Start the jobs, look, tell."""
    wish = json.loads(sys.argv[1])
    source = ProcessesSource(whole_machine=wish["whole_machine"])
    for job in wish["jobs"]:
        subprocess.run(["sh", "-c", job], check=True, stdin=subprocess.DEVNULL)
    time.sleep(0.5)  # until each job is what it will be: another user's, an orphan
    for _ in range(wish["looks"]):
        print(json.dumps(asyncio.run(observe(source))), flush=True)
        time.sleep(1.3)


if __name__ == "__main__":
    main()
