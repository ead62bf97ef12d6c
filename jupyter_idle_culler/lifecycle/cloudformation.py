"""A template of a notebook instance with its lifecycle configuration, for CloudFormation.

It serves as a product of Service Catalog as it is: who launches it chooses among the instance types
and volumes that it allows.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from .names import instance_type

INSTANCE_TYPES = ("ml.t3.medium", "ml.t3.large", "ml.t3.xlarge", "ml.m5.xlarge", "ml.m5.2xlarge")
LEAST_VOLUME_GB, MOST_VOLUME_GB = 5, 16_384
DEFAULT_MOST_VOLUME_GB = 50


def instance_types(text: str) -> tuple[str, ...]:
    """Return the types of a list with commas. Raises: ValueError."""
    found = tuple(instance_type(word.strip()) for word in text.split(",") if word.strip())
    if not found:
        message = "name at least one type of instance, such as ml.t3.medium"
        raise ValueError(message)
    return tuple(dict.fromkeys(found))


def template(script: str, types: Sequence[str], most_volume_gb: int) -> dict[str, Any]:
    """Return the template. ``types``: those that may be chosen, the first by default."""
    return {
        "AWSTemplateFormatVersion": "2010-09-09",
        "Description": "A SageMaker notebook instance that stops when it is idle",
        "Parameters": _parameters(types, most_volume_gb),
        "Rules": {
            "NoInternetNeedsSubnet": {
                "RuleCondition": {"Fn::Equals": [{"Ref": "DirectInternetAccess"}, "Disabled"]},
                "Assertions": [
                    {
                        "Assert": {"Fn::Not": [{"Fn::Equals": [{"Ref": "SubnetId"}, ""]}]},
                        "AssertDescription": "Without direct internet access it needs a subnet",
                    }
                ],
            }
        },
        "Conditions": {
            "MakesRole": {"Fn::Equals": [{"Ref": "RoleArn"}, ""]},
            "HasSubnet": {"Fn::Not": [{"Fn::Equals": [{"Ref": "SubnetId"}, ""]}]},
            "HasSecurityGroup": {"Fn::Not": [{"Fn::Equals": [{"Ref": "SecurityGroupId"}, ""]}]},
        },
        "Resources": {
            "LifecycleConfig": {
                "Type": "AWS::SageMaker::NotebookInstanceLifecycleConfig",
                "Properties": {"OnStart": [{"Content": {"Fn::Base64": script}}]},
            },
            "Role": _role(),
            "NotebookInstance": _instance(),
        },
        "Outputs": {
            "NotebookInstanceName": {
                "Value": {"Fn::GetAtt": ["NotebookInstance", "NotebookInstanceName"]}
            },
            "LifecycleConfigName": {
                "Value": {"Fn::GetAtt": ["LifecycleConfig", "NotebookInstanceLifecycleConfigName"]}
            },
        },
    }


def as_text(found: dict[str, Any], as_json: bool) -> str:
    """Write a template as JSON, or as YAML in which the script can be read."""
    if as_json:
        return json.dumps(found, indent=2) + "\n"
    import yaml

    class Dumper(yaml.SafeDumper):
        """Writes texts of several lines as blocks, and nothing by reference."""

        def ignore_aliases(self, data: Any) -> bool:
            """Write everything where it is: references read badly."""
            del data
            return True

    def block(dumper: yaml.SafeDumper, text: str) -> yaml.Node:
        style = "|" if "\n" in text else None
        return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)

    Dumper.add_representer(str, block)
    return yaml.dump(found, Dumper=Dumper, sort_keys=False, width=100, allow_unicode=True)


def _parameters(types: Sequence[str], most_volume_gb: int) -> dict[str, Any]:
    return {
        "NotebookName": {
            "Type": "String",
            "Description": "The name of the instance: lower case, as in its ARN",
            "AllowedPattern": "[a-z0-9](-*[a-z0-9])*",
            "MaxLength": 63,
            "ConstraintDescription": "1 to 63 lower-case letters, digits and hyphens",
        },
        "InstanceType": {
            "Type": "String",
            "Default": types[0],
            "AllowedValues": list(types),
        },
        "VolumeSizeInGB": {
            "Type": "Number",
            "Default": LEAST_VOLUME_GB,
            "MinValue": LEAST_VOLUME_GB,
            "MaxValue": most_volume_gb,
        },
        "RoleArn": {
            "Type": "String",
            "Default": "",
            "Description": (
                "The role that it runs as, which must be allowed to describe and stop it; empty: a"
                " role is made that may do that and nothing else"
            ),
            "AllowedPattern": r"(arn:aws[a-z\-]*:iam::\d{12}:role/[a-zA-Z_0-9+=,.@\-_/]+)?",
        },
        "SubnetId": {
            "Type": "String",
            "Default": "",
            "Description": "A subnet of your VPC; empty: SageMaker's own network",
            "AllowedPattern": "(subnet-[0-9a-f]+)?",
        },
        "SecurityGroupId": {
            "Type": "String",
            "Default": "",
            "Description": "A security group in that VPC; empty: the VPC's default one",
            "AllowedPattern": "(sg-[0-9a-f]+)?",
        },
        "DirectInternetAccess": {
            "Type": "String",
            "Default": "Enabled",
            "AllowedValues": ["Enabled", "Disabled"],
        },
        "RootAccess": {
            "Type": "String",
            "Default": "Enabled",
            "AllowedValues": ["Enabled", "Disabled"],
            "Description": "Whether its users are root on it (who is can switch anything off)",
        },
    }


def _role() -> dict[str, Any]:
    itself = (
        "arn:${AWS::Partition}:sagemaker:${AWS::Region}:${AWS::AccountId}"
        ":notebook-instance/${NotebookName}"
    )
    return {
        "Type": "AWS::IAM::Role",
        "Condition": "MakesRole",
        "Properties": {
            "AssumeRolePolicyDocument": {
                "Version": "2012-10-17",
                "Statement": [
                    {
                        "Effect": "Allow",
                        "Principal": {"Service": "sagemaker.amazonaws.com"},
                        "Action": "sts:AssumeRole",
                    }
                ],
            },
            "Policies": [
                {
                    "PolicyName": "StopItself",
                    "PolicyDocument": {
                        "Version": "2012-10-17",
                        "Statement": [
                            {
                                "Effect": "Allow",
                                "Action": [
                                    "sagemaker:DescribeNotebookInstance",
                                    "sagemaker:StopNotebookInstance",
                                ],
                                "Resource": {"Fn::Sub": itself},
                            }
                        ],
                    },
                }
            ],
        },
    }


def _instance() -> dict[str, Any]:
    nothing = {"Ref": "AWS::NoValue"}
    return {
        "Type": "AWS::SageMaker::NotebookInstance",
        "Properties": {
            "NotebookInstanceName": {"Ref": "NotebookName"},
            "InstanceType": {"Ref": "InstanceType"},
            "VolumeSizeInGB": {"Ref": "VolumeSizeInGB"},
            "RoleArn": {
                "Fn::If": ["MakesRole", {"Fn::GetAtt": ["Role", "Arn"]}, {"Ref": "RoleArn"}]
            },
            "LifecycleConfigName": {
                "Fn::GetAtt": ["LifecycleConfig", "NotebookInstanceLifecycleConfigName"]
            },
            "SubnetId": {"Fn::If": ["HasSubnet", {"Ref": "SubnetId"}, nothing]},
            "SecurityGroupIds": {
                "Fn::If": ["HasSecurityGroup", [{"Ref": "SecurityGroupId"}], nothing]
            },
            "DirectInternetAccess": {"Ref": "DirectInternetAccess"},
            "RootAccess": {"Ref": "RootAccess"},
        },
    }
