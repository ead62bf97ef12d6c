"""The command line of autostop: the flags of the well-known script keep their meaning."""

from __future__ import annotations

import argparse
import math
import os
from typing import Optional, Sequence

CODE_EDITOR, CLASSIC = "studio-code-editor", "studio-classic"
PLACES = {
    "notebook-instance": "https://localhost:8443/",
    "studio-jupyterlab": "http://localhost:8888/jupyterlab/default/",
    CODE_EDITOR: "http://localhost:8888/",
    CLASSIC: "http://localhost:8888/jupyter/default/",
}
"""Where a server answers in each environment. In Code Editor it is no Jupyter server."""


def read(argv: Optional[Sequence[str]]) -> argparse.Namespace:
    """Read the arguments; wrong ones end the program with status 2 and one line."""
    parser = argparse.ArgumentParser(
        prog="autostop",
        description="Stop this machine when nothing works on it and nobody is there: one look, to"
        " be made again each minute by cron.",
        add_help=False,
    )
    add = parser.add_argument
    add("-h", "--help", action="store_true", help="print this, where all else is right, and end")
    add(
        "-t",
        "--time",
        type=float,
        default=3600,
        help="idle seconds until the stop (3600); 0: never",
    )
    add("-p", "--port", help="port of the Jupyter server")
    add("-c", "--ignore-connections", action="store_true", help="an open page does not count")
    add("--environment", choices=PLACES, default="notebook-instance")
    add("--base-url", help="where the Jupyter server answers")
    add("--token", default=os.environ.get("JUPYTER_TOKEN", ""), help="token of that server")
    add("--metadata-path", default="/opt/ml/metadata/resource-metadata.json")
    add("--warning-minutes", type=float, default=5, help="how long a warning stands (5)")
    add("--dry-run", action="store_true", help="decide and say so; stop nothing")
    add("--sign-of-life", action="store_true", help="keep a tag that says how this machine stands")
    add("--explain", action="store_true", help="print all that was seen")
    add("--skip-terminals", action="store_true", help="jobs and input in terminals do not count")
    add("--keep-terminals", action="store_true", help="Studio Classic: leave terminals alone")
    home = os.path.expanduser("~/.local/share") if os.getuid() else "/run"
    add("--state-file", default=home + "/jupyter-idle-culler/autostop.json")
    add("--log-file", help="one line a look, at most 1 MiB and one older file")
    add("--every", type=float, default=0, help="look again each so many seconds, for ever")
    options = parser.parse_args(argv)
    options.time = options.time or math.inf
    if not (options.time > 0 and options.warning_minutes > 0 and options.every >= 0):
        parser.error("times must be positive numbers")
    if options.help:
        parser.print_help()
        parser.exit()
    url = PLACES[options.environment]
    if options.port:
        url = url.replace("8443", options.port).replace("8888", options.port)
    options.base_url = (options.base_url or url).rstrip("/") + "/"
    return options
