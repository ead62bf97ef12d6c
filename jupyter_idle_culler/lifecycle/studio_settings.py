"""What a Studio domain or user profile says of lifecycle configurations, before and after."""

from __future__ import annotations

import copy
from typing import Any

ARNS, SPEC, DEFAULT = "LifecycleConfigArns", "DefaultResourceSpec", "LifecycleConfigArn"

Settings = dict[str, Any]


def name_of(arn: str) -> str:
    """Return the name of a configuration."""
    return arn.rpartition("/")[2]


def default_of(settings: Settings, app_type: str) -> str:
    """Return the ARN of the configuration that runs by default; empty where none does."""
    found = settings.get(f"{app_type}AppSettings", {}).get(SPEC, {}).get(DEFAULT) or ""
    return "" if found == "None" else str(found)


def listed_in(settings: Settings, app_type: str) -> list[str]:
    """Return the ARNs of those that may be chosen."""
    return list(settings.get(f"{app_type}AppSettings", {}).get(ARNS) or [])


def with_default(settings: Settings, app_type: str, arn: str) -> Settings:
    """Return settings in which a configuration is listed and runs by default; all else stays."""
    changed = copy.deepcopy(settings)
    app = changed.setdefault(f"{app_type}AppSettings", {})
    spec = app.setdefault(SPEC, {})  # the API wants it beside the list
    if app_type == "JupyterServer":
        spec.setdefault("InstanceType", "system")  # the only one that it runs on
    spec[DEFAULT] = arn
    app[ARNS] = [*listed_in(settings, app_type)]
    if arn not in app[ARNS]:
        app[ARNS].append(arn)
    return changed


def without(settings: Settings, app_type: str, arn: str, instead: str = "") -> Settings:
    """Return settings without a configuration; ``instead`` runs by default where it did."""
    changed = copy.deepcopy(settings)
    app = changed.setdefault(f"{app_type}AppSettings", {})
    spec = app.setdefault(SPEC, {})
    # An empty list is how the API is told that there is none any more.
    app[ARNS] = [one for one in listed_in(settings, app_type) if one != arn]
    if default_of(settings, app_type) == arn:
        spec.pop(DEFAULT, None)
        if instead:
            spec[DEFAULT] = instead
            if instead not in app[ARNS]:
                app[ARNS].append(instead)
    return changed
