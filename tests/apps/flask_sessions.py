"""A Flask site whose sessions are kept by Session."""

from __future__ import annotations

import datetime
from typing import Any

from flask import Flask, Response, flash, get_flashed_messages, request, session

from onionskin import Session
from onionskin.flask import SessionInterface

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
