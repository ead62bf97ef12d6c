"""A local AWS that deploys templates, runs Lambdas as processes and fires schedules: ministack.

It lies in an environment of its own, .ministack, that ``make`` installs: it pins its own botocore.
It knows no SageMaker: what runs in it is sent to a stand-in by its environment.
"""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import time
import urllib.request
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import boto3

from .stand_in import ACCOUNT, REGION, SECRET

ENVIRONMENT = Path(__file__).parent.parent.parent / ".ministack"
_STARTS_WITHIN_SECONDS = 60.0
_STACK_WITHIN_SECONDS = 90.0


class Ministack:
    """One of its own, on a free port of 127.0.0.1. Use it as a context manager.

    ``env``: what every Lambda's process finds in its environment, too. ``folder``: for its files.
    The key of whoever calls from a Lambda is the number of the account, the secret that of the
    stand-ins.
    """

    def __init__(self, folder: Path, env: Mapping[str, str]) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        self.url = f"http://127.0.0.1:{port}"
        self._folder = folder
        self._env = {
            "PATH": os.environ["PATH"],
            "HOME": str(folder),
            "TMPDIR": str(folder),
            "BIND_HOST": "127.0.0.1",
            "GATEWAY_PORT": str(port),
            "MINISTACK_ACCOUNT_ID": ACCOUNT,
            "MINISTACK_REGION": REGION,
            "AWS_SECRET_ACCESS_KEY": SECRET,
            "AWS_EC2_METADATA_DISABLED": "true",
            "LAMBDA_EXECUTOR": "local",
            **env,
        }

    def __enter__(self) -> Ministack:
        self._log = (self._folder / "ministack.log").open("wb")
        self._process = subprocess.Popen(
            [str(ENVIRONMENT / "bin" / "python"), "-m", "ministack"],
            env=self._env,
            cwd=self._folder,
            stdout=self._log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            wait_for(self._answers, _STARTS_WITHIN_SECONDS, self.log)
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, 15)
        try:
            self._process.wait(20)
        except subprocess.TimeoutExpired:
            os.killpg(self._process.pid, 9)
            self._process.wait(20)
        self._log.close()

    def log(self) -> str:
        """Return the end of what it said."""
        text = (self._folder / "ministack.log").read_text(encoding="utf-8", errors="replace")
        return text[-6000:]

    def client(self, service: str) -> Any:
        """Return a client of one of its services."""
        return boto3.client(
            service,
            endpoint_url=self.url,
            region_name=REGION,
            aws_access_key_id=ACCOUNT,
            aws_secret_access_key=SECRET,
        )

    def deploy(self, name: str, template: str, parameters: Mapping[str, str]) -> dict[str, str]:
        """Deploy a template, wait for it, and return its outputs."""
        cloudformation = self.client("cloudformation")
        cloudformation.create_stack(
            StackName=name,
            TemplateBody=template,
            Parameters=[
                {"ParameterKey": key, "ParameterValue": value} for key, value in parameters.items()
            ],
            Capabilities=["CAPABILITY_IAM", "CAPABILITY_AUTO_EXPAND"],
        )
        found: dict[str, Any] = {}

        def settled() -> bool:
            found.update(cloudformation.describe_stacks(StackName=name)["Stacks"][0])
            return not found["StackStatus"].endswith("_IN_PROGRESS")

        wait_for(settled, _STACK_WITHIN_SECONDS, self.log)
        assert found["StackStatus"] == "CREATE_COMPLETE", (found, self.log())
        return {each["OutputKey"]: each["OutputValue"] for each in found.get("Outputs", ())}

    def _answers(self) -> bool:
        assert self._process.poll() is None, self.log()
        try:
            with urllib.request.urlopen(f"{self.url}/_ministack/health", timeout=2) as answer:
                return bool(answer.status == 200)
        except OSError:
            return False


def wait_for(
    holds: Callable[[], bool], seconds: float, otherwise: Callable[[], object] = lambda: ""
) -> None:
    """Wait until something holds. Raises: AssertionError after so many seconds."""
    until = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < until, f"not within {seconds:g} s; {otherwise()}"
        time.sleep(0.2)
