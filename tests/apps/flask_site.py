"""A Flask site in our layers: one by Flask's own idiom, one around all of it."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flask import Flask, abort, redirect, request, send_file, session, stream_with_context

from onionskin import AllowAddresses, RequestId
from support.gate import wait_at

if TYPE_CHECKING:
    from collections.abc import Iterator

app = Flask(__name__)
app.secret_key = "only for tests"


@app.get("/")
def hello() -> str:
    return f"Hello, {request.args.get('name', 'neighbour')}!"


@app.get("/id")
def request_id() -> str:
    return str(request.environ["onionskin.request_id"])


@app.get("/stream")
def stream() -> Any:
    @stream_with_context
    def blocks() -> Iterator[str]:
        yield f"first for {request.args['name']}|"
        yield "second" if wait_at(int(request.args["gate"])) else "nobody came"

    return app.response_class(blocks(), mimetype="text/plain")


@app.post("/upload")
def upload() -> dict[str, Any]:
    sent = request.files["file"]
    content = sent.read()
    digest = hashlib.sha256(content).hexdigest()
    return {"name": sent.filename, "size": len(content), "digest": digest, "note": request.form["note"]}


@app.post("/log-in")
def log_in() -> Any:
    session["user"] = request.form["user"]
    response = redirect("/whoami", 303)
    response.set_cookie("seen", "yes")
    return response


@app.get("/whoami")
def whoami() -> dict[str, Any]:
    return {"user": session.get("user"), "seen": request.cookies.get("seen")}


@app.get("/file")
def file() -> Any:
    return send_file(Path(__file__), mimetype="text/plain", conditional=True)


@app.get("/refuse")
def refuse() -> None:
    abort(418)


@app.get("/fault")
def fault() -> None:
    raise RuntimeError("in the view")


@app.route("/path/<path:rest>", methods=["GET", "DELETE"])
def path(rest: str) -> Any:
    return {"rest": rest, "method": request.method, "url": request.url}


app.wsgi_app = RequestId(app.wsgi_app)  # type: ignore[method-assign]
application = AllowAddresses(app, ["127.0.0.0/8"])
