"""A Flask site whose sessions are kept by Session."""

from __future__ import annotations

import datetime
import decimal
import threading
import uuid
from dataclasses import dataclass
from typing import Any

from flask import Flask, Response, flash, get_flashed_messages, request, session
from markupsafe import Markup

from onionskin import Session
from onionskin.flask import SessionInterface


@dataclass
class Point:
    """A place in a plane."""

    x: int
    y: int


TYPES: dict[Any, Any] = {
    "tuple": (1, (2, [3])),
    "bytes": b"\0\xff",
    "markup": Markup("<b>bold</b>"),
    "uuid": uuid.UUID(int=5),
    "datetime": datetime.datetime(2026, 11, 22, 10, 30, tzinfo=datetime.timezone.utc),
    "date": datetime.date(2026, 11, 22),
    "decimal": decimal.Decimal("1.50"),
    "dataclass": Point(1, 2),
    "nested": {"list": [(1, b"x"), {"u": uuid.UUID(int=6)}], " t": ["not a tag"]},
    "tagged": {" t": [1]},
    "int keys": {1: "a", 2: {"b": 3}},
    "float": float("inf"),
    "text": "a\ud800",
    "none": None,
    7: "an int key",
}
TOGETHER = threading.Barrier(4)

app = Flask(__name__)
app.secret_key = "for flash messages Flask wants none of its own"
app.session_interface = SessionInterface()


@app.get("/untouched")
def untouched() -> str:
    return "untouched"


@app.get("/count")
def count() -> str:
    session["count"] = session.get("count", 0) + 1
    return str(session["count"])


@app.post("/cart")
def cart() -> list[str]:
    session.setdefault("cart", {"items": []})["items"].append(request.form["item"])
    items: list[str] = session["cart"]["items"]
    return items


@app.post("/log-in")
def log_in() -> str:
    session.rotate()  # type: ignore[attr-defined]
    session["user"] = request.form["user"]
    session["at"] = datetime.datetime(2026, 11, 22, 10, 30, tzinfo=datetime.timezone.utc)
    session["pair"] = (1, b"two")
    flash("welcome", "info")
    return "in"


@app.post("/types")
def types() -> str:
    session.update(TYPES)
    return "kept"


@app.get("/types")
def shown_types() -> dict[str, str]:
    return {str(key): repr(value) for key, value in session.items()}


@app.post("/remember/<int:days>")
def remember(days: int) -> str:
    session["user"] = "ada"
    session.permanent = days > 0
    return "remembered"


@app.get("/together/<key>")
def together(key: str) -> str:
    session.get(key)
    TOGETHER.wait(10)
    session[key] = request.args.get("value", True)
    return key


@app.get("/whoami")
def whoami() -> dict[str, Any]:
    shown = {key: repr(value) for key, value in session.items() if not key.startswith("_")}
    return {"session": shown, "new": session.new, "flashes": get_flashed_messages(with_categories=True)}


@app.post("/log-out")
def log_out() -> str:
    session.invalidate()  # type: ignore[attr-defined]
    return "out"


@app.get("/stream")
def stream() -> Response:
    session["streamed"] = True
    return Response(iter(["a", "b"]))


application = app.wsgi_app = Session(  # type: ignore[method-assign]
    app.wsgi_app, secret="for-tests-only: kP2vN8xQ4mT7wR1zL5cB9hF3jD6gS0yA", secure=False
)
