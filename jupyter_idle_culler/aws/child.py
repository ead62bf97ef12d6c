"""The short-lived process that speaks to AWS.

Its first line of input is the target: it makes itself ready. The second is what to do about it,
``describe``, ``stop``, or ``sign`` and a text: it does that, writes the answer on one line, and
ends. Before a stop goes out it writes a line with ``ask``, and sends it only when the next line of
input is ``go``: who sent it may have seen new evidence meanwhile, or be no more.

boto3 and the standard library only, Python 3.8 syntax: autostop shares it.
"""

from __future__ import annotations

import json
import os
import sys
from typing import Any, Dict

from .sagemaker import SageMaker
from .target import Target

ASK = "ask"
SIGN = "sign "


def main() -> int:
    """Serve one request."""
    # What anything else prints is no part of the answer.
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)

    def say(message: Dict[str, Any]) -> None:
        answers.write(json.dumps(message) + "\n")
        answers.flush()

    def may_send() -> bool:
        say({ASK: "send"})
        return sys.stdin.readline().strip() == "go"

    target = sys.stdin.readline()
    if not target.strip():
        return 0
    sagemaker = SageMaker(Target.from_json(target), may_send=may_send)
    sagemaker.make_ready()
    wanted = sys.stdin.readline().strip()
    if wanted == "describe":
        say(sagemaker.describe()._asdict())
    elif wanted == "stop":
        say(sagemaker.stop()._asdict())
    elif wanted.startswith(SIGN):
        say(sagemaker.sign(wanted[len(SIGN) :].strip())._asdict())
    return 0
