"""The configuration as a whole: its defaults, its precedence, its bounds, and what is refused."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from unittest import mock

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from traitlets import TraitError
from traitlets.config import Config

from jupyter_idle_culler.config.checks import refuse_misspelt_class
from jupyter_idle_culler.config.idle_culler import KINDS, TIMEOUT_VARIABLE, IdleCuller
from jupyter_idle_culler.config.quantities import TEN_YEARS_MINUTES
from jupyter_idle_culler.config.user_settings import UserSettings, unending
from jupyter_idle_culler.errors import ConfigurationError, OutOfBounds

TIMEOUTS = ("timeout_minutes", *(f"{kind}_timeout_minutes" for kind in KINDS))
minutes = st.one_of(st.just(0.0), st.floats(0.01, TEN_YEARS_MINUTES))
maybe = st.none() | minutes
users = st.builds(UserSettings, maybe, maybe, maybe, maybe, maybe)
given_timeouts = st.fixed_dictionaries({}, optional=dict.fromkeys(TIMEOUTS, minutes))


@contextmanager
def environment(value: str | None) -> Iterator[None]:
    """Set TIMEOUT_IN_MINS, or take it away."""
    with mock.patch.dict(os.environ):
        os.environ.pop(TIMEOUT_VARIABLE, None)
        if value is not None:
            os.environ[TIMEOUT_VARIABLE] = value
        yield


def configured(section: Mapping[str, object], variable: str | None = None) -> IdleCuller:
    """Make the configuration from a section of a file and the environment."""
    with environment(variable):
        return IdleCuller(config=Config({"IdleCuller": dict(section)}))


def timeouts(culler: IdleCuller, user: UserSettings | None = None) -> dict[str, float]:
    """Return each kind's timeout in minutes, as the policy has it."""
    policy = culler.policy(user or UserSettings())
    return {kind: getattr(policy, f"{kind}_timeout_seconds") / 60 for kind in KINDS}


def test_the_defaults_are_those_that_the_documentation_names() -> None:
    """Nothing configured: two hours, five minutes of warning, ten of grace, nothing is stopped."""
    culler = configured({})
    policy, settings = culler.policy(), culler.settings()
    assert timeouts(culler) == {"kernel": 120, "terminal": 120, "host": 120}
    assert (policy.warning_seconds, policy.startup_grace_seconds) == (300, 600)
    assert (policy.max_unattended_seconds, policy.max_quiet_seconds) == (86400, math.inf)
    assert policy.source_failure_grace_seconds == 1800
    assert (policy.ignore_connections, policy.cull_terminals) == (True, True)
    assert (policy.host_stops, policy.cull_on_unknown) == (False, False)
    assert settings.check_interval_seconds == 60
    assert settings.max_keep_alive_seconds == 86400
    assert (settings.cpu_threshold_percent, settings.tree_cpu_threshold_percent) == (5, 50)
    assert settings.io_threshold_bytes_per_second == 1024 * 1024
    assert (settings.gpu_threshold_percent, settings.hourly_price) == (1, None)
    assert "sshd" in settings.ignored_processes
    assert (settings.stop_action, settings.stop_command) == ("none", ())
    assert (settings.pre_stop_command, settings.pre_stop_timeout_seconds) == ((), 30)
    assert (settings.pre_stop_failure, settings.dry_run) == ("keep", False)
    assert settings.take_over_builtin_culling is False
    assert settings.record_presence_details is False
    assert settings.journal_path is None
    assert settings.journal_max_bytes == 5 * 1024 * 1024
    assert {"top", "less", "tail -f", "tmux"} <= set(settings.viewer_commands)
    assert {"python", "R", "psql", "vim"} <= set(settings.interactive_commands)
    assert culler.notices() == ()


@given(section=given_timeouts, variable=maybe, user=users)
def test_what_the_user_chose_wins_then_configuration_then_environment_then_default(
    section: dict[str, float], variable: float | None, user: UserSettings
) -> None:
    """With no bounds in the way the first of the four that says something holds."""
    text = None if variable is None else repr(variable)
    culler = configured({**section, "max_timeout_minutes": 0}, text)
    for kind, effective in timeouts(culler, user).items():
        name = f"{kind}_timeout_minutes"
        asked = [
            getattr(user, name),
            user.timeout_minutes,
            section.get(name),
            section.get("timeout_minutes"),
            variable,
            120.0,
        ]
        first = next(value for value in asked if value is not None)
        assert effective == pytest.approx(unending(first))


@given(low=maybe, high=maybe, section=given_timeouts, variable=maybe, user=users)
def test_no_setting_of_a_user_leaves_the_bounds(
    low: float | None,
    high: float | None,
    section: dict[str, float],
    variable: float | None,
    user: UserSettings,
) -> None:
    """Whatever is stored for a user, each timeout is within min and max; and it is said so."""
    bounds = {"min_timeout_minutes": low, "max_timeout_minutes": high}
    try:
        culler = configured({**section, **bounds}, None if variable is None else repr(variable))
    except ConfigurationError:
        assume(False)
    least, most = low or 0.0, math.inf if high is None else unending(high)
    notices = culler.notices(user)
    for kind, effective in timeouts(culler, user).items():
        assert least * (1 - 1e-9) <= effective <= most * (1 + 1e-9)
        asked = [getattr(user, f"{kind}_timeout_minutes"), user.timeout_minutes]
        chosen = next((unending(value) for value in asked if value is not None), None)
        if chosen is not None and not math.isclose(chosen, effective):
            assert any(f"user's {kind} timeout" in notice for notice in notices)


@given(admin=st.floats(1, 1000), factor=st.floats(0.01, 100), by_variable=st.booleans())
def test_without_a_maximum_the_timeout_that_the_administrator_gave_is_one(
    admin: float, factor: float, by_variable: bool
) -> None:
    """A user may choose less than the configured timeout, or the variable's, never more."""
    section = {} if by_variable else {"timeout_minutes": admin}
    culler = configured(section, repr(admin) if by_variable else None)
    wish = UserSettings(timeout_minutes=admin * factor)
    assert timeouts(culler, wish)["host"] == pytest.approx(min(admin, admin * factor))
    assert timeouts(culler, UserSettings(timeout_minutes=0))["host"] == pytest.approx(admin)


def test_without_any_timeout_of_the_administrator_a_user_may_choose_never() -> None:
    """The default binds nobody: it is ours, not the administrator's."""
    culler = configured({})
    assert timeouts(culler, UserSettings(timeout_minutes=0))["kernel"] == math.inf
    assert timeouts(culler, UserSettings(timeout_minutes=600))["host"] == 600


def test_a_default_beyond_the_bounds_gives_way_to_them_and_says_so() -> None:
    """An administrator who sets only a maximum of an hour gets an hour, not a refusal."""
    culler = configured({"max_timeout_minutes": 60})
    assert timeouts(culler) == {"kernel": 60, "terminal": 60, "host": 60}
    assert "default host timeout (120 minutes) must be at most 60 minutes" in culler.notices()[2]
    assert timeouts(configured({"min_timeout_minutes": 180}))["host"] == 180


@given(host=minutes, warning=minutes, grace=minutes, wish=maybe)
def test_warning_and_grace_are_at_most_half_the_host_timeout(
    host: float, warning: float, grace: float, wish: float | None
) -> None:
    """Neither can keep a host from ever stopping, whatever the administrator or user asks for."""
    culler = configured(
        {"host_timeout_minutes": host, "warning_minutes": warning, "startup_grace_minutes": grace}
    )
    policy = culler.policy(UserSettings(warning_minutes=wish))
    half = unending(host) * 60 / 2
    asked = warning if wish is None else max(wish, min(warning, 1.0))
    assert policy.warning_seconds == min(asked * 60, half)
    assert policy.startup_grace_seconds == min(grace * 60, half)


def test_zero_means_what_each_trait_says() -> None:
    """0 is never for timeouts and caps, but none at all for keep-alives and graces."""
    zeros = ("max_keep_alive_minutes", "max_unattended_minutes", "max_quiet_minutes")
    culler = configured(dict.fromkeys((*zeros, "warning_minutes", "timeout_minutes"), 0))
    policy = culler.policy()
    assert timeouts(culler) == dict.fromkeys(KINDS, math.inf)
    assert culler.settings().max_keep_alive_seconds == 0
    assert (policy.max_unattended_seconds, policy.max_quiet_seconds) == (math.inf, math.inf)
    assert policy.warning_seconds == 0


@pytest.mark.parametrize("action", ["server", "command"])
def test_the_host_stops_only_where_an_action_is_chosen(action: str) -> None:
    """auto and none stop kernels and terminals alone on a plain machine."""
    section = {"stop_action": action, "stop_command": ["true"] if action == "command" else []}
    assert configured(section).policy().host_stops
    assert configured(section).settings().stop_action == action
    for other in ("auto", "none"):
        assert not configured({"stop_action": other}).policy().host_stops


METADATA = Path(__file__).parent / "fixtures" / "metadata"


@pytest.mark.parametrize(
    ("metadata", "action", "resolved"),
    [
        ("notebook-instance", "auto", "notebook-instance"),
        ("notebook-instance", "notebook-instance", "notebook-instance"),
        ("jupyterlab-space", "auto", "studio-app"),
        ("unified-studio", "studio-app", "studio-app"),
        ("studio-classic", "auto", "none"),
        ("notebook-instance", "none", "none"),
        ("jupyterlab-space", "server", "server"),
    ],
)
def test_auto_stops_what_the_metadata_names(metadata: str, action: str, resolved: str) -> None:
    """A notebook instance, an app, or nothing; a choice of the administrator's stands."""
    path = str(METADATA / f"{metadata}.json")
    culler = configured({"stop_action": action, "metadata_path": path})
    assert culler.settings().stop_action == culler.resolved_stop_action == resolved
    assert culler.policy().host_stops == (resolved != "none")
    assert culler.environment_problem == ""
    assert culler.settings().environment == culler.environment


@pytest.mark.parametrize(
    ("metadata", "action", "says"),
    [
        ("notebook-instance", "studio-app", "this is a SageMaker notebook instance"),
        ("shared-space", "notebook-instance", "this is a JupyterLab space"),
        ("studio-classic", "studio-app", "this is SageMaker Studio Classic"),
        ("missing", "studio-app", "does not exist"),
        ("missing", "auto", "does not exist"),
    ],
)
def test_an_action_that_cannot_be_done_here_stops_nothing_and_is_told(
    metadata: str, action: str, says: str
) -> None:
    """No refused start: people could not work. Nothing is stopped, and the problem is named."""
    path = str(METADATA / f"{metadata}.json")
    culler = configured({"stop_action": action, "metadata_path": path})
    assert culler.resolved_stop_action == "none"
    assert says in culler.environment_problem


@pytest.mark.parametrize("text", ["", "  ", "45", " 45.0 ", "4.5e1"])
def test_the_variable_is_a_number_or_empty(text: str) -> None:
    """Empty counts as unset; spaces around a number do no harm."""
    assert timeouts(configured({}, text))["host"] == (45 if text.strip() else 120)


@pytest.mark.parametrize("text", ["abc", "-1", "nan", "inf", "1e9", "60 # an hour", "0x3c", "1h"])
def test_a_variable_that_is_no_number_of_minutes_is_refused(text: str) -> None:
    """The refusal names the variable, the value and the rule."""
    with pytest.raises(
        ConfigurationError, match=r"TIMEOUT_IN_MINS = .*must be a number of min"
    ) as e:
        configured({}, text)
    assert text in str(e.value)


def test_a_variable_that_configuration_overrules_is_not_read() -> None:
    """What is not used cannot keep a server from starting."""
    assert timeouts(configured({"timeout_minutes": 7}, "abc"))["host"] == 7


BAD = [
    *[(name, value) for name in TIMEOUTS for value in (-3, math.nan, math.inf, 1e8, "60", True)],
    ("warning_minutes", -0.1),
    ("check_interval_seconds", 0),
    ("check_interval_seconds", 3601),
    ("cpu_threshold_percent", 0),
    ("io_threshold_bytes_per_second", -1),
    ("hourly_price", -0.01),
    ("hourly_price", math.nan),
    ("journal_max_bytes", 10),
    ("journal_max_bytes", 5e6),
    ("timeout_minutes", [60]),
    ("timeout_minutes", None),
    ("max_keep_alive_minutes", 10**400),
    ("pre_stop_timeout_seconds", 0),
    ("viewer_commands", ["top", ""]),
    ("viewer_commands", [3]),
    ("stop_command", {"a": 1}),
    ("heartbeat_files", ["relative/path"]),
    ("journal_path", "a\0b"),
    ("metadata_path", ""),
    ("stop_action", "reboot"),
    ("stop_action", "command"),
    ("pre_stop_failure", "ignore"),
    ("pre_stop_command", "sync --all /home"),
    ("cull_terminals", "perhaps"),
    ("dry_run", "yes"),
    ("write_sagemaker_activity_file", "sometimes"),
]


@pytest.mark.parametrize(("trait", "value"), BAD, ids=[f"{t}={str(v)[:20]}" for t, v in BAD])
def test_a_bad_value_is_refused_by_its_name(trait: str, value: object) -> None:
    """Every value that breaks a rule is refused with a message that names the trait."""
    name = "stop_command" if (trait, value) == ("stop_action", "command") else trait
    with pytest.raises((TraitError, ConfigurationError), match=name) as refused:
        configured({trait: value})
    if not isinstance(value, list | dict) and name == trait:
        assert repr(value)[1:-1][:20] in str(refused.value)


@pytest.mark.parametrize(
    ("section", "words"),
    [
        ({"min_timeout_minutes": 60, "max_timeout_minutes": 30}, "min_timeout_minutes = 60"),
        ({"max_timeout_minutes": 60, "timeout_minutes": 90}, r"timeout_minutes = 90.*at most 60"),
        ({"max_timeout_minutes": 60, "timeout_minutes": 0}, r"timeout_minutes = 0.*at most 60"),
        ({"min_timeout_minutes": 60, "kernel_timeout_minutes": 5}, r"kernel_.* = 5.*at least 60"),
        ({"stop_command": ["halt"]}, r"stop_action = 'auto': must be 'command'"),
    ],
)
def test_values_that_contradict_each_other_are_refused(
    section: dict[str, object], words: str
) -> None:
    """A minimum above the maximum, a timeout outside them, a stop command that nothing runs."""
    with pytest.raises(ConfigurationError, match=words):
        configured(section)


def test_a_variable_outside_the_configured_bounds_is_refused_by_its_name() -> None:
    """The one who set the variable must find its name in the line."""
    with pytest.raises(ConfigurationError, match=r"TIMEOUT_IN_MINS = 90: must be at most 60 min"):
        configured({"max_timeout_minutes": 60}, "90")


def test_a_name_that_is_no_trait_is_refused_with_the_one_that_was_meant() -> None:
    """A slip in a name would leave the default standing, and nobody would know."""
    with pytest.raises(ConfigurationError, match="did you mean timeout_minutes"):
        configured({"timeout_minuts": 5})
    with pytest.raises(ConfigurationError, match=r"IdleCuller\.colour: there is no such trait"):
        configured({"colour": "red"})


@pytest.mark.parametrize(
    "name", ["IdleCullerr", "IdleCuler", "IdelCuller", "IdleCullar", "Idleculler", "Idle_Culler"]
)
def test_a_class_that_is_one_slip_away_is_refused(name: str) -> None:
    """A letter too much, too few, wrong or swapped, or the case: nobody else can be meant."""
    with pytest.raises(ConfigurationError, match=f"{name}.timeout_minutes: .* IdleCuller"):
        refuse_misspelt_class(Config({name: {"timeout_minutes": 5}}), ["IdleCuller"])


@pytest.mark.parametrize(
    "name", ["IdleCuller", "IdleCullerApp", "MyIdleCuller", "Culler", "IdleCull", "ServerApp"]
)
def test_what_may_be_anothers_class_is_left_alone(name: str) -> None:
    """Only a slip is refused, and not even that where such a class is loaded or nothing is set."""
    refuse_misspelt_class(Config({name: {"timeout_minutes": 5}}), ["IdleCuller"])
    refuse_misspelt_class(Config({"IdleCullers": {"limit": 5}}), ["IdleCuller", "IdleCullers"])
    looked_at = Config()
    assert not looked_at.IdleCullerr
    refuse_misspelt_class(looked_at, ["IdleCuller"])


def test_a_number_that_a_file_only_looked_at_counts_as_not_given() -> None:
    """Reading `c.IdleCuller.timeout_minutes` leaves a lazy value behind, which gives no timeout."""
    config = Config()
    assert config.IdleCuller.timeout_minutes is not None
    config.IdleCuller.viewer_commands.append("bmon")
    with environment(None):
        culler = IdleCuller(config=config)
    assert {"top", "bmon"} <= set(culler.settings().viewer_commands)
    assert timeouts(culler, UserSettings(timeout_minutes=0))["host"] == math.inf


def test_a_change_of_a_user_is_checked_as_a_whole() -> None:
    """One wrong value leaves the others unchanged too, and the error names it."""
    culler = configured({"timeout_minutes": 60, "min_timeout_minutes": 10})
    user, bounds = UserSettings(kernel_timeout_minutes=20), culler.user_bounds()
    changed = user.changed({"timeout_minutes": 30, "kernel_timeout_minutes": None}, bounds)
    assert changed == UserSettings(timeout_minutes=30)
    for changes, error, field in (
        ({"timeout_minutes": 61}, OutOfBounds, "timeout_minutes"),
        ({"timeout_minutes": 0}, OutOfBounds, "timeout_minutes"),
        ({"warning_minutes": 1, "host_timeout_minutes": 9}, OutOfBounds, "host_timeout_minutes"),
        ({"timeout_minutes": "30"}, ConfigurationError, "timeout_minutes"),
        ({"warning_minutes": 0}, OutOfBounds, "warning_minutes"),
        ({"warning_minutes": 0.5}, OutOfBounds, "warning_minutes"),
        ({"warning_minutes": True}, ConfigurationError, "warning_minutes"),
        ({"warning_minutes": math.nan}, ConfigurationError, "warning_minutes"),
        ({"dry_run": 1}, ConfigurationError, "dry_run"),
    ):
        with pytest.raises(error, match=field) as refused:
            user.changed(changes, bounds)
        assert refused.value.field == field  # type: ignore[attr-defined]


def test_nobody_takes_a_warning_away_from_the_others() -> None:
    """A user may lengthen it, or shorten it to a minute; less only where the administrator did."""
    usual, short = configured({"host_timeout_minutes": 60}), configured({"warning_minutes": 0.25})
    none = UserSettings(warning_minutes=0.0)
    assert usual.policy(none).warning_seconds == 60
    assert usual.policy(UserSettings(warning_minutes=20.0)).warning_seconds == 1200
    assert short.policy(none).warning_seconds == 15


def test_each_setting_says_where_it_comes_from_and_how_far_it_may_go() -> None:
    """What the interface shows beside a choice: its source, and the bounds of a user."""
    culler = configured({"kernel_timeout_minutes": 30, "min_timeout_minutes": 5}, "60")
    found = {
        name: (culler.source_of(name), bound.minimum, bound.maximum)
        for name, bound in culler.user_bounds().items()
    }
    assert found == {
        "timeout_minutes": ("environment", 5, 60),
        "kernel_timeout_minutes": ("configuration", 5, 30),
        "terminal_timeout_minutes": ("environment", 5, 60),
        "host_timeout_minutes": ("environment", 5, 60),
        "warning_minutes": ("default", 1, math.inf),
    }
    assert culler.source_of("warning_minutes") == "default"
    assert configured({"timeout_minutes": 9}).source_of("host_timeout_minutes") == "configuration"
    assert configured({}).source_of("host_timeout_minutes") == "default"


def test_every_trait_has_a_help_that_says_what_it_is() -> None:
    """`--help-all` explains each trait: a sentence, and an example or what its values mean."""
    for name, trait in IdleCuller.class_traits(config=True).items():
        text = trait.help
        assert len(text) > 40, name
        assert text.lstrip()[0].isupper(), name
        assert name in IdleCuller.class_get_help()
        if name.endswith(("_minutes", "_seconds", "_percent")):
            assert "xample: " in text, name
