"""The scripts that set autostop up, as root and as a user with sudo, where things are missing."""

from __future__ import annotations

import hashlib
import random
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

import build_autostop

from ..old_pythons import beside
from .scripts import AUTOSTOPS, Machine, Script, name_of, packed, recorder_wheel
from .throwaway_root import ROOT, can_be_made, wait_until

pytestmark = pytest.mark.skipif(not can_be_made(), reason="needs root and overlayfs")
CRON_FILE = "/etc/cron.d/jupyter-idle-culler"
BY_ITS_USER = [AUTOSTOPS[0], *AUTOSTOPS[3:]]
"""Fewer, for what takes long: each script as it is usually run, and one as root."""

every_script = pytest.mark.parametrize("script", AUTOSTOPS, ids=name_of)
WITH_CRON = [script for script in AUTOSTOPS if "classic" not in script.path]


@pytest.fixture
def machine() -> Iterator[Machine]:
    """Give a machine to throw away."""
    with Machine() as machine:
        yield machine


def expected_words(script: Script) -> list[str]:
    """Return the first five words that autostop must be called with by default."""
    if script.environment == "notebook-instance":
        return ["--time", "3600", "-c", "--state-file", "/run/jupyter-idle-culler/autostop.json"]
    seconds = "7200" if "classic" in script.path else "3600"
    return ["--environment", script.environment, "--time", seconds, "-c"]


@pytest.mark.parametrize("script", WITH_CRON, ids=name_of)
def test_where_cron_runs_one_file_of_our_own_tells_it(machine: Machine, script: Script) -> None:
    """It has the right mode and owner and a newline at its end; nobody's crontab is touched."""
    machine.write("/var/spool/cron/crontabs/ec2-user", "0 1 * * * true\n", 0o600, "ec2-user")
    before = machine.read("/var/spool/cron/crontabs/ec2-user")
    machine.start_cron()
    ran = machine.attach(script, AUTOSTOP=packed())
    assert (ran.returncode, ran.stdout.count("\n")) == (0, 1), ran.stdout
    assert "set up: cron" in ran.stdout
    place = machine.path / CRON_FILE.lstrip("/")
    status = place.stat()
    assert (status.st_mode & 0o777, status.st_uid, status.st_gid) == (0o644, 0, 0)
    text = machine.read(CRON_FILE)
    assert text.endswith("\n")
    assert [path.name for path in place.parent.iterdir()] == ["jupyter-idle-culler"]
    user = "root" if "instance" in script.path else script.user
    start = "" if "instance" in script.path else "cd / && "
    assert text.splitlines()[1].startswith(f"* * * * * {user} {start}/")
    assert machine.read("/var/spool/cron/crontabs/ec2-user") == before
    # What cron would run does run, by the user that it names.
    command = text.splitlines()[1].split(" ", 6)[6]
    machine.shell(command, user=user)
    (run,) = machine.runs()
    assert run["words"][:5] == expected_words(script)


@pytest.mark.parametrize("cron", [True, False], ids=["cron", "background"])
def test_a_file_of_the_user_is_no_module_of_python(
    machine: Machine, tmp_path: Path, cron: bool
) -> None:
    """Out of the wheel, in a home that holds a ``json.py`` of the user's."""
    machine.index(recorder_wheel(tmp_path))
    script = next(s for s in WITH_CRON if s.user == "sagemaker-user")
    machine.write("/home/sagemaker-user/json.py", "raise SystemExit\n", user=script.user)
    machine.write("/tmp/lifecycle/script.sh", script.text, 0o755, script.user)
    if cron:
        machine.start_cron()
    machine.shell("cd; exec bash /tmp/lifecycle/script.sh", user=script.user)
    machine.settle(script)
    if cron:
        command = machine.read(CRON_FILE).splitlines()[1].split(" ", 6)[6]
        machine.shell(f"cd; {command}", user=script.user)
    run, *_ = wait_until(machine.runs, "a run")
    assert run["words"][:5] == expected_words(script)


@pytest.mark.parametrize("pair", [(0, 4), (3, 1)], ids=["instance-root", "instance-sudo"])
def test_a_real_cron_fires_the_file(machine: Machine, pair: tuple[int, int]) -> None:
    """Within two minutes autostop has run, as the user that the file names."""
    machine.start_cron()
    script = AUTOSTOPS[pair[0]]
    machine.attach(script, AUTOSTOP=packed())
    (run,) = wait_until(machine.runs, "a run by cron", 130)[:1]
    assert run["words"][:5] == expected_words(script)
    assert run["uid"] == 0
    assert machine.stderr(script) == ""


def test_cron_fires_what_a_user_of_a_space_set_up(machine: Machine) -> None:
    """In a Code Editor space it runs as that user, in whose home it keeps its state."""
    machine.start_cron()
    script = next(s for s in WITH_CRON if s.user == "sagemaker-user")
    machine.attach(script, AUTOSTOP=packed())
    (run,) = wait_until(machine.runs, "a run by cron", 130)[:1]
    assert run["words"][:5] == expected_words(script)
    assert run["uid"] != 0
    assert machine.stderr(script) == ""


@pytest.mark.parametrize("script", [s for s in AUTOSTOPS if "instance" in s.path], ids=name_of)
@pytest.mark.parametrize(
    ("schedule", "every"),
    [("* * * * *", "1min"), ("*/5 * * * *", "5min"), ("0 * * * *", "60min")],
)
def test_without_cron_a_systemd_timer_runs_it(
    machine: Machine, script: Script, schedule: str, every: str
) -> None:
    """It is asked for a timer, in place of one of an earlier run, that lasts until the next start.

    No systemd runs here: a stand-in notes what it is asked, and runs the command as systemd would.
    """
    asked = '#!/bin/sh\necho "${0##*/} $*" >>/var/tmp/systemd\n'
    machine.write("/usr/local/bin/systemctl", asked + "exit 5\n", mode=0o755)
    runs = 'while [ "${1#-}" != "$1" ]; do shift 2; done\nexec "$@"\n'
    machine.write("/usr/local/bin/systemd-run", asked + runs, mode=0o755)
    ran = machine.attach(script, AUTOSTOP=packed(), CRON_SCHEDULE=schedule)
    assert ran.returncode == 0
    assert "set up: systemd timer" in ran.stdout, ran.stdout
    stop, start = machine.read("/var/tmp/systemd").splitlines()
    assert stop == "systemctl stop jupyter-idle-culler.timer"
    timer = f"systemd-run --unit jupyter-idle-culler --on-active 60 --on-unit-active {every} /usr/"
    assert start.startswith(timer), start
    for span in ("60", every):
        assert machine.run("systemd-analyze", "timespan", span).returncode == 0
    assert machine.runs()[0]["words"][:5] == expected_words(script)
    assert machine.read(CRON_FILE) == ""


@every_script
def test_without_cron_and_systemd_it_stays_in_the_background_once(
    machine: Machine, script: Script
) -> None:
    """A second run of the script starts no second one; cron's folder stays empty."""
    machine.shell("rm -f /usr/bin/systemctl /usr/bin/systemd-run /usr/sbin/cron")
    ran = machine.attach(script, AUTOSTOP=packed())
    assert ran.returncode == 0
    assert "set up: background" in ran.stdout, ran.stdout
    (run,) = wait_until(machine.runs, "the loop")
    assert run["words"][:5] == expected_words(script)
    assert run["words"][-2:] == ["--every", "60"]
    again = machine.attach(script, AUTOSTOP=packed())
    assert again.returncode == 0
    assert "at it already" in again.stdout
    time.sleep(0.5)
    assert len(machine.runs()) == 1
    assert len(machine.processes("--every 60")) == 1
    assert machine.read(CRON_FILE) == ""


@every_script
@pytest.mark.parametrize("form", ["inlined", "index"])
def test_a_second_run_changes_nothing(
    machine: Machine, script: Script, form: str, tmp_path: Path
) -> None:
    """Every file that either run wrote is the same byte for byte, with its mode and owner."""
    if "classic" not in script.path:
        machine.start_cron()
    machine.index(recorder_wheel(tmp_path))
    parameters = {"AUTOSTOP": packed()} if form == "inlined" else {}
    machine.attach(script, **parameters)
    assert "set up" in machine.settle(script)
    before = machine.tree()
    second = machine.attach(script, **parameters)
    assert second.returncode == 0
    time.sleep(0.5)
    changed = {
        path
        for path, what in (before.items() ^ machine.tree().items())
        if not path.endswith(".log")
    }
    assert changed == set()


@every_script
def test_an_interrupted_run_is_made_good_by_the_next(
    machine: Machine, script: Script, tmp_path: Path
) -> None:
    """Killed at any instant, another run ends where an undisturbed one does."""
    wheel = recorder_wheel(tmp_path)
    machine.index(wheel)
    machine.write("/tmp/lifecycle/script.sh", script.filled(), 0o755, script.user)
    chance = random.Random(script.path)  # noqa: S311 - instants, not secrets
    for _ in range(6):
        started = machine.start("/bin/bash", "/tmp/lifecycle/script.sh", user=script.user)
        time.sleep(chance.uniform(0.02, 0.9))
        machine.kill_all()
        started.wait(10)
    if "classic" not in script.path:
        machine.start_cron()
    machine.attach(script)
    assert "set up" in machine.settle(script).splitlines()[-1]
    disturbed = {path: what for path, what in machine.tree().items() if ".log" not in path}
    with Machine() as other:
        other.index(wheel)
        if "classic" not in script.path:
            other.start_cron()
        other.attach(script)
        assert "set up" in other.settle(script).splitlines()[-1]
        calm = {path: what for path, what in other.tree().items() if ".log" not in path}
    left = {p for p in disturbed if disturbed[p] != calm.get(p) and not p.endswith("stderr")}
    accounts = {p for p in left if p.startswith("etc/shadow") or p.startswith("etc/.pwd")}
    assert left - accounts == set()
    assert calm.keys() <= disturbed.keys()


@pytest.mark.parametrize("script", BY_ITS_USER, ids=name_of)
def test_without_a_network_it_is_said_and_tried_again(
    machine: Machine, script: Script, tmp_path: Path
) -> None:
    """The foreground ends within ten seconds with 0; once the wheel can be had, it is set up."""
    machine.write(
        "/usr/local/bin/sleep",
        "#!/bin/sh\n[ $1 = .1 ] || set 2 # minutes between tries\nexec /bin/sleep $1\n",
        mode=0o755,
    )
    machine.write("/etc/pip.conf", "[global]\nretries = 0\n")
    began = time.monotonic()
    ran = machine.attach(script)
    assert ran.returncode == 0
    assert time.monotonic() - began < 10
    wait_until(lambda: "no wheel yet: again in 1 min" in machine.read(script.log), "a try")
    machine.index(recorder_wheel(tmp_path))
    assert "set up" in machine.settle(script)
    assert wait_until(machine.runs, "the loop")


@pytest.mark.parametrize("script", BY_ITS_USER, ids=name_of)
def test_a_slow_index_does_not_hold_the_foreground(machine: Machine, script: Script) -> None:
    """An index that takes the call and never answers: the script returns, and the log goes on."""
    machine.start(
        "python3",
        "-c",
        "import socket, time\ns = socket.create_server(('127.0.0.1', 8099))\ntime.sleep(600)",
    )
    time.sleep(0.5)
    began = time.monotonic()
    ran = machine.attach(script, INDEX_URL="http://127.0.0.1:8099/simple")
    assert time.monotonic() - began < 10
    assert ran.returncode == 0
    assert machine.processes("pip download")


@pytest.mark.parametrize("script", [s for s in AUTOSTOPS if s.user != "root"], ids=name_of)
def test_a_home_that_cannot_be_written_is_no_obstacle(machine: Machine, script: Script) -> None:
    """Spaces then keep their things in a folder of the user's own in /tmp."""
    machine.shell(
        f"mount --bind /home/{script.user} /home/{script.user} && "
        f"mount -o remount,ro,bind /home/{script.user}"
    )
    ran = machine.attach(script, AUTOSTOP=packed())
    assert ran.returncode == 0
    assert "set up: background" in ran.stdout, ran.stdout
    assert wait_until(machine.runs, "the loop")


@every_script
def test_a_python_without_boto3_is_good_enough_to_begin_with(
    machine: Machine, script: Script, tmp_path: Path
) -> None:
    """autostop looks for boto3 by itself; the script needs none to fetch and to start it."""
    machine.shell(f"mount -t tmpfs none {script.jupyter}; mount -t tmpfs none /home/ec2-user")
    assert machine.run("python3", "-c", "import boto3").returncode != 0
    machine.index(recorder_wheel(tmp_path))
    ran = machine.attach(script)
    assert ran.returncode == 0
    assert "set up" in machine.settle(script)
    (run,) = wait_until(machine.runs, "the loop")
    assert run["python"].startswith("/usr/bin/python3")


@every_script
def test_a_python_too_old_is_said_and_nothing_is_set_up(machine: Machine, script: Script) -> None:
    """3.6, a real one where this machine has it: one line, exit code 0."""
    machine.shell(f"mount -t tmpfs none {script.jupyter}; mount -t tmpfs none /home/ec2-user")
    old = beside(6)
    if old:
        machine.shell(f"ln -sf {old[0]} /usr/bin/python3")
    else:
        machine.remove("/usr/bin/python3")
        machine.write(
            "/usr/bin/python3", "#!/bin/sh\necho 'AssertionError: 3.6' >&2\nexit 1\n", 0o755
        )
    machine.start_cron()
    ran = machine.attach(script, AUTOSTOP=packed())
    assert ran.returncode == 0
    assert "no Python 3.8 or newer: nothing will be stopped" in ran.stdout, ran.stdout
    assert machine.read(CRON_FILE) == ""
    assert machine.runs() == []


@every_script
def test_crlf_line_ends_do_no_harm(machine: Machine, script: Script) -> None:
    """A copy saved on Windows works all the same when bash is told to run it."""
    text = script.filled(AUTOSTOP=packed()).replace("\n", "\r\n")
    ran = machine.attach(script, text)
    assert ran.returncode == 0
    assert "set up: background" in ran.stdout, ran.stdout
    assert "\r" not in machine.read(script.log)
    # Where the kernel starts it, it never begins; what is said then is one line.
    direct = machine.run("bash", "-c", "/tmp/lifecycle/script.sh", user=script.user)
    assert direct.returncode != 0
    assert len(direct.stdout.splitlines()) == 1


@every_script
def test_a_wheel_with_another_sha256_is_not_used(
    machine: Machine, script: Script, tmp_path: Path
) -> None:
    """Nothing is set up, and both the log and the script say why; the right one is taken."""
    wheel = recorder_wheel(tmp_path)
    machine.write(f"/mnt/{wheel.name}", wheel.read_bytes())
    where = f"/mnt/{wheel.name}"
    machine.attach(script, WHEEL=where, WHEEL_SHA256="0" * 64)
    log = machine.settle(script)
    assert "the wheel has another sha256 than 000" in log
    assert "no autostop: nothing will be stopped" in log
    assert machine.runs() == []
    assert not [path for path in machine.tree() if path.endswith(".whl") and "mnt" not in path]
    digest = hashlib.sha256(wheel.read_bytes()).hexdigest()
    machine.attach(script, WHEEL=where, WHEEL_SHA256=digest)
    assert "set up" in machine.settle(script).splitlines()[-1]
    assert wait_until(machine.runs, "the loop")


@every_script
def test_a_wheel_comes_from_s3(machine: Machine, script: Script, tmp_path: Path) -> None:
    """By the command `aws`, told the region that the metadata names."""
    wheel = recorder_wheel(tmp_path)
    machine.write(f"/bucket/{wheel.name}", wheel.read_bytes())
    machine.write(
        "/opt/ml/metadata/resource-metadata.json",
        '{"ResourceArn":"arn:aws:sagemaker:eu-west-3:123456789012:notebook-instance/x"}',
    )
    machine.write(
        "/usr/local/bin/aws",
        "#!/bin/sh\n"
        '[ "$1 $2 $3" = "s3 cp --only-show-errors" ] && [ "$AWS_DEFAULT_REGION" = eu-west-3 ] &&\n'
        '  cp "/bucket/${4##*/}" "$5"\n',
        mode=0o755,
    )
    machine.attach(script, WHEEL=f"s3://bucket/wheels/{wheel.name}")
    assert "set up" in machine.settle(script).splitlines()[-1]
    assert wait_until(machine.runs, "the loop")


@every_script
def test_parameters_that_autostop_refuses_set_nothing_up(machine: Machine, script: Script) -> None:
    """A word in the place of a number is said in the log, or the default taken; never a failure."""
    name = "TIMEOUT_IN_MINS" if "classic" in script.path else "IDLE_TIME"
    ran = machine.attach(script, AUTOSTOP=packed(), **{name: "soon"})
    assert ran.returncode == 0
    log = machine.settle(script)
    if name == "IDLE_TIME":
        assert "autostop fails: nothing will be stopped" in log
    else:
        assert "TIMEOUT_IN_MINS is soon" in log
        assert wait_until(machine.runs, "the loop")[0]["words"][3] == "7200"


@pytest.mark.parametrize("seconds", ["-5", "nan", "1h", "''"])
def test_a_time_that_is_none_is_said_by_the_real_autostop(machine: Machine, seconds: str) -> None:
    """What each look would refuse is found out while it is set up, and then nothing is."""
    script = AUTOSTOPS[0]
    real = build_autostop.packed(ROOT, script.environment)
    machine.start_cron()
    machine.attach(script, AUTOSTOP=real, IDLE_TIME=seconds.strip("'"))
    log = machine.settle(script)
    assert "autostop fails: nothing will be stopped" in log
    assert machine.read(CRON_FILE) == ""


@pytest.mark.parametrize("every", ["0", "60s", "", "-60", "1.5"])
def test_a_pause_that_is_none_becomes_a_minute(machine: Machine, every: str) -> None:
    """Code Editor: said in the log, and it looks."""
    script = next(s for s in AUTOSTOPS if "editor" in s.path and s.user != "root")
    machine.attach(script, AUTOSTOP=packed(), CHECK_EVERY=every)
    log = machine.settle(script)
    assert f"CHECK_EVERY is {every}, which is no number of seconds: 60 it is" in log
    (run,) = wait_until(machine.runs, "the loop")
    assert run["words"][-2:] == ["--every", "60"]


@pytest.mark.parametrize("schedule", ["hello", "* * * *", "*/5 * * * % *", "@reboot", ""])
def test_a_schedule_that_cron_would_not_heed_is_said(machine: Machine, schedule: str) -> None:
    """Instead of a file that is never looked at; what is one is taken."""
    machine.start_cron()
    machine.attach(AUTOSTOPS[0], AUTOSTOP=packed(), CRON_SCHEDULE=schedule)
    log = machine.settle(AUTOSTOPS[0])
    assert f"CRON_SCHEDULE is {schedule}: nothing will be stopped" in log
    assert machine.read(CRON_FILE) == ""
    machine.attach(AUTOSTOPS[0], AUTOSTOP=packed(), CRON_SCHEDULE="0-59/5 8-18 * jan mon,fri")
    assert "\n0-59/5 8-18 * jan mon,fri root /" in machine.read(CRON_FILE)


@pytest.mark.parametrize("script", BY_ITS_USER[1:], ids=name_of)
def test_a_disk_that_is_full_keeps_no_look_away(machine: Machine, script: Script) -> None:
    """What is full is where logs and homes lie; what a look must remember lies elsewhere."""
    machine.attach(script, AUTOSTOP=build_autostop.packed(ROOT, script.environment))
    wait_until(lambda: "set up" in machine.read(script.log), "the end of the script")
    folder = str(Path(script.log).parent)
    command = next(
        line.split("--every")[0]
        for line in machine.shell("ps -ww -eo args").splitlines()
        if "--every" in line and "autostop" in line
    )
    user = "root" if "instance" in script.path else script.user
    for pid in machine.processes("--every"):
        machine.shell(f"kill {pid}", user=user)
    machine.shell(
        f"cp -a {folder} /var/tmp/kept; mount -t tmpfs -o size=200k full {folder};"
        f" cp -a /var/tmp/kept/. {folder}; chown {user} {folder};"
        f" cat /dev/zero >{folder}/full; true"
    )
    said = machine.run("bash", "-c", f"{command} --explain", user=user)
    assert said.returncode == 0
    assert "no state can be kept" not in said.stdout
    assert " keeps: " in said.stdout or " unknown, so nothing is ended" in said.stdout, said.stdout


def test_classic_keeps_terminals_when_asked(machine: Machine) -> None:
    """The parameter becomes an option of autostop, and the minutes become seconds."""
    script = next(s for s in AUTOSTOPS if "classic" in s.path)
    machine.attach(script, AUTOSTOP=packed(), TIMEOUT_IN_MINS="045", KEEP_TERMINALS="yes")
    words = wait_until(machine.runs, "the loop")[0]["words"]
    assert words[3] == "2700"
    assert "--keep-terminals" in words


def test_connections_count_only_where_that_is_asked_for(machine: Machine) -> None:
    """Without IGNORE_CONNECTIONS the option -c is not passed."""
    machine.attach(AUTOSTOPS[0], AUTOSTOP=packed(), IGNORE_CONNECTIONS="no")
    assert "-c" not in wait_until(machine.runs, "the loop")[0]["words"]


@pytest.mark.parametrize("script", WITH_CRON[:2], ids=name_of)
def test_a_sign_of_life_is_shown_where_that_is_asked_for(machine: Machine, script: Script) -> None:
    """The parameter becomes an option of autostop; by default it is none."""
    machine.attach(script, AUTOSTOP=packed(), SIGN_OF_LIFE="yes")
    assert "--sign-of-life" in wait_until(machine.runs, "the loop")[0]["words"]
