"""Run the bench: ``python -m bench [NAME …] [--quick]``. Exit code 1: a bound was missed."""

from __future__ import annotations

import argparse
import os
import platform
import sys
import time
from collections.abc import Callable, Iterator, Sequence

from . import (
    autostop,
    aws_calls,
    crowd,
    decide,
    fleet_endpoints,
    fleet_schedules,
    lateness,
    start_up,
    steady_cost,
)
from .figures import Figure, in_unit, table


# These two need a browser; the others, and the tests of this module, do without.
def _activation(quick: bool) -> Iterator[Figure]:
    from . import activation

    return activation.measure(quick)


def _untouched_tab(quick: bool, seconds: float) -> Iterator[Figure]:
    from . import untouched_tab

    return untouched_tab.measure(quick, seconds)


GROUPS: dict[str, Callable[..., Iterator[Figure]]] = {
    "decide": decide.measure,
    "start-up": start_up.measure,
    "lateness": lateness.measure,
    "crowd": crowd.measure,
    "steady-cost": steady_cost.measure,
    "activation": _activation,
    "untouched-tab": _untouched_tab,
    "aws": aws_calls.measure,
    "autostop": autostop.measure,
    "fleet-schedules": fleet_schedules.measure,
    "fleet-endpoints": fleet_endpoints.measure,
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure what was asked for, print each figure as it comes and all of them at the end."""
    parser = argparse.ArgumentParser("python -m bench", description=__doc__)
    groups = ", ".join(GROUPS)
    parser.add_argument("name", nargs="*", help=f"a group of figures: {groups}; none: all")
    parser.add_argument("--quick", action="store_true", help="fewer samples")
    parser.add_argument(
        "--seconds",
        type=float,
        default=300.0,
        help="so long the untouched tab is watched (default %(default)g)",
    )
    chosen = parser.parse_args(arguments)
    more = {"untouched-tab": {"seconds": chosen.seconds}}
    for name in chosen.name:
        if name not in GROUPS:
            parser.error(f"there is no group {name!r}; there are {groups}")
    if not sys.platform.startswith("linux"):
        parser.error("the bench measures with Linux' /proc and pid namespaces")
    print(_machine(), flush=True)
    figures: list[Figure] = []
    for name in chosen.name or GROUPS:
        began = time.monotonic()
        for figure in GROUPS[name](chosen.quick, **more.get(name, {})):
            figures.append(figure)
            print(_line(figure), flush=True)
        print(f"({name}: {time.monotonic() - began:.0f} s)", flush=True)
    print(f"\n{table(figures)}")
    missed = [figure.name for figure in figures if not figure.kept]
    if missed:
        print(f"\nmissed: {'; '.join(missed)}")
    return 1 if missed else 0


def _line(figure: Figure) -> str:
    bound = "" if figure.bound is None else f" (bound {in_unit(figure.bound, figure.unit)})"
    told = f"{figure.statistic} {in_unit(figure.value, figure.unit)}{bound}"
    more = f"; {figure.compared}" if figure.compared else ""
    return f"{figure.result:4} {figure.name}: {told}; min / median / max {figure.spread}{more}"


def _machine() -> str:
    load = os.getloadavg()[0]
    python = platform.python_version()
    return f"{os.cpu_count()} cores, load {load:.1f}, Python {python}, Linux {platform.release()}"


if __name__ == "__main__":
    sys.exit(main())
