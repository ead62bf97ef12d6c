"""A driver's library without a GPU, built from `fake_nvml.c`, and what it is to say."""

from __future__ import annotations

import subprocess
from pathlib import Path

SOURCE = Path(__file__).with_name("fake_nvml.c")
LIBRARY = "libnvidia-ml.so.1"

NOT_SUPPORTED, NOT_LOADED, GPU_IS_LOST, MISMATCH = -3, -9, -15, -18
GIB = 1024**3


def build(directory: Path) -> Path:
    """Compile the library; return the directory that it is in."""
    command = ["gcc", "-shared", "-fPIC", "-Wall", "-Werror", f"-Wl,-soname,{LIBRARY}"]
    subprocess.run([*command, "-o", str(directory / LIBRARY), str(SOURCE)], check=True, timeout=60)
    return directory


class FakeGpus:
    """What the library says from now on: a file that it reads at each call."""

    def __init__(self, directory: Path) -> None:
        self.state, self.log = directory / "nvml-state", directory / "nvml-log"
        self.env = {"FAKE_NVML": str(self.state), "FAKE_NVML_LOG": str(self.log)}

    def say(self, *lines: str, init: int = 0, count: int = 1) -> None:
        """Replace all that it says, at once."""
        partial = self.state.with_suffix(".new")
        partial.write_text("\n".join((f"init {init}", f"count {count}", *lines)) + "\n")
        partial.replace(self.state)

    def calls(self) -> list[str]:
        """Return what it was called for so far."""
        return self.log.read_text().split() if self.log.exists() else []
