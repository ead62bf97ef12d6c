"""What a stop and a preflight cost the event loop: the longest stall while AWS is spoken to."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tests.aws.stand_in import SageMakerStandIn

from .figures import Figure
from .servers import Server

_METADATA = Path(__file__).parent.parent / "tests/fixtures/metadata/notebook-instance.json"
_WINDOW_SECONDS = 3.0
_SETTLING_SECONDS = 12.0
"""Until the preflight of the server's own start is over."""


def measure(quick: bool) -> Iterator[Figure]:
    """Speak to the stand-in again and again, in turn with windows in which nothing is asked."""
    turns = 4 if quick else 12
    with SageMakerStandIn() as stand_in:
        arn = stand_in.add_notebook("My-Notebook")
        env = {**stand_in.env, "AWS_ENDPOINT_URL_SAGEMAKER": stand_in.url}
        config = {"timeout_minutes": 120, "metadata_path": str(_METADATA)}
        with Server(config, env=env) as server:
            server.start_kernels(2)
            time.sleep(_SETTLING_SECONDS)

            def stop() -> None:
                stand_in.set_status(arn, "InService")
                answer = server.request("POST", "bench/stop")
                assert answer["ok"], answer

            def preflight() -> None:
                answer = server.request("POST", "bench/preflight")
                assert answer["ready"], answer

            yield _stall(server, "a stop", stop, turns)
            yield _stall(server, "a preflight", preflight, turns)
            assert len([call for call in stand_in.stops() if not call.code]) == turns
            modules = server.request("GET", "bench/state")["modules"]
        assert not stand_in.problems, stand_in.problems
    loaded = sum(name in modules for name in ("boto3", "botocore"))
    yield Figure("modules of boto3 in the server after them", (loaded,), "", "max", bound=0)


def _stall(server: Server, name: str, act: Callable[[], None], turns: int) -> Figure:
    differences, baselines = [], []
    for _ in range(turns):
        baseline = _longest(server, None)
        differences.append(_longest(server, act) - baseline)
        baselines.append(baseline)
    return Figure(
        f"event loop, longest stall during {name} over baseline",
        tuple(differences),
        "ms",
        bound=20,
        compared=f"without it {statistics.median(baselines):.1f} ms",
    )


def _longest(server: Server, act: Callable[[], None] | None) -> float:
    """Return the longest lateness of a timer in a window, in milliseconds."""
    with ThreadPoolExecutor(1) as pool:
        lag = pool.submit(server.request, "POST", "bench/lag", {"seconds": _WINDOW_SECONDS})
        if act is not None:
            time.sleep(0.3)
            act()
        late = lag.result()["late"]
    return 1000 * float(max(lateness for _, lateness in late))
