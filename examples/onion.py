"""Every kind of layer around applications of every kind: what `make serve` serves (see README.md)."""

import atexit
import secrets
import subprocess
import sys
import tempfile
from pathlib import Path

import django_app
import flask_app

import onionskin as on

HERE = Path(__file__).with_suffix("")


def index(environ, start_response):
    """The page that leads to all the others."""
    if environ["PATH_INFO"] != "/":
        start_response("404 Not Found", [])
        return []
    session = environ["onionskin.session"]
    session["visits"] = session.get("visits", 0) + 1
    start_response("200 OK", [("Content-Type", "text/html; charset=utf-8")])
    page = (HERE / "index.html").read_text()
    return [page.format(visits=session["visits"], id=environ["onionskin.request_id"]).encode()]


def bulbs(environ, start_response):
    start_response("200 OK", [("Content-Type", "application/xml")])
    return [(HERE / "bulbs.xml").read_bytes()]


def workers(count):
    """Other processes, on Unix sockets; they end with this one."""
    command = [sys.executable, "-m", "onionskin", "serve", f"{HERE}/worker.py", "--bind"]
    sockets = tempfile.mkdtemp(prefix="onionskin-")
    for place in (places := [f"unix:{sockets}/{number}" for number in range(count)]):
        atexit.register(subprocess.Popen([*command, place], stderr=subprocess.DEVNULL).terminate)
    return places


pages = {
    "/flask": flask_app.application,
    "/django": django_app.application,
    "/files": on.StaticFiles(HERE / "static", index="index.html"),
    "/bulbs": on.Xslt(bulbs, sheet=HERE / "bulbs.xsl"),
    "/workers": on.Balance(workers(2)),
}
application = on.Onion(
    on.RequestId(),
    on.Errors(),
    on.Compress(),
    on.AllowAddresses(allowed_addresses=["192.0.2.0/24"], match={"path": "/elsewhere/**"}),
    on.Session(secret=[secrets.token_urlsafe(32)], secure=False),
)(on.Mount(pages, default=index, slash="redirect"))
