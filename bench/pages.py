"""What two pages did, compared: time spent in files of ours, and what only one of them sent."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

_PHASES = 2
"""Polls of the same pause need not fall into the same seconds."""


def milliseconds_of(profile: Mapping[str, Any], files: str) -> float:
    """Return for how long a function of these files was on the stack, whatever it had called.

    https://chromedevtools.github.io/devtools-protocol/tot/Profiler/#type-Profile
    """
    inside = set()
    for node in profile["nodes"]:  # each stands before those that it called
        if files in node["callFrame"]["url"] or node["id"] in inside:
            inside |= {node["id"], *node.get("children", ())}
    samples = zip(profile["samples"], [*profile["timeDeltas"][1:], 0], strict=True)
    microseconds: int = sum(lasted for node, lasted in samples if node in inside)
    return microseconds / 1000


def beyond(plain: Counter[str], ours: Counter[str]) -> Counter[str]:
    """Return what was sent that a plain lab did not send, or sent less often."""
    return Counter(
        {
            kind: count - plain[kind]
            for kind, count in ours.items()
            if count > plain[kind] + (_PHASES if kind in plain else 0)
        }
    )
