"""The configuration, `c.IdleCuller.*`, as the rest of the package asks for it.

The traits are in `traits`, the checks in `checks`, and what users may choose for
themselves in `user_settings`.
"""

from __future__ import annotations

import math
import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from jupyter_core.application import JupyterApp
from jupyter_core.paths import jupyter_data_dir
from traitlets import TraitError
from traitlets.config import Config, Configurable, LoggingConfigurable
from traitlets.config.loader import LazyConfigValue

from ..core.model import Policy
from ..environment import Environment, detect
from ..errors import ConfigurationError
from . import checks
from .traits import ConfigurationTraits
from .user_settings import Bound, UserSettings, in_words, unending

KINDS = ("kernel", "terminal", "host")
_TIMEOUTS = ("timeout_minutes", *(f"{kind}_timeout_minutes" for kind in KINDS))
LEAST_WARNING_MINUTES = 1.0
"""A user's own warning is no shorter, unless the administrator's is."""

TIMEOUT_VARIABLE = "TIMEOUT_IN_MINS"
AWS_ACTIONS = ("notebook-instance", "studio-app")
"""The stop actions that ask AWS."""


@dataclass(frozen=True)
class Settings:
    """What the configuration asks for beside the `Policy`; checked, nothing left to interpret.

    ``stop_action`` is what is really done: anything but ``auto``. ``environment`` is where we run.
    ``max_keep_alive_seconds`` 0 means that nobody may ask for one. ``hourly_price`` None: unknown.
    ``journal_path`` None: the one that each server has in the Jupyter data directory.
    ``write_sagemaker_activity_file`` None: where SageMaker's own idle shutdown runs.
    """

    check_interval_seconds: float
    max_keep_alive_seconds: float
    cpu_threshold_percent: float
    tree_cpu_threshold_percent: float
    io_threshold_bytes_per_second: float
    gpu_threshold_percent: float
    viewer_commands: tuple[str, ...]
    interactive_commands: tuple[str, ...]
    ignored_processes: tuple[str, ...]
    heartbeat_files: tuple[Path, ...]
    environment: Environment
    stop_action: str
    stop_command: tuple[str, ...]
    pre_stop_command: tuple[str, ...]
    pre_stop_timeout_seconds: float
    pre_stop_failure: Literal["keep", "stop"]
    take_over_builtin_culling: bool
    dry_run: bool
    metadata_path: Path
    write_sagemaker_activity_file: bool | None
    sagemaker_activity_path: Path
    sign_of_life: bool
    hourly_price: float | None
    record_presence_details: bool
    journal_path: Path | None
    journal_max_bytes: int
    user_settings_path: Path


class IdleCuller(ConfigurationTraits, LoggingConfigurable):
    """Stops kernels, terminals and, where asked, the host, once they have been idle for long.

    Minutes and seconds may have fractions. A value that breaks its rule, or a name that does not
    exist, ends the start of the server with one line that says so.
    """

    def __init__(self, **kwargs: Any) -> None:
        self._given: frozenset[str] = frozenset()
        super().__init__(**kwargs)
        self._given |= frozenset(name for name in kwargs if name in self.trait_names(config=True))
        variable = os.environ.get(TIMEOUT_VARIABLE, "").strip()
        self._timeout_from = ""
        if "timeout_minutes" in self._given:
            self._timeout_from = "IdleCuller.timeout_minutes"
        elif variable:
            self.timeout_minutes = checks.minutes_from(TIMEOUT_VARIABLE, variable)
            self._timeout_from = TIMEOUT_VARIABLE
        checks.check(self)
        aws = self.stop_action in AWS_ACTIONS
        self.environment = detect(
            str(Path(self.metadata_path).expanduser()),
            expected=aws or "metadata_path" in self._given,
        )

    def _load_config(self, cfg: Config, *args: Any, **kwargs: Any) -> None:
        """Refuse what traitlets would only warn of, and note what is configured.

        A number that a configuration file only looked at is in the section too, as a
        LazyConfigValue: that gives none. (For lists it may add some; nobody asks here for those.)
        """
        section: Mapping[str, object] = self._find_my_config(cfg)
        known = self.trait_names(config=True)
        checks.refuse_unknown(section, known)
        super()._load_config(cfg, *args, **kwargs)
        self._given = frozenset(
            name
            for name in known
            if name in section
            and section[name] is not None
            and not isinstance(section[name], LazyConfigValue)
        )

    def given_timeout(self, name: str) -> tuple[float, str]:
        """Return the administrator's timeout, and who gives it ("": it is the default).

        ``name`` is a setting; where a kind has none of its own that for everything holds.
        """
        if name in self._given:
            return float(getattr(self, name)), f"IdleCuller.{name}"
        return float(self.timeout_minutes), self._timeout_from

    def source_of(self, setting: str) -> str:
        """Say where a setting's value comes from, the user's own choice aside.

        Returns ``configuration``, ``environment`` or ``default``.
        """
        follows = setting in _TIMEOUTS and setting not in self._given
        giver = self._timeout_from if follows else f"IdleCuller.{setting}"
        if giver == TIMEOUT_VARIABLE:
            return "environment"
        return "configuration" if setting in self._given or (follows and giver) else "default"

    def bounds(self) -> dict[str, Bound]:
        """Return what bounds each timeout, a user's and the administrator's, by its name."""
        low, high = self.min_timeout_minutes or 0.0, self.max_timeout_minutes
        low_from, high_from = "IdleCuller.min_timeout_minutes", "IdleCuller.max_timeout_minutes"
        bounds = {}
        for name in _TIMEOUTS:
            minutes, giver = self.given_timeout(name)
            if high is not None:
                bounds[name] = Bound(low, unending(high), low_from, high_from)
            elif giver:
                bounds[name] = Bound(low, unending(minutes), low_from, giver)
            else:
                bounds[name] = Bound(low, math.inf, low_from)
        return bounds

    def warning_bound(self) -> Bound:
        """Return what bounds a user's warning: on a shared server it is the others' warning too."""
        least = min(self.warning_minutes, LEAST_WARNING_MINUTES)
        return Bound(least, math.inf, "IdleCuller.warning_minutes", zero_is_never=False)

    def user_bounds(self) -> dict[str, Bound]:
        """Return what bounds each setting of a user, by its name."""
        return {**self.bounds(), "warning_minutes": self.warning_bound()}

    def timeout_for(self, kind: str, user: UserSettings) -> tuple[float, str]:
        """Return the minutes that hold for a kind (``math.inf``: never), and a notice or "".

        The user's own setting for the kind wins over their setting for everything, that over the
        configuration, that over the environment, that over the default. A notice says where a
        bound changed what was asked for: a stored choice from before the bound, or the default.
        """
        name = f"{kind}_timeout_minutes"
        bound, own = self.bounds()[name], getattr(user, name)
        chosen = user.timeout_minutes if own is None else own
        asked = self.given_timeout(name)[0] if chosen is None else chosen
        if bound.holds(asked):
            return unending(asked), ""
        minutes = bound.clamp(asked)
        whose = "default" if chosen is None else "user's"
        notice = (
            f"The {whose} {kind} timeout ({in_words(asked)}) {bound.rule(asked)}: "
            f"{in_words(minutes)} holds"
        )
        return minutes, notice

    def notices(self, user: UserSettings = UserSettings()) -> tuple[str, ...]:  # noqa: B008 - frozen
        """Return the sentences that say which timeouts a bound changed."""
        return tuple(filter(None, (self.timeout_for(kind, user)[1] for kind in KINDS)))

    def policy(self, user: UserSettings = UserSettings()) -> Policy:  # noqa: B008 - frozen
        """Return what is to be decided by, the user's own settings within the bounds."""
        kernel, terminal, host = (self.timeout_for(kind, user)[0] * 60.0 for kind in KINDS)
        warning = self.warning_minutes
        if user.warning_minutes is not None:
            warning = self.warning_bound().clamp(user.warning_minutes)
        return Policy(
            kernel_timeout_seconds=kernel,
            terminal_timeout_seconds=terminal,
            host_timeout_seconds=host,
            host_stops=self.resolved_stop_action != "none",
            warning_seconds=min(warning * 60.0, host / 2),
            startup_grace_seconds=min(self.startup_grace_minutes * 60.0, host / 2),
            max_unattended_seconds=unending(self.max_unattended_minutes) * 60.0,
            max_quiet_seconds=unending(self.max_quiet_minutes) * 60.0,
            source_failure_grace_seconds=self.source_failure_grace_minutes * 60.0,
            ignore_connections=self.ignore_connections,
            cull_terminals=self.cull_terminals,
            cull_on_unknown=self.cull_on_unknown,
        )

    @property
    def resolved_stop_action(self) -> str:
        """Return what stops the host here: one of the stop actions but ``auto``."""
        action = str(self.stop_action)
        if action == "auto":
            return self.environment.stop_action
        if action in AWS_ACTIONS and action != self.environment.stop_action:
            return "none"
        return action

    @property
    def environment_problem(self) -> str:
        """Say why the host is not stopped as it should be; empty where it is."""
        if self.stop_action not in ("auto", *AWS_ACTIONS):
            return ""
        if self.stop_action != "auto" and self.resolved_stop_action == "none":
            here = self.environment.warning or f"this is {self.environment.in_words}"
            return f"stop_action = {self.stop_action!r} stops nothing: {here}"
        return self.environment.warning

    def settings(self) -> Settings:
        """Return everything that is not part of the `Policy`."""
        activity = self.write_sagemaker_activity_file
        return Settings(
            check_interval_seconds=self.check_interval_seconds,
            max_keep_alive_seconds=self.max_keep_alive_minutes * 60.0,
            cpu_threshold_percent=self.cpu_threshold_percent,
            tree_cpu_threshold_percent=self.tree_cpu_threshold_percent,
            io_threshold_bytes_per_second=self.io_threshold_bytes_per_second,
            gpu_threshold_percent=self.gpu_threshold_percent,
            viewer_commands=tuple(self.viewer_commands),
            interactive_commands=tuple(self.interactive_commands),
            ignored_processes=tuple(self.ignored_processes),
            heartbeat_files=tuple(Path(name).expanduser() for name in self.heartbeat_files),
            environment=self.environment,
            stop_action=self.resolved_stop_action,
            stop_command=tuple(self.stop_command),
            pre_stop_command=tuple(self.pre_stop_command),
            pre_stop_timeout_seconds=self.pre_stop_timeout_seconds,
            pre_stop_failure="stop" if self.pre_stop_failure == "stop" else "keep",
            take_over_builtin_culling=self.take_over_builtin_culling,
            dry_run=self.dry_run,
            metadata_path=Path(self.metadata_path).expanduser(),
            write_sagemaker_activity_file=None if activity == "auto" else bool(activity),
            sagemaker_activity_path=Path(self.sagemaker_activity_path).expanduser(),
            sign_of_life=self.sign_of_life,
            hourly_price=self.hourly_price,
            record_presence_details=self.record_presence_details,
            journal_path=Path(self.journal_path).expanduser() if self.journal_path else None,
            journal_max_bytes=self.journal_max_bytes,
            user_settings_path=Path(jupyter_data_dir()) / "idle_culler" / "settings.json",
        )


def _configurable_classes() -> frozenset[str]:
    """Name every class loaded here that a configuration may be meant for."""
    found, waiting = set(), [Configurable]
    while waiting:
        for each in waiting.pop().__subclasses__():
            if each.__name__ not in found:
                found.add(each.__name__)
                waiting.append(each)
    return frozenset(found)


def load_or_refuse(app: JupyterApp) -> IdleCuller:
    """Make the configuration from an application's, or end the process with one line.

    An exception inside an extension's load would only be logged, and the server would run on
    without its culler: so a bad value ends it.

    Raises: SystemExit: a value breaks its rule, or a name does not exist; stderr says which.
    """
    try:
        checks.refuse_misspelt_class(app.config, _configurable_classes())
        return IdleCuller(parent=app)
    except (TraitError, ConfigurationError) as error:
        sys.stderr.write(f"jupyter_idle_culler: {checks.one_line(error)}\n")
        sys.stderr.flush()
        raise SystemExit(1) from error
