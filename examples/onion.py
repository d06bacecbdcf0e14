"""Two layers around a small application, with a page that says which does what: what `make serve` serves.

onionskin serve examples/onion.py
"""

from onionskin import AllowAddresses, Onion, RequestId

PAGE = """<!doctype html>
<title>onionskin</title>
<h1>This is the middle of the onion</h1>
<p>On its way here your request has passed two layers:
<ol>
<li><code>RequestId</code> gave it the id <code>{id}</code>; the response carries it too.
<li><code>AllowAddresses</code> guards <a href="/elsewhere">/elsewhere</a>, for addresses that are not yours:
you get a 403, and Python never hears of it. This page it leaves alone.
</ol>
"""


def page(environ, start_response):
    found = environ["PATH_INFO"] == "/"
    body = PAGE.format(id=environ["onionskin.request_id"]) if found else "Nothing here."
    headers = [("Content-Type", "text/html; charset=utf-8")]
    start_response("200 OK" if found else "404 Not Found", headers)
    return [body.encode()]


application = Onion(
    RequestId(),
    AllowAddresses(allowed_addresses=["192.0.2.0/24"], match={"path": ["/elsewhere", "/elsewhere/**"]}),
)(page)
