"""Write the packed files, and say how large they are."""

from __future__ import annotations

import sys
from pathlib import Path

from . import write

for environment, size in write(Path(__file__).parent.parent).items():
    sys.stdout.write(f"{environment}: {size:,} bytes\n")
