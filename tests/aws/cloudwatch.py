"""Stands before a CloudWatch (moto's): notes what GetMetricData asks, and fails as asked.

Moto finds metrics by some of their dimensions, AWS by all of them alone; so what is asked is kept
here to be looked at. A crowd of endpoints, too many for moto, is answered by a function. botocore
speaks JSON or CBOR, as it sees fit; both are understood.
"""

from __future__ import annotations

import datetime
import http.client
import json
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit

import botocore.session
from botocore.parsers import RpcV2CBORParser
from botocore.serialize import CBORSerializer

from . import model

Json = dict[str, Any]
_CBOR = "application/cbor"


class CloudWatchProxy:
    """Use it as a context manager. ``upstream``: who answers; or ``answers`` does, for all calls.

    ``fault(number)`` says for the n-th GetMetricData, from 1, the code of an error, or nothing.
    """

    def __init__(
        self,
        upstream: str = "",
        answers: Callable[[Json], Json] | None = None,
        fault: Callable[[int], str] = lambda number: "",
        keep: bool = True,
    ) -> None:
        self.upstream, self.answers, self.fault = urlsplit(upstream), answers, fault
        self.refuses: set[str] = set()
        """Operations that are refused."""
        self.asked: list[Json] = []
        self.calls = 0
        self.queries = 0
        self._keep = keep
        session = botocore.session.get_session()
        model = session.get_service_model("cloudwatch").operation_model("GetMetricData")
        self._output = model.output_shape
        self._parser = RpcV2CBORParser()
        self._serializer = CBORSerializer()
        self._lock = threading.Lock()
        handler = type("Handler", (_Handler,), {"proxy": self})
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> CloudWatchProxy:
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    def metrics(self) -> list[tuple[str, str, dict[str, str]]]:
        """Return what was asked for: namespace, metric, dimensions."""
        return [
            (
                query["MetricStat"]["Metric"]["Namespace"],
                query["MetricStat"]["Metric"]["MetricName"],
                {d["Name"]: d["Value"] for d in query["MetricStat"]["Metric"]["Dimensions"]},
            )
            for call in self.asked
            for query in call["MetricDataQueries"]
        ]

    def get_metric_data(self, body: bytes, cbor: bool) -> bytes | str | None:
        """Note a call; return the answer, the code of an error, or None: ask upstream."""
        parameters = self._parsed(body) if cbor else _with_times(json.loads(body))
        with self._lock:
            self.calls += 1
            self.queries += len(parameters["MetricDataQueries"])
            if self._keep:
                self.asked.append(parameters)
            code = self.fault(self.calls)
        if code:
            return code
        if self.answers is None:
            return None
        answer = self.answers(parameters)
        if not cbor:
            return json.dumps(model.as_json(answer)).encode()
        text = bytearray()
        self._serializer._serialize_data_item(text, answer, self._output)
        return bytes(text)

    def _parsed(self, body: bytes) -> Json:
        stream = self._parser.get_peekable_stream_from_bytes(body)
        parsed: Json = self._parser.parse_data_item(stream)
        return parsed


def _with_times(parameters: Json) -> Json:
    times = {
        name: datetime.datetime.fromtimestamp(parameters[name], datetime.timezone.utc)
        for name in ("StartTime", "EndTime")
    }
    return {**parameters, **times}


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # else each answer waits for an acknowledgement that is delayed
    proxy: CloudWatchProxy

    def do_POST(self) -> None:
        """Answer, fail, or pass on."""
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        target = self.headers.get("X-Amz-Target", "")
        cbor = self.headers.get("Smithy-Protocol") == "rpc-v2-cbor"
        kind = _CBOR if cbor else "application/x-amz-json-1.0"
        given: bytes | str | None = None
        operation = self.path.rpartition("/")[2] if cbor else target.rpartition(".")[2]
        if operation in self.proxy.refuses:
            given = "AccessDeniedException"
        elif operation == "GetMetricData":
            given = self.proxy.get_metric_data(body, cbor)
        elif not cbor and not target:
            given = "UnknownProtocol"
        if isinstance(given, str):
            told = {"__type": given, "message": "Rate exceeded"}
            self._answer(400, kind, _error(given) if cbor else json.dumps(told).encode())
        elif given is not None:
            self._answer(200, kind, given)
        else:
            upstream = self.proxy.upstream
            connection = http.client.HTTPConnection(
                upstream.hostname or "", upstream.port, timeout=30
            )
            connection.request("POST", self.path, body, dict(self.headers.items()))
            response = connection.getresponse()
            text = response.read()
            kind = response.getheader("Content-Type", kind)
            connection.close()
            self._answer(response.status, kind, text)

    def _answer(self, status: int, kind: str, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        if kind == _CBOR:
            self.send_header("Smithy-Protocol", "rpc-v2-cbor")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""


def _error(code: str) -> bytes:
    def text(value: str) -> bytes:
        raw = value.encode()
        return bytes([0x78, len(raw)]) + raw

    return b"\xa2" + text("__type") + text(code) + text("message") + text("Rate exceeded")


def quiet_hosts(asked: Json) -> Json:
    """Answer for a crowd: every host published its utilization throughout, nothing else came."""
    start, end = asked["StartTime"].timestamp(), asked["EndTime"].timestamp()
    times: dict[int, list[datetime.datetime]] = {}
    results = []
    for query in asked["MetricDataQueries"]:
        stat = query["MetricStat"]
        told: Json = {"Id": query["Id"], "Label": query["Id"], "StatusCode": "Complete"}
        told |= {"Timestamps": [], "Values": []}
        if stat["Metric"]["MetricName"] == "CPUUtilization":
            period = stat["Period"]
            if period not in times:
                seconds = range(int(start) - int(start) % period, int(end), period)
                times[period] = [
                    datetime.datetime.fromtimestamp(s, datetime.timezone.utc) for s in seconds
                ]
            told |= {"Timestamps": times[period], "Values": [4.5] * len(times[period])}
        results.append(told)
    return {"MetricDataResults": results, "Messages": []}
