"""The one thing on SageMaker that may be described and stopped from here: itself.

Standard library only, Python 3.8 syntax: autostop shares it.
"""

from __future__ import annotations

import json
from typing import Any, Dict, Mapping, NamedTuple

NOTEBOOK_INSTANCE, APP = "notebook-instance", "app"

_OPERATIONS = {
    NOTEBOOK_INSTANCE: ("DescribeNotebookInstance", "StopNotebookInstance"),
    APP: ("DescribeApp", "DeleteApp"),
}


class Target(NamedTuple):
    """A notebook instance or an app.

    ``parameters`` are those of both operations, as the API names them. ``region`` may be empty:
    then the AWS configuration of the process decides.
    """

    kind: str
    parameters: Mapping[str, str]
    region: str
    arn: str

    @property
    def describe_operation(self) -> str:
        """The operation that tells how it is."""
        return _OPERATIONS[self.kind][0]

    @property
    def stop_operation(self) -> str:
        """The operation that ends what it costs."""
        return _OPERATIONS[self.kind][1]

    @property
    def label(self) -> str:
        """What people call it."""
        if self.kind == NOTEBOOK_INSTANCE:
            return "notebook instance {}".format(self.parameters["NotebookInstanceName"])
        owner = self.parameters.get("SpaceName") or self.parameters.get("UserProfileName")
        return "app {} of {}".format(self.parameters["AppType"], owner)

    def statement(self) -> Dict[str, Any]:
        """Return the least IAM statement with which it may describe and stop itself."""
        return {
            "Effect": "Allow",
            "Action": [
                "sagemaker:" + self.describe_operation,
                "sagemaker:" + self.stop_operation,
            ],
            "Resource": self.arn,
        }

    def statement_text(self) -> str:
        """Return that statement on one line, as it is pasted into a policy."""
        return json.dumps(self.statement())

    def to_json(self) -> str:
        """Return it on one line, for the process that speaks to AWS."""
        return json.dumps(self._asdict())

    @classmethod
    def from_json(cls, text: str) -> Target:
        """Read what `to_json` wrote. Raises: ValueError, KeyError, TypeError."""
        return cls(**json.loads(text))
