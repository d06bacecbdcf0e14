"""Each layer of the table around the scripted application, with options that show it at work.

A new layer has its row here; test_differential.py fails while it is missing.
"""

from __future__ import annotations

import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import onionskin

LOCAL = ["127.0.0.0/8", "::1"]
IDS = {
    "X-Request-Id": "from-the-client-1",
    "Traceparent": f"00-{'a' * 32}-{'b' * 16}-01",
    "Tracestate": "vendor=1",
}
SEEN = {"set": {"X-Tier": "gold"}, "append": {"X-List": ["a", "b"]}, "default": {"Accept": "*/*"}}
SHOWN = {
    "set": {"X-Frame-Options": "DENY", "Content-Language": "en"},
    "append": {"Set-Cookie": ["a=1; Path=/", "b=2"]},
    "default": {"Cache-Control": "no-cache"},
    "remove": ["X-Powered-By", "ETag"],
}


STATIC = Path(__file__).parent / "static"
"""Files that have the names of some scripts."""
SHEET = str(Path(__file__).parent / "sheets" / "words.xsl")
MOUNTED = ["environ", "hello", "echo", "lazy", "cut", "file", "replaced_without_a_first"]
SECRET = "for-tests-only: kP2vN8xQ4mT7wR1zL5cB9hF3jD6gS0yA"
SESSIONS = Path(tempfile.gettempdir()) / "onionskin-tests-sessions.sqlite"


@dataclass(frozen=True)
class Stack:
    """One layer with options, and what a request must bring so that two answers can be compared."""

    layer: str
    options: dict[str, Any]
    headers: dict[str, str] = field(default_factory=dict)

    def around(self, app: Any) -> Any:
        """The layer around ``app``."""
        names = {row["name"]: row["class"] for row in onionskin._core.declarations()}
        return getattr(onionskin, names[self.layer])(**self.options)(app)


STACKS: dict[str, Stack] = {
    "allow_addresses": Stack("allow_addresses", {"allowed_addresses": LOCAL}),
    "allow_addresses_refusing": Stack("allow_addresses", {"allowed_addresses": ["192.0.2.1"]}),
    "allow_addresses_hiding": Stack("allow_addresses", {"allowed_addresses": ["192.0.2.1"], "status": 404}),
    "compress": Stack("compress", {"min_size": 1}, {"Accept-Encoding": "gzip"}),
    "compress_unwanted": Stack("compress", {"min_size": 1}),
    "errors": Stack("errors", {}),
    "errors_everywhere": Stack("errors", {"intercept_app_errors": True, "problem_json": "always"}),
    "headers": Stack("headers", {"request": SEEN, "response": SHOWN}),
    "mount": Stack("mount", {"routes": {f"/{name}": "doors.scripted:mounted" for name in MOUNTED}}),
    "mount_unstripped": Stack(
        "mount", {"routes": {f"/{name}": "doors.scripted:application" for name in MOUNTED}, "strip": False}
    ),
    "balance_elsewhere": Stack(
        "balance", {"targets": ["http://127.0.0.1:1"], "match": {"path": "/elsewhere/**"}}
    ),
    "balance_refusing": Stack("balance", {"targets": ["http://127.0.0.1:1", "http://127.0.0.1:2"]}),
    "proxy_elsewhere": Stack("proxy", {"target": "http://127.0.0.1:1", "match": {"path": "/elsewhere/**"}}),
    "proxy_refusing": Stack("proxy", {"target": "http://127.0.0.1:1"}),
    "request_id": Stack("request_id", {"trust_inbound": True}, IDS),
    "request_id_alone": Stack("request_id", {"trust_inbound": True, "traceparent": False}, IDS),
    "request_id_elsewhere": Stack("request_id", {"unless": {"path": "/**"}}, IDS),
    "session": Stack("session", {"secret": [SECRET]}, {"Cookie": "__Host-sid=rubbish"}),
    "session_in_sqlite": Stack("session", {"secret": [SECRET], "store": f"sqlite:{SESSIONS}"}),
    "static_files": Stack("static_files", {"root": STATIC, "allow_all_origins": True}),
    "static_files_compressed": Stack("static_files", {"root": STATIC}, {"Accept-Encoding": "gzip"}),
    "static_files_in_part": Stack("static_files", {"root": STATIC}, {"Range": "bytes=2-5"}),
    "static_files_refusing": Stack("static_files", {"root": STATIC, "fallthrough": False}),
    "xslt": Stack("xslt", {"sheet": SHEET}),
    "xslt_passing": Stack(
        "xslt",
        {"sheet": SHEET, "types": ["text/*"], "on_error": "pass", "unless": {"path": "/middle_fault"}},
    ),
}
