"""A whole machine to throw away: this one's files beneath, and all that is written above them gone.

An overlay over `/` in namespaces of its own (mounts, processes, network): scripts run there as root
may write to /etc/cron.d, make users and remove programs, and nothing of it is seen outside. The
network has a loopback interface and nothing else. Needs root, and a kernel with overlayfs.
"""

from __future__ import annotations

import hashlib
import os
import shlex
import stat
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from typing_extensions import Self

ROOT = Path(__file__).parent.parent.parent
LIFECYCLE = ROOT / "lifecycle-configs"
NOTEBOOK_ENV = "/home/ec2-user/anaconda3/envs/JupyterSystemEnv"
STUDIO_ENV = "/opt/conda"
USERS = ("ec2-user", "sagemaker-user")
# What any process leaves behind, and what is only ever appended to.
_PASSING = ("proc", "dev", "tmp", "var/tmp", "var/log", "var/spool", "var/lib/sudo", "run")
_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

_SET_UP = f"""
set -e
mount -t tmpfs -o mode=755 throw-away /mnt
mkdir /mnt/upper /mnt/work /mnt/root
mount -t overlay -o lowerdir=/,upperdir=/mnt/upper,workdir=/mnt/work overlay /mnt/root
cd /mnt/root
mount -t proc proc proc
mount --rbind /dev dev
for place in run tmp var/tmp var/log; do mount -t tmpfs -o mode=1777 throw-away $place; done
# This checkout may lie below one of these, or on a mount of its own.
if [ ! -e ".{ROOT}/pyproject.toml" ]; then
  mkdir -p ".{ROOT}" /mnt/upper-2 /mnt/work-2
  mount -t overlay -o "lowerdir={ROOT},upperdir=/mnt/upper-2,workdir=/mnt/work-2" overlay ".{ROOT}"
fi
mkdir run/lock .upper opt/ml opt/ml/metadata
mount --bind /mnt/upper .upper
chmod 755 root run
find etc/cron.d -mindepth 1 -delete
rm -rf var/spool/cron/crontabs/* etc/cron.hourly/* etc/pip.conf root/.config/pip
# The kernel refuses a daemon in a container its users' login ids; images with cron leave this out.
sed -i /pam_loginuid/d etc/pam.d/cron
for user in {" ".join(USERS)}; do
  chroot . useradd -m -s /bin/bash $user
  echo "$user ALL=(ALL) NOPASSWD:ALL" >etc/sudoers.d/$user
done
ip link set lo up 2>/dev/null || chroot . "$1" -c 'import fcntl, socket, struct
fcntl.ioctl(socket.socket(), 0x8914, struct.pack("16sH14x", b"lo", 0x41))'
exec chroot . bash -c 'echo ready; while :; do sleep 600 & wait; done'
"""


def can_be_made() -> bool:
    """Tell whether this machine lets a test make such roots."""
    if os.geteuid() != 0:
        return False
    tried = subprocess.run(
        ["unshare", "-mpfn", "--propagation", "private", "true"], capture_output=True, check=False
    )
    return tried.returncode == 0 and "overlay" in Path("/proc/filesystems").read_text()


class ThrowawayRoot:
    """One such machine. Use it as a context manager.

    ``path`` is where its root lies as seen from outside, to read and to prepare files in.
    """

    def __init__(self) -> None:
        self.started: list[subprocess.Popen[bytes]] = []
        namespaces = ("-m", "-p", "-f", "-n", "--kill-child", "--propagation", "private")
        self.process = subprocess.Popen(
            ["unshare", *namespaces, "bash", "-c", _SET_UP, "set-up", sys.executable],
            stdout=subprocess.PIPE,
            stdin=subprocess.DEVNULL,
            text=True,
        )
        assert self.process.stdout is not None
        lines = iter(self.process.stdout.readline, "")
        assert any(line == "ready\n" for line in lines), "the throw-away root was not made"
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children")
        self.pid = int(children.read_text().split()[0])
        self.path = Path(f"/proc/{self.pid}/root")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End all of its processes; its files go with them."""
        self.process.kill()
        self.process.wait(10)
        for started in self.started:
            started.kill()
            started.wait(10)
        if self.process.stdout is not None:
            self.process.stdout.close()

    def command(self, *words: str, user: str = "root", env: dict[str, str] | None = None) -> Any:
        """Return the command that runs these words inside, as this user, from `/`."""
        home = "/root" if user == "root" else f"/home/{user}"
        clean = ["env", "-C", "/", "-i", f"PATH={_PATH}", f"HOME={home}", "LANG=C.UTF-8"]
        clean += [f"{name}={value}" for name, value in (env or {}).items()]
        become = () if user == "root" else ("setpriv", f"--reuid={user}", f"--regid={user}")
        groups = () if user == "root" else ("--init-groups",)
        inside = ("nsenter", "-t", str(self.pid), "-m", "-p", "-n", "-r")
        return [*inside, *become, *groups, *clean, *words]

    def run(
        self,
        *words: str,
        user: str = "root",
        env: dict[str, str] | None = None,
        timeout: float = 60,
    ) -> subprocess.CompletedProcess[str]:
        """Run a command inside and wait for it, not for what it leaves in the background."""
        log = self.path / "tmp" / f"said-{time.monotonic_ns()}"
        with log.open("w") as out:
            ran = subprocess.run(
                self.command(*words, user=user, env=env),
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
                timeout=timeout,
                check=False,
            )
        return subprocess.CompletedProcess(words, ran.returncode, log.read_text(errors="replace"))

    def shell(self, script: str, **how: Any) -> str:
        """Run a line of shell inside; return what it says. Raises: AssertionError if it fails."""
        ran = self.run("bash", "-c", script, **how)
        assert ran.returncode == 0, ran.stdout
        return ran.stdout

    def start(self, *words: str, user: str = "root") -> subprocess.Popen[bytes]:
        """Start a command inside and let it run (it ends with the root at the latest)."""
        started = subprocess.Popen(
            self.command(*words, user=user),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        self.started.append(started)
        return started

    def start_cron(self) -> None:
        """Start a real cron daemon, early enough for it to see what changes from now on.

        It compares modification times in whole seconds.
        """
        self.shell("cron; sleep 1.1")

    def write(self, path: str, text: str | bytes, mode: int = 0o644, user: str = "root") -> None:
        """Write a file inside, its folders included."""
        data = text.encode() if isinstance(text, str) else text
        place = self.path / path.lstrip("/")
        self.shell(f"mkdir -p {shlex.quote(str(Path(path).parent))}")
        if place.is_symlink() or place.exists():
            place.unlink()  # never through a link, which would be followed outside
        place.write_bytes(data)
        place.chmod(mode)
        self.shell(f"chown {user} {shlex.quote(path)}")

    def read(self, path: str) -> str:
        """Return a file's text, or nothing where there is none."""
        place = self.path / path.lstrip("/")
        return place.read_text(errors="replace") if place.exists() else ""

    def remove(self, *paths: str) -> None:
        """Remove files and folders inside."""
        self.run("rm", "-rf", *paths)

    def bind(self, source: str | Path, target: str) -> None:
        """Show a folder of this machine at another place as well."""
        self.shell(f"mkdir -p {target} && mount --bind {shlex.quote(str(source))} {target}")

    def processes(self, part: str) -> list[int]:
        """Return the pids (as seen inside) whose command line has this part."""
        found = []
        for place in (self.path / "proc").iterdir():
            if place.name.isdigit():
                try:
                    line = (place / "cmdline").read_bytes().replace(b"\0", b" ").decode()
                except OSError:
                    continue
                if part in line:
                    found.append(int(place.name))
        return found

    def kill_all(self) -> None:
        """End every process inside but the first, as a power cut would."""
        self.run("bash", "-c", "kill -9 -1")

    def tree(self) -> dict[str, tuple[str, int, int, str]]:
        """Return all that was written: kind, mode, owner and content, by path."""
        upper = self.path / ".upper"
        found = {}
        for folder, folders, files in os.walk(upper):
            for name in (*folders, *files):
                path = Path(folder) / name
                inside = str(path.relative_to(upper))
                if inside.startswith(_PASSING) or "__pycache__" in inside:
                    continue
                status = path.lstat()
                kind = stat.filemode(status.st_mode)
                content = ""
                if path.is_symlink():
                    content = str(path.readlink())
                elif stat.S_ISREG(status.st_mode):
                    content = hashlib.sha256(path.read_bytes()).hexdigest()
                found[inside] = (kind, status.st_uid, status.st_gid, content)
        return found


def wait_until(true: Callable[[], Any], what: str, patience_seconds: float = 30) -> Any:
    """Return the first true value of a condition; fail with what was waited for."""
    deadline = time.monotonic() + patience_seconds
    while time.monotonic() < deadline:
        value = true()
        if value:
            return value
        time.sleep(0.1)
    message = f"waited {patience_seconds:g} s in vain for {what}"
    raise AssertionError(message)
