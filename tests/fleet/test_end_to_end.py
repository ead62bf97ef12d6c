"""The template, deployed; its schedules, fired; its functions, run from the zip.

ministack deploys the template (aws-sam-translator expands it), fires EventBridge Scheduler's
schedules by the clock, runs the packaged zip in a process of its own, delivers SNS. It has no
SageMaker and no tagging of it: the functions' calls go to the stand-in, over HTTP and signed, as
the environment of ministack says.

What is not as on AWS: the functions run on this machine's Python, not in Lambda's image; IAM does
not stand between; Scheduler's cron is UTC. Its CloudFormation forgets the time zone of a schedule
and the key of a topic (test_template looks at them) and knows no Budget: that is left out of the
template and made through the API of AWS Budgets from the same properties; its letter is published
by the test, since nobody spends anything here.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest

from jupyter_idle_culler.fleet.guardrails.denial import KEY
from jupyter_idle_culler.fleet.package import NAME, build, template

from ..aws.domain_stand_in import DomainStandIn
from ..aws.ministack import ENVIRONMENT, Ministack, wait_for
from ..aws.policies import decided
from ..aws.stand_in import ACCOUNT
from .budget_letters import letter
from .template_world import STACK, Stack
from .test_budget import signed
from .test_guardrails import EVERYTHING, needs_evaluator

pytestmark = [
    pytest.mark.skipif(not ENVIRONMENT.exists(), reason="no ministack: make .stamps/ministack"),
    pytest.mark.timeout(420),
]
QUESTIONS = [
    ("sagemaker:CreateSpace", "*", {KEY: ["ml.t3.medium"]}),
    ("sagemaker:CreateSpace", "*", {KEY: ["ml.p5.48xlarge"]}),
]
FIRES_WITHIN_SECONDS = 110.0
"""A minute, the ten seconds between two looks of ministack, and the start of a function."""


@pytest.fixture
def studio() -> Iterator[DomainStandIn]:
    """Give SageMaker as the functions find it: their key is the number of the account."""
    sagemaker = DomainStandIn(linger_seconds=1)
    sagemaker.key = ACCOUNT
    with sagemaker:
        yield sagemaker
        assert not sagemaker.problems


@pytest.fixture
def cloud(studio: DomainStandIn, tmp_path: Path) -> Iterator[Ministack]:
    """Give an account in which the zip lies in a bucket."""
    endpoints = {name: url for name, url in studio.env.items() if name.startswith("AWS_ENDPOINT")}
    with Ministack(tmp_path, endpoints) as made:
        s3 = made.client("s3")
        place = {"LocationConstraint": "eu-central-1"}
        s3.create_bucket(Bucket="code", CreateBucketConfiguration=place)
        s3.put_object(Bucket="code", Key=NAME, Body=build())
        yield made


def listener(cloud: Ministack, topic: str) -> Any:
    """Subscribe a queue to a topic; return what takes the messages that came."""
    sqs = cloud.client("sqs")
    url = sqs.create_queue(QueueName="listener")["QueueUrl"]
    attributes = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]
    cloud.client("sns").subscribe(TopicArn=topic, Protocol="sqs", Endpoint=attributes["QueueArn"])

    def received() -> list[str]:
        told = sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10).get("Messages", [])
        return [json.loads(message["Body"])["Message"] for message in told]

    return received


def without_budget() -> str:
    """Return the template without the one resource that ministack has no form of."""
    text, count = re.subn(r"\n  Budget:\n(?:    .*\n)+", "\n", template())
    assert count == 1
    return text


def off_hours() -> dict[str, str]:
    """Return the parameters of a schedule that ended an hour ago, in Berlin as here."""
    now = datetime.now(timezone.utc)
    return {
        "TimeZone": "Etc/UTC",
        "Days": "mon-sun",
        "StartTime": f"{now - timedelta(hours=2):%H:%M}",
        "StopTime": f"{now - timedelta(hours=1):%H:%M}",
        "ScheduleExpression": "cron(* * * * ? *)",
        "EveryMinutes": "1",
    }


def test_dev_instances_stop_on_schedule_and_those_that_work_are_reported(
    cloud: Ministack, studio: DomainStandIn
) -> None:
    """Deployed, fired, run: ``dev-…`` stops, others do not; work is skipped, and told by SNS.

    Later runs change nothing. Then the budget is used up: what somebody started meanwhile, and is
    idle, stops, and so does the app that is.
    """
    long_ago = datetime.now(timezone.utc) - timedelta(days=3)
    studio.add("dev-idle", modified=long_ago, tags=signed("idle 60"))
    studio.add("dev-works", modified=long_ago, tags=signed("working"))
    studio.add("dev-silent", modified=long_ago)
    studio.add("dev-kept", modified=long_ago, tags=signed("idle 60", **{"idle-culler:exempt": ""}))
    studio.add("prod-idle", modified=long_ago, tags=signed("idle 60"))
    studio.studio_app("dev-space", tags=signed("idle 60"))
    parameters = {
        "CodeBucket": "code",
        "Apps": "no",
        "Endpoints": "no",
        "SchedulesApply": "yes",
        "BudgetAmount": "100",
        "BudgetApply": "yes",
        **off_hours(),
    }
    outputs = cloud.deploy(STACK, without_budget(), parameters)
    budget = Stack(**parameters).resources["Budget"]["Properties"]
    for each in budget["NotificationsWithSubscribers"]:  # CloudFormation makes a number of it
        each["Notification"]["Threshold"] = float(each["Notification"]["Threshold"])
    cloud.client("budgets").create_budget(AccountId=ACCOUNT, **budget)
    received = listener(cloud, outputs["TopicArn"])

    def runs() -> int:
        return studio.count("ListNotebookInstances")

    wait_for(lambda: studio.at("dev-idle") == "Stopped", FIRES_WITHIN_SECONDS, cloud.log)
    others = ("dev-works", "dev-silent", "dev-kept", "prod-idle")
    assert [studio.at(name) for name in others] == ["InService"] * 4
    told: list[str] = []

    def heard() -> bool:
        told.extend(received())
        return bool(told)

    wait_for(heard, 20, cloud.log)
    assert "Stopped:\n  dev-idle" in told[0]
    assert "dev-works: its culler signals work" in told[0]
    assert "dev-silent: unknown: its culler gives no sign of life" in told[0]
    assert "dev-kept: its tags exempt it" in told[0]
    assert "prod-idle" not in told[0]

    before = runs()
    wait_for(lambda: runs() > before, FIRES_WITHIN_SECONDS, cloud.log)
    assert len(studio.stops()) == 1
    assert studio.at("dev-idle") == "Stopped"

    studio.add("dev-late", tags=signed("idle 60"))
    cloud.client("sns").publish(
        TopicArn=outputs["BudgetTopicArn"],
        Subject="AWS Budgets: idle-culler-sagemaker has exceeded your alert threshold",
        Message=letter("$120.00", budget=f"{STACK}-sagemaker"),
    )
    wait_for(lambda: len(studio.stops()) == 3, 60, cloud.log)
    assert {call.operation for call in studio.stops()} == {"StopNotebookInstance", "DeleteApp"}
    assert studio.at("dev-late") in ("Stopping", "Stopped")
    assert [studio.at(name) for name in others] == ["InService"] * 4


@needs_evaluator
def test_every_part_is_deployed_as_the_template_says(
    cloud: Ministack, studio: DomainStandIn
) -> None:
    """Not what CloudFormation says, but the resources themselves; and apps are found by the zip."""
    outputs = cloud.deploy(
        STACK,
        without_budget(),
        {
            "CodeBucket": "code",
            "EndpointsApply": "yes",
            "EndpointAction": "delete",
            "EndpointNameContains": "dev-",
            "BudgetAmount": "100",
            "InstanceTypes": "ml.t3.*,ml.m5.large",
            "Email": "a@example.org",
            "Phone": "+491701234567",
            "LogDays": "7",
        },
    )
    functions = cloud.client("lambda").list_functions()["Functions"]
    assert {each["FunctionName"]: each["Handler"].rpartition(".")[2] for each in functions} == {
        f"{STACK}-{part}": f"{part}_handler" for part in ("schedule", "endpoints", "apps", "budget")
    }
    for each in functions:
        assert (each["Timeout"], each["MemorySize"]) == (900, 256)
        assert each["Runtime"] == "python3.12"
    scheduler = cloud.client("scheduler")
    names = [each["Name"] for each in scheduler.list_schedules()["Schedules"]]
    assert sorted(names) == [f"{STACK}-apps", f"{STACK}-endpoints", f"{STACK}-schedule"]
    for name in names:
        schedule = scheduler.get_schedule(Name=name)
        assert schedule["FlexibleTimeWindow"]["Mode"] == "OFF"
        assert schedule["Target"]["Arn"].endswith(f":function:{name}")
    logs = cloud.client("logs").describe_log_groups()["logGroups"]
    assert {each["logGroupName"]: each["retentionInDays"] for each in logs} == {
        f"/aws/lambda/{each['FunctionName']}": 7 for each in functions
    }
    sns = cloud.client("sns")
    topics = {each["TopicArn"] for each in sns.list_topics()["Topics"]}
    assert topics == {outputs["TopicArn"], outputs["BudgetTopicArn"]}
    assert len(cloud.client("kms").list_keys()["Keys"]) == 1
    told = sns.list_subscriptions_by_topic(TopicArn=outputs["TopicArn"])["Subscriptions"]
    assert {each["Protocol"] for each in told} == {"email", "sms"}
    alarms = cloud.client("cloudwatch").describe_alarms()["MetricAlarms"]
    assert {each["Dimensions"][0]["Value"] for each in alarms} == {
        each["FunctionName"] for each in functions
    }
    iam = cloud.client("iam")
    role = functions[0]["Role"].rpartition("/")[2]
    assert set(iam.list_role_policies(RoleName=role)["PolicyNames"]) >= {"tell", "look"}
    version = iam.get_policy(PolicyArn=outputs["GuardrailArn"])["Policy"]["DefaultVersionId"]
    guardrail = iam.get_policy_version(PolicyArn=outputs["GuardrailArn"], VersionId=version)
    denied = guardrail["PolicyVersion"]["Document"]
    assert decided([EVERYTHING, denied], QUESTIONS) == [True, False]
    cloud.client("s3").head_bucket(Bucket=outputs["SavedEndpointsBucket"])

    studio.studio_app("dev-space")
    studio.add_space("dev-space", "ana", modified=datetime.now(timezone.utc))
    answer = cloud.client("lambda").invoke(FunctionName=f"{STACK}-apps", Payload=b"{}")
    report = json.loads(answer["Payload"].read())
    assert report["silent"] == ["d-abc123def456/dev-space/JupyterLab/default"]
    assert report["dry_run"] is True
