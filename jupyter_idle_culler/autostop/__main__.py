"""Run autostop: ``python -m jupyter_idle_culler.autostop``."""

import sys

if sys.version_info < (3, 8):
    sys.stdout.write("autostop needs Python 3.8 or later: nothing is stopped\n")
    sys.exit(0)

from jupyter_idle_culler.autostop.run import main

sys.exit(main())
