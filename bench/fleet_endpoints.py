"""What a run of the endpoints function costs for 1,000, 5,000 and 10,000 idle endpoints.

All are idle, so that the report is as long as can be. The function runs in a process of its own, as
it does on AWS Lambda, and asks stand-ins for SageMaker and CloudWatch over HTTP.
"""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
import time
from collections.abc import Iterator

from tests.aws.cloudwatch import CloudWatchProxy, quiet_hosts
from tests.aws.endpoints import EndpointsStandIn
from tests.fleet.endpoint_world import environment

from .figures import Figure

FEW, SOME, MANY = 1_000, 5_000, 10_000
_RUN = """
import json, logging, re, sys, time
from jupyter_idle_culler.fleet.handlers import endpoints_handler
logging.disable()
began = time.process_time()
report = endpoints_handler({"prices": {"ml.m5.large": 0.1}})
took = time.process_time() - began
# What getrusage calls the peak is that of the parent, where it was higher before the exec.
peak = re.search(r"VmHWM:\\s+(\\d+) kB", open("/proc/self/status").read())
print(json.dumps({
    "cpu_seconds": took, "peak_mib": int(peak[1]) / 1024,
    "matched": report["matched"], "idle": len(report["idle"]),
}))
"""


def measure(quick: bool) -> Iterator[Figure]:
    """Run it over few, some and many; ``quick``: not over many."""
    few, some = _cost(FEW), _cost(SOME)
    most, many = (SOME, some) if quick else (MANY, _cost(MANY))
    yield Figure(
        "fleet, 5,000 endpoints: CloudWatch calls",
        (some["calls"],),
        "",
        "max",
        bound=math.ceil(some["metrics"] / 500),
        compared=f"{some['metrics']:.0f} metrics",
    )
    yield Figure(
        "fleet, 5,000 endpoints: SageMaker calls an endpoint",
        (some["sagemaker"] / SOME,),
        "",
        "max",
        compared="described, and its configuration, where it is not busy",
    )
    yield Figure(
        f"fleet, peak memory, {most:,} over 1,000 endpoints",
        (many["peak_mib"] / few["peak_mib"],),
        "times",
        "max",
        bound=1.5,
        compared=f"{few['peak_mib']:.0f} and {many['peak_mib']:.0f} MiB (256 on Lambda)",
    )
    yield Figure(
        f"fleet, CPU time an endpoint, {most:,} over 1,000",
        (many["cpu_seconds"] / most / (few["cpu_seconds"] / FEW),),
        "times",
        "max",
        bound=1.2,
        compared=f"{few['cpu_seconds']:.1f} and {many['cpu_seconds']:.1f} s,"
        f" {many['seconds']:.0f} s with the stand-ins",
    )


def _cost(count: int) -> dict[str, float]:
    """Return what a run over so many costs."""
    sagemaker, cloudwatch = EndpointsStandIn(), CloudWatchProxy(answers=quiet_hosts, keep=False)
    with sagemaker, cloudwatch:
        for number in range(count):
            sagemaker.add_endpoint(f"model-{number:05}", tags={"team": f"t{number % 7}"})
        began = time.monotonic()
        ran = subprocess.run(
            [sys.executable, "-c", _RUN],
            env={**os.environ, **environment(sagemaker, "http://127.0.0.1:1", cloudwatch)},
            capture_output=True,
            text=True,
            check=True,
            timeout=900,
        )
        cost: dict[str, float] = json.loads(ran.stdout)
        assert (cost["matched"], cost["idle"]) == (count, count), cost
        assert not sagemaker.problems, sagemaker.problems[:3]
        cost["seconds"] = time.monotonic() - began
        cost["sagemaker"] = sum(call.operation != "GetResources" for call in sagemaker.calls)
        cost["calls"], cost["metrics"] = cloudwatch.calls, cloudwatch.queries
    return cost
