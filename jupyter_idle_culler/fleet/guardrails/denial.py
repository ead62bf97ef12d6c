"""A policy that denies every instance type but some, wherever one can be asked for.

It only denies: attach it beside what allows, to a role, a permission set, or as a service control
policy. What names no instance type (a change of a notebook instance's volume) is not touched.

Which actions carry ``sagemaker:InstanceTypes``: Service Authorization Reference, "Actions,
resources, and condition keys for Amazon SageMaker AI" (list_amazonsagemakerai). It is not asked at
StartNotebookInstance, CreateEndpoint and UpdateEndpoint: what is there already can be started.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from ...errors import IdleCullerError
from .instance_types import SYSTEM, read_types

KEY = "sagemaker:InstanceTypes"
NOTEBOOKS, STUDIO, ENDPOINTS, JOBS, CLUSTERS = (
    "notebooks",
    "studio",
    "endpoints",
    "jobs",
    "clusters",
)
ACTIONS: Mapping[str, tuple[str, ...]] = {
    NOTEBOOKS: ("CreateNotebookInstance", "UpdateNotebookInstance"),
    STUDIO: (
        "CreateApp",
        "CreateDomain",
        "CreateSpace",
        "CreateUserProfile",
        "UpdateDomain",
        "UpdateSpace",
        "UpdateUserProfile",
    ),
    ENDPOINTS: ("CreateEndpointConfig",),
    JOBS: (
        "CreateDataQualityJobDefinition",
        "CreateHyperParameterTuningJob",
        "CreateModelBiasJobDefinition",
        "CreateModelExplainabilityJobDefinition",
        "CreateModelQualityJobDefinition",
        "CreateMonitoringSchedule",
        "CreateProcessingJob",
        "CreateTrainingJob",
        "CreateTransformJob",
        "UpdateMonitoringSchedule",
        "UpdateTrainingJob",
    ),
    CLUSTERS: ("CreateCluster", "UpdateCluster"),
}
"""Every action that carries the key, by what it makes or changes."""
DEFAULT = (NOTEBOOKS, STUDIO)
MOST_CHARACTERS = 5120
"""A service control policy may have so many; a managed policy 6,144, without blanks."""
_SIDS = {
    NOTEBOOKS: "OtherNotebookInstanceTypes",
    STUDIO: "OtherStudioInstanceTypes",
    ENDPOINTS: "OtherEndpointInstanceTypes",
    JOBS: "OtherJobInstanceTypes",
    CLUSTERS: "OtherClusterInstanceTypes",
}


class BadGuardrail(IdleCullerError):
    """A policy that cannot be made, or that AWS would not take; the message says why."""


def instance_type_policy(
    types: Iterable[str], kinds: Sequence[str] = DEFAULT, studio_types: Iterable[str] = ()
) -> dict[str, Any]:
    """Return a policy that denies all instance types but these, for some kinds of things.

    ``studio_types``: those of Studio, where they are to be others. ``system`` is allowed there.
    Raises: BadInstanceType, BadGuardrail.
    """
    for kind in kinds:
        if kind not in ACTIONS:
            message = f"{kind!r} is none of {', '.join(ACTIONS)}"
            raise BadGuardrail(message)
    allowed = read_types(types)
    in_studio = read_types(studio_types) if studio_types else allowed
    policy = {
        "Version": "2012-10-17",
        "Statement": [
            _statement(kind, [SYSTEM, *in_studio] if kind == STUDIO else list(allowed))
            for kind in ACTIONS
            if kind in kinds
        ],
    }
    size = len(json.dumps(policy, separators=(",", ":")))
    if size > MOST_CHARACTERS:
        message = (
            f"the policy has {size} characters, AWS takes {MOST_CHARACTERS}: name fewer instance"
            " types, or use wildcards such as ml.m5.*"
        )
        raise BadGuardrail(message)
    return policy


def _statement(kind: str, allowed: list[str]) -> dict[str, Any]:
    return {
        "Sid": _SIDS[kind],
        "Effect": "Deny",
        "Action": [f"sagemaker:{action}" for action in ACTIONS[kind]],
        "Resource": "*",
        # Of several instance types in a request, one that is not allowed is enough. Without any in
        # the request "ForAnyValue" does not hold: nothing is denied then.
        "Condition": {"ForAnyValue:StringNotLike": {KEY: allowed}},
    }
