"""The message about idle endpoints, as it comes out of a queue behind the topic."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from jupyter_idle_culler.fleet.endpoints.marks import MARK_TAG
from jupyter_idle_culler.fleet.endpoints.settings import read
from jupyter_idle_culler.fleet.events import EventError
from jupyter_idle_culler.fleet.notify import MOST_BYTES, MOST_SMS

from ..aws.cloudwatch import quiet_hosts
from ..aws.endpoints import arn_of, variant
from ..aws.stand_in import ACCOUNT, REGION, Refusal
from .endpoint_world import COMPONENTS, HOSTS, OWN, WHOLE, World, topic_with_queue


def _sent(topic: str) -> list[tuple[str, dict[str, str]]]:
    """Return what was published: the subject, and the message in each of its forms."""
    from moto.sns.models import sns_backends

    found = sns_backends[ACCOUNT][REGION].topics[topic].sent_notifications
    return [(subject or "", json.loads(message)) for _, message, subject, _, _ in found]


@pytest.fixture
def told(account: World) -> tuple[str, Any]:
    """Give a topic and what takes its messages out of a queue."""
    return topic_with_queue()


def test_a_message_has_all_that_is_known_of_an_idle_endpoint(account: World, told: Any) -> None:
    """Name, kind, instances, since when, peaks, price, reason and a link."""
    topic, received = told
    account.sagemaker.add_endpoint("chat", [variant(count=2)], counts={"main": 2})
    account.host("chat")
    named = {"EndpointName": "chat", "VariantName": "main"}
    account.put(HOSTS, "GPUUtilization", named, [2], 1.25)
    account.put(HOSTS, "MemoryUtilization", named, [2], 61)
    account.invoked("chat", [48])
    account.run(topic_arn=topic, prices={"ml.m5.large": 0.125})
    (text,) = received()
    (subject, forms), *more = _sent(topic)
    assert not more
    assert subject == "SageMaker: 1 idle endpoint"
    assert forms["sms"] == "SageMaker: 1 idle endpoint, 0.25 an hour"
    assert text.startswith("1 endpoint was looked at.\n\nIdle endpoints (1)\n\n")
    assert f"chat ({REGION}), real-time: 2 x ml.m5.large" in text
    assert re.search(r"\n  idle since 20\d\d-\d\d-\d\d \d\d:\d\d UTC; peak CPU 3.5 %", text)
    assert "peak CPU 3.5 %, GPU 1.2 %, memory 61 %" in text
    assert "\n  0.25 an hour\n" in text
    assert "\n  not invoked since 20" in text
    link = f"https://{REGION}.console.aws.amazon.com/sagemaker/home?region={REGION}"
    assert f"\n  {link}#/endpoints/chat" in text


def test_each_kind_is_told_in_a_list_of_its_own(account: World, told: Any) -> None:
    """What costs nothing, what is unknown, and the idle parts of busy endpoints stand apart."""
    topic, received = told
    add = account.sagemaker.add_endpoint
    add("zero", asynchronous=True, counts={"main": 0})
    add("dark")
    add("two", [variant("a"), variant("b")])
    add("held", [variant(kind="serverless", provisioned=3)])
    add("pool", [variant(kind="host")])
    account.sagemaker.add_component("part", "pool")
    for name in ("a", "b"):
        account.host("two", variant=name)
    account.invoked("two", [2], variant="a")
    used = "ServerlessProvisionedConcurrencyUtilization"
    account.put(OWN, used, {"EndpointName": "held", "VariantName": "main"}, WHOLE, 0)
    account.host("pool")
    whole = {"InferenceComponentName": "part"}
    account.put(COMPONENTS, "CPUUtilizationNormalized", whole, WHOLE, 2)
    account.run(topic_arn=topic)
    (text,) = received()
    parts = re.split(r"\n\n(?=[A-Z][^\n]*\(\d+\)\n)", text)
    names = {part.partition(" (")[0]: re.findall(r"\n\n(\S+)", part) for part in parts[1:]}
    assert names == {
        "Idle endpoints": ["held", "pool"],
        "Idle variants and components of endpoints that are busy": ["two"],
        "Idle, cost nothing": ["zero"],
        "Unknown: nothing proves that they are idle": ["dark"],
    }
    assert f"held ({REGION}), serverless: provisioned concurrency 3" in text
    assert f"pool ({REGION}), inference components: 1 x ml.m5.large" in text
    assert f"two / b ({REGION}), real-time: 1 x ml.m5.large" in text
    assert f"zero ({REGION}), asynchronous: 0 x ml.m5.large" in text
    assert "no utilization was published" in text


def test_what_is_done_is_told_first_with_the_date_from_which_it_may_go(
    account: World, told: Any
) -> None:
    """A dry run says that nothing was changed; a mark says when its grace ends."""
    topic, received = told
    account.sagemaker.add_endpoint("old")
    account.host("old")
    event = {"action": "delete", "match_all": True, "save_to": "/nowhere", "topic_arn": topic}
    account.run(**event)
    (dry,) = received()
    assert "This is a dry run: nothing was changed. What would be:\n\nold: " in dry
    account.run(dry_run=False, **event)
    (done,) = received()
    assert re.search(r"\nold: action mark, may be deleted after 20\d\d-\d\d-\d\d \d\d:\d\d", done)
    assert "dry run" not in done
    assert _sent(topic)[-1][1]["sms"] == "SageMaker: 1 idle endpoint, 1 changed"


def test_nothing_to_say_is_not_said(account: World, told: Any) -> None:
    """Busy endpoints are no news."""
    topic, received = told
    account.sagemaker.add_endpoint("busy")
    account.invoked("busy", [1])
    account.run(topic_arn=topic)
    assert received() == []


def test_failures_and_a_remainder_are_told(account: World, told: Any) -> None:
    """Whoever reads the message knows that it is not the whole."""
    topic, received = told
    account.sagemaker.add_endpoint("shut")
    account.sagemaker.faults["DescribeEndpoint"] = lambda asked: Refusal(
        "AccessDeniedException", "not you"
    )
    report = account.run(topic_arn=topic)
    assert len(report.failed) == 1
    (text,) = received()
    assert "\nFailed: shut: " in text
    assert "not you" in text
    assert _sent(topic)[0][1]["sms"] == "SageMaker: 0 idle endpoints, 1 failed"


def test_a_list_too_long_for_one_message_comes_in_several(account: World, told: Any) -> None:
    """Each fits, an endpoint is not torn apart, and none is lost; SMS stays short."""
    topic, _ = told
    names = [f"{'a-long-name-' * 4}{number:04}" for number in range(450)]
    for name in names:
        account.sagemaker.add_endpoint(name)
    account.proxy.answers = quiet_hosts
    account.run(topic_arn=topic)
    sent = _sent(topic)
    count = len(sent)
    assert count == 2
    for number, (subject, forms) in enumerate(sent, 1):
        assert subject == f"SageMaker: 450 idle endpoints ({number}/{count})"
        assert forms["sms"] == f"SageMaker: 450 idle endpoints ({number}/{count})"
        assert len(forms["sms"]) <= MOST_SMS
        assert len(json.dumps(forms, ensure_ascii=False).encode()) <= MOST_BYTES
        links = re.findall(r"#/endpoints/(\S+)", forms["default"])
        assert links == re.findall(r"^(a-long\S+) \(", forms["default"], re.MULTILINE)
    told_of = [n for _, forms in sent for n in re.findall(r"#/endpoints/(\S+)", forms["default"])]
    assert told_of == names


def test_marks_of_which_nobody_can_be_told_are_taken_back(account: World) -> None:
    """No grace runs in silence; the failure is reported."""
    account.sagemaker.add_endpoint("old")
    account.host("old")
    gone = f"arn:aws:sns:{REGION}:{ACCOUNT}:nobody"
    report = account.run(action="mark", dry_run=False, topic_arn=gone)
    assert MARK_TAG not in account.sagemaker.tags[arn_of("endpoint", "old")]
    assert [failure["name"] for failure in report.failed] == [gone]
    assert report.skipped[-1]["reason"] == "its mark was taken back: nobody could be told"
    assert report.changed == []


def test_a_deletion_has_somebody_to_tell_or_says_that_it_has_none() -> None:
    """Else months of marks that nobody heard of would end in it."""
    event = {"action": "delete", "match_all": True, "save_to": "/nowhere", "dry_run": False}
    topic = f"arn:aws:sns:{REGION}:{ACCOUNT}:idle"
    with pytest.raises(EventError, match="topic_arn: must be given, or"):
        read(event, {})
    assert read({**event, "topic_arn": topic}, {}).topic_arn == topic
    assert read(event, {"IDLE_CULLER_TOPIC_ARN": topic}).topic_arn == topic
    assert read({**event, "topic_arn": topic, "notify": False}, {}).topic_arn == ""
    for harmless in ({"dry_run": True}, {"action": "mark"}, {"action": "scale-to-zero"}):
        read({**event, **harmless}, {})
