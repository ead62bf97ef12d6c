"""The short-lived process that speaks to AWS.

Its first line of input is the target: it makes itself ready. The second is what to do about it,
``describe`` or ``stop``: it does that, writes the answer on one line, and ends. Where the input
ends before, it ends without a word.

boto3 and the standard library only, Python 3.8 syntax: autostop shares it.
"""

from __future__ import annotations

import json
import sys

from .sagemaker import SageMaker
from .target import Target


def main() -> int:
    """Serve one request."""
    target = sys.stdin.readline()
    if not target.strip():
        return 0
    sagemaker = SageMaker(Target.from_json(target))
    sagemaker.make_ready()
    wanted = sys.stdin.readline().strip()
    if wanted == "describe":
        answer = sagemaker.describe()
    elif wanted == "stop":
        answer = sagemaker.stop()
    else:
        return 0
    sys.stdout.write(json.dumps(answer._asdict()) + "\n")
    sys.stdout.flush()
    return 0
