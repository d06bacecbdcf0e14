"""10 KB of JSON and 100 KB of HTML in Compress, and as they are."""

import json

from onionskin import Compress

WORDS = ("onion", "layer", "request", "response", "peel", "skin", "core", "server", "door", "house")


def rows(count):
    """Rows that repeat themselves as much as rows do."""
    number = 7
    for _ in range(count):
        number = number * 6364136223846793005 % (1 << 64) + 1442695040888963407
        first, second = WORDS[(number >> 33) % 10], WORDS[(number >> 43) % 10]
        yield {"id": number >> 44, "name": f"{first} {second}", "email": f"{first}@example.org"}


JSON = json.dumps(list(rows(130))).encode()
HTML = "".join(
    f'<li class="product" id="p{row["id"]}"><h2><a href="/p/{row["id"]}">{row["name"]}</a></h2>'
    f'<p class="by">{row["email"]}</p></li>\n'
    for row in rows(800)
).encode()


def plain_json(environ, start_response):
    """About 10 KB of JSON."""
    start_response("200 OK", [("Content-Type", "application/json"), ("Content-Length", str(len(JSON)))])
    return [JSON]


def plain_html(environ, start_response):
    """About 100 KB of HTML."""
    start_response("200 OK", [("Content-Type", "text/html"), ("Content-Length", str(len(HTML)))])
    return [HTML]


json_compressed = Compress(plain_json)
html_compressed = Compress(plain_html)
