"""What a run of the schedule function costs for 1,000 and for 10,000 notebook instances.

One in ten is to be started; the function runs in a process of its own, as it does on AWS Lambda,
and asks a stand-in that checks each request against SageMaker's own model.
"""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone

from jupyter_idle_culler.fleet.due import LAST_START_TAG, mark
from tests.aws.fleet_stand_in import FleetStandIn

from .figures import Figure

FEW, MANY = 1_000, 10_000
_RUN = """
import json, logging, re, sys, time
from jupyter_idle_culler.fleet.handlers import schedule_handler
logging.disable()
began = time.process_time()
report = schedule_handler(json.loads(sys.argv[1]))
# What getrusage calls the peak is that of the parent, where it was higher before the exec.
peak = re.search(r"VmHWM:\\s+(\\d+) kB", open("/proc/self/status").read())
print(json.dumps({
    "cpu_seconds": time.process_time() - began,
    "peak_mib": int(peak[1]) / 1024,
    "changed": len(report["changed"]), "matched": report["matched"],
}))
"""


def measure(quick: bool) -> Iterator[Figure]:
    """Run it over few and over many; ``quick`` changes nothing: each is one run."""
    del quick
    few, many = _cost(FEW), _cost(MANY)
    pages, changes = math.ceil(MANY / 100), MANY // 10
    yield Figure(
        "fleet, 10,000 instances: SageMaker calls",
        (many["sagemaker"],),
        "",
        "max",
        bound=pages + changes + 1,
    )
    yield Figure(
        "fleet, 10,000 instances: calls that read tags", (many["tags"],), "", "max", bound=pages
    )
    yield Figure(
        "fleet, peak memory, 10,000 over 1,000 instances",
        (many["peak_mib"] / few["peak_mib"],),
        "times",
        "max",
        bound=1.5,
        compared=f"{few['peak_mib']:.0f} and {many['peak_mib']:.0f} MiB (256 on Lambda)",
    )
    yield Figure(
        "fleet, CPU time an instance, 10,000 over 1,000",
        (many["cpu_seconds"] / MANY / (few["cpu_seconds"] / FEW),),
        "times",
        "max",
        bound=1.2,
        compared=f"{few['cpu_seconds']:.1f} and {many['cpu_seconds']:.1f} s",
    )


def _cost(count: int) -> dict[str, float]:
    """Return what a run over so many costs."""
    now = datetime.now(timezone.utc)
    window = now.replace(hour=0, minute=0, second=0, microsecond=0)
    seen = {LAST_START_TAG: mark(window)}
    schedule = {"time_zone": "UTC", "days": "mon-sun", "start": "00:00", "stop": "24:00"}
    event = {
        "action": "reconcile",
        "match_all": True,
        "schedules": {"always": schedule},
        "dry_run": False,
    }
    with FleetStandIn(linger_seconds=3600) as stand_in:
        for number in range(count):
            on = number % 10
            stand_in.add(
                f"instance-{number:05}",
                "InService" if on else "Stopped",
                modified=window - timedelta(hours=1),
                tags=seen if on else {},
            )
        ran = subprocess.run(
            [sys.executable, "-c", _RUN, json.dumps(event)],
            env={**os.environ, **stand_in.env},
            capture_output=True,
            text=True,
            check=True,
            timeout=600,
        )
        cost: dict[str, float] = json.loads(ran.stdout)
        assert (cost["matched"], cost["changed"]) == (count, count // 10), cost
        assert not stand_in.problems, stand_in.problems[:3]
        cost["sagemaker"] = stand_in.count("ListNotebookInstances", "StartNotebookInstance")
        cost["tags"] = stand_in.count("GetResources")
        written = stand_in.count("TagResources")
        assert len(stand_in.calls) == cost["sagemaker"] + cost["tags"] + written
    return cost
