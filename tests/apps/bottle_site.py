"""A Bottle site in our layers."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import bottle

from onionskin import AllowAddresses, Onion, RequestId
from support.gate import wait_at

if TYPE_CHECKING:
    from collections.abc import Iterator

app = bottle.Bottle()
SECRET = "only for tests"


@app.get("/hello/<name>")
def hello(name: str) -> str:
    return f"Hello, {name}!"


@app.get("/json")
def as_json() -> dict[str, Any]:
    return {"id": bottle.request.environ["onionskin.request_id"]}


@app.get("/stream")
def stream() -> Iterator[str]:
    bottle.response.content_type = "text/plain"
    bottle.response.set_header("X-Late", "yes")
    yield "first|"
    yield "second" if wait_at(int(bottle.request.query.gate)) else "nobody came"


@app.post("/upload")
def upload() -> dict[str, Any]:
    sent = bottle.request.files.file
    content = sent.file.read()
    return {"name": sent.raw_filename, "size": len(content), "sum": sum(content)}


@app.post("/body")
def body() -> bytes:
    return bytes(bottle.request.body.read())


@app.get("/count")
def count() -> str:
    visits = int(bottle.request.get_cookie("visits", "0", secret=SECRET)) + 1
    bottle.response.set_cookie("visits", str(visits), secret=SECRET)
    return str(visits)


@app.get("/file")
def file() -> Any:
    return bottle.static_file(Path(__file__).name, root=Path(__file__).parent, mimetype="text/plain")


@app.get("/refuse")
def refuse() -> None:
    bottle.abort(401, "Not you.")


@app.get("/fault")
def fault() -> None:
    raise RuntimeError("in the view")


application = Onion(RequestId(), AllowAddresses(allowed_addresses=["127.0.0.1"]))(app)
