"""What a server keeps in memory of its own start, and what it imports."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells of mappings in /proc")
def test_code_and_constants_that_only_the_start_needed_are_unmapped(serve):
    server = serve()
    server.get("/quick_list")

    forgetful = clean_mappings(Path(f"/proc/{server.popen.pid}/smaps").read_text())
    remembering = clean_mappings(run(READ_OPTIONS_AND_SERVE_ONCE))

    assert 0 < forgetful["r-xp"] < remembering["r-xp"]
    assert 0 < forgetful["r--p"] < remembering["r--p"]


READ_OPTIONS_AND_SERVE_ONCE = """
import threading, urllib.request
from onionskin import cli
from onionskin.simple_server import make_server

def hello(environ, start_response):
    start_response("200 OK", [])
    return [b"hello"]

cli.main(["config", "--no-config"])
# It begins no long service, and so forgets nothing.
server = make_server("127.0.0.1", 0, hello)
serving = threading.Thread(target=server.handle_request)
serving.start()
urllib.request.urlopen(f"http://127.0.0.1:{server.server_port}").read()
serving.join()
print(open("/proc/self/smaps").read())
"""


def clean_mappings(smaps):
    """What is resident, in KiB, of the extension's mappings that nobody has written to, by their mode."""
    resident = {}
    for mapping in re.split(r"^(?=[0-9a-f]+-[0-9a-f]+ )", smaps, flags=re.MULTILINE):
        told = dict(re.findall(r"^(\w+): +(\d+) kB", mapping, flags=re.MULTILINE))
        head = mapping.partition("\n")[0].split()
        if head and "/onionskin/_core." in head[-1] and told["Anonymous"] == "0":
            resident[head[1]] = int(told["Rss"])
    return resident


def run(text):
    """What a fresh interpreter prints."""
    command = [sys.executable, "-I", "-S", "-c", f"import sys; sys.path[:0] = {sys.path!r}\n{text}"]
    return subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout


def test_a_server_does_not_import_what_it_does_not_need():
    imported = run("import onionskin.cli, onionskin.serving; print(*sys.modules)").split()

    assert "onionskin.layers" in imported
    assert not {"typing", "shutil", "json", "onionskin.layers.proxy"} & set(imported)


def test_layers_are_there_by_every_name():
    import onionskin
    from onionskin import layers

    assert onionskin.Proxy is layers.Proxy
    assert onionskin.AuthenticationMiddleware is onionskin.AllowAddresses
    assert {"Proxy", "AuthenticationMiddleware", "serve"} <= set(dir(onionskin))
    for name in onionskin.__all__:
        assert getattr(onionskin, name) is not None
    with pytest.raises(AttributeError, match="module 'onionskin' has no attribute 'Nothing'"):
        onionskin.Nothing  # noqa: B018 - to look is what it is about
