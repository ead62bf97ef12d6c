"""``python -m jupyter_idle_culler.cli``: the same as ``jupyter idle-culler``."""

from .commands import main

raise SystemExit(main())
