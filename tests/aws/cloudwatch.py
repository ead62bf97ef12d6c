"""Stands before a CloudWatch (moto's): notes what GetMetricData asks, and fails as asked.

Moto finds metrics by some of their dimensions, AWS by all of them alone; so what is asked is kept
here to be looked at. A crowd of endpoints, too many for moto, is answered by a function.
"""

from __future__ import annotations

import http.client
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit

import botocore.session
from botocore.parsers import RpcV2CBORParser
from botocore.serialize import CBORSerializer

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

    def get_metric_data(self, body: bytes) -> bytes | str | None:
        """Note a call; return the answer, the code of an error, or None: ask upstream."""
        stream = self._parser.get_peekable_stream_from_bytes(body)
        parameters = self._parser.parse_data_item(stream)
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
        text = bytearray()
        self._serializer._serialize_data_item(text, self.answers(parameters), self._output)
        return bytes(text)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    proxy: CloudWatchProxy

    def do_POST(self) -> None:
        """Answer, fail, or pass on."""
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        given = None
        if self.path.endswith("/GetMetricData"):
            given = self.proxy.get_metric_data(body)
        if isinstance(given, str):
            self._answer(400, {"Content-Type": _CBOR}, _error(given))
        elif given is not None:
            self._answer(200, {"Content-Type": _CBOR}, given)
        else:
            upstream = self.proxy.upstream
            connection = http.client.HTTPConnection(
                upstream.hostname or "", upstream.port, timeout=30
            )
            connection.request("POST", self.path, body, dict(self.headers.items()))
            response = connection.getresponse()
            text = response.read()
            kind = response.getheader("Content-Type", _CBOR)
            connection.close()
            self._answer(response.status, {"Content-Type": kind}, text)

    def _answer(self, status: int, headers: dict[str, str], body: bytes) -> None:
        self.send_response(status)
        for name, value in {**headers, "Smithy-Protocol": "rpc-v2-cbor"}.items():
            self.send_header(name, value)
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
