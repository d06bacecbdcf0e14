"""Spans of a real server, as a collector gets them by OTLP over HTTP."""

from __future__ import annotations

import json
import subprocess
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from server.process import HERE, ONIONSKIN, wait_until

INBOUND = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


class Collector(ThreadingHTTPServer):
    """Takes spans; the first answers can be given."""

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Receiver)
        self.messages = []
        self.refusals = []
        self.endpoint = f"http://127.0.0.1:{self.server_port}"

    def spans(self, count):
        """All spans, once there are `count`."""

        def found():
            scopes = [
                scope
                for _, message in self.messages
                for part in message["resourceSpans"]
                for scope in part["scopeSpans"]
            ]
            return [span for scope in scopes for span in scope["spans"]]

        wait_until(lambda: len(found()) >= count)
        return found()


class Receiver(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        assert self.headers["Content-Type"] == "application/json"
        message = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        status = self.server.refusals.pop(0) if self.server.refusals else 200
        if status == 200:
            self.server.messages.append((self.path, message))
        self.send_response(status)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"{}")

    def log_message(self, *_):
        pass


@pytest.fixture
def collector():
    with Collector() as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def attributes(told):
    return {each["key"]: next(iter(each["value"].values())) for each in told["attributes"]}


def environ_of(client, *headers):
    """The texts in the environ of a request with these headers."""
    return json.loads(client.get("/environ_as_json", *headers).body)["texts"]


def test_a_span_tells_of_a_request_by_the_conventions(serve, collector):
    server = serve("--otlp-endpoint", collector.endpoint, "--otlp-service", "shop", "--layer", "request_id")
    with server.client() as client:
        response = client.get("/environ_as_json?secret=1", "User-Agent: test")
    environ = json.loads(response.body)["texts"]

    (span,) = collector.spans(1)
    assert collector.messages[0][0] == "/v1/traces"
    resource = collector.messages[0][1]["resourceSpans"][0]["resource"]
    assert attributes(resource)["service.name"] == "shop"
    assert attributes(resource)["process.pid"] == str(server.popen.pid)
    assert (span["name"], span["kind"], span["status"]) == ("GET", 2, {})
    assert 0 <= int(span["endTimeUnixNano"]) - int(span["startTimeUnixNano"]) < 10_000_000_000
    told = attributes(span)
    assert told["url.path"] == "/environ_as_json"
    assert told["http.response.status_code"] == "200"
    assert told["http.response.body.size"] == str(len(response.body))
    assert told["user_agent.original"] == "test"
    assert told["client.address"] == "127.0.0.1"
    assert told["network.protocol.version"] == "1.1"
    assert told["onionskin.request_id"] == response.header("X-Request-Id")
    assert "secret" not in json.dumps(span)
    # The application sees the server's span, and RequestId the same trace.
    assert environ["HTTP_TRACEPARENT"] == f"00-{span['traceId']}-{span['spanId']}-01"
    assert environ["onionskin.trace_id"] == span["traceId"]


def test_a_trace_from_outside_begins_anew_unless_it_is_trusted(serve, collector):
    headers = f"traceparent: {INBOUND}", "tracestate: a=1"
    server = serve("--otlp-endpoint", collector.endpoint)
    with server.client() as client:
        environ = environ_of(client, *headers)
    (span,) = collector.spans(1)
    assert span["traceId"] != INBOUND[3:35]
    assert not {"parentSpanId", "traceState"} & set(span)
    assert "HTTP_TRACESTATE" not in environ

    server = serve("--otlp-endpoint", collector.endpoint, "--otlp-trust-inbound")
    with server.client() as client:
        environ = environ_of(client, *headers)
    span = collector.spans(2)[1]
    assert (span["traceId"], span["parentSpanId"], span["traceState"]) == (
        INBOUND[3:35],
        INBOUND[36:52],
        "a=1",
    )
    assert environ["HTTP_TRACEPARENT"] == f"00-{INBOUND[3:35]}-{span['spanId']}-01"
    assert environ["HTTP_TRACESTATE"] == "a=1"


def test_who_began_a_trace_decides_whether_it_is_recorded(serve, collector):
    server = serve("--otlp-endpoint", collector.endpoint, "--otlp-trust-inbound", "--otlp-sample", "0")
    with server.client() as client:
        unsampled = environ_of(client)["HTTP_TRACEPARENT"]
        assert unsampled.endswith("-00")
        client.get("/environ_as_json", f"traceparent: {INBOUND}")
        client.get("/environ_as_json", f"traceparent: {INBOUND[:-2]}00")
    assert server.stop() == 0
    (span,) = collector.spans(1)
    assert span["parentSpanId"] == INBOUND[36:52]


def test_a_stream_of_http2_is_a_request(serve, collector):
    server = serve("--otlp-endpoint", collector.endpoint)
    url = f"http://127.0.0.1:{server.port}/hello"
    asked = subprocess.run(
        ["curl", "-sS", "--http2-prior-knowledge", url], stdout=subprocess.PIPE, check=True
    )
    assert asked.stdout == b"hello"
    (span,) = collector.spans(1)
    told = attributes(span)
    assert told["network.protocol.version"] == "2"
    assert (told["server.address"], told["server.port"]) == ("127.0.0.1", str(server.port))
    assert (told["http.request.body.size"], told["http.response.body.size"]) == ("0", "5")


def test_what_went_wrong_is_an_error(serve, collector):
    server = serve("--otlp-endpoint", collector.endpoint)
    with server.client() as client:
        assert client.get("/raises").status == 500
    (span,) = collector.spans(1)
    assert span["status"] == {"code": 2}
    assert attributes(span)["error.type"] == "500"


def test_what_has_ended_is_sent_at_the_stop(serve, collector):
    server = serve("--otlp-endpoint", collector.endpoint)
    for _ in range(3):
        server.get("/hello")
    assert server.stop() == 0
    assert len(collector.spans(3)) == 3
    assert len({span["spanId"] for span in collector.spans(3)}) == 3


def test_a_collector_that_is_busy_is_asked_again(serve, collector):
    collector.refusals = [503, 429]
    server = serve("--otlp-endpoint", collector.endpoint)
    server.get("/hello")
    assert len(collector.spans(1)) == 1
    assert "lost" not in server.log


def test_a_collector_that_refuses_or_is_not_there_is_told_and_stops_nobody(serve, collector):
    collector.refusals = [400]
    server = serve("--otlp-endpoint", collector.endpoint)
    server.get("/hello")
    server.wait_for_line(r"1 spans are lost: http://127.0.0.1:\d+/v1/traces: it answered 400")

    server = serve("--otlp-endpoint", "http://127.0.0.1:9")
    assert server.get("/hello") == b"hello"
    assert server.stop() == 0
    assert "1 spans are lost: http://127.0.0.1:9/v1/traces: " in server.log


@pytest.mark.parametrize(
    ("option", "value", "told"),
    [
        ("--otlp-endpoint", "collector:4318", "write one such as http://127.0.0.1:4318"),
        ("--otlp-sample", "2", "a number from 0 to 1"),
    ],
)
def test_what_does_not_fit_is_refused_in_one_line(option, value, told):
    command = [*ONIONSKIN, "serve", "applications:application", option, value]
    refused = subprocess.run(command, cwd=HERE, capture_output=True, text=True, check=False)
    assert refused.returncode == 2
    assert told in refused.stderr
    assert refused.stderr.count("\n") == 1
