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

    kept = {mode: (size, resident) for mode, size, resident in clean_mappings(server.popen.pid)}

    for size, resident in (kept["r-xp"], kept["r--p"]):
        assert 0 < resident < size / 2


def clean_mappings(pid):
    """The mode, size and resident part, in KiB, of mappings of the extension that nobody has written to."""
    smaps = Path(f"/proc/{pid}/smaps").read_text()
    for mapping in re.split(r"^(?=[0-9a-f]+-[0-9a-f]+ )", smaps, flags=re.MULTILINE):
        told = dict(re.findall(r"^(\w+): +(\d+) kB", mapping, flags=re.MULTILINE))
        head = mapping.partition("\n")[0].split()
        if head and "/onionskin/_core." in head[-1] and told["Anonymous"] == "0":
            yield head[1], int(told["Size"]), int(told["Rss"])


def test_a_server_does_not_import_what_it_does_not_need():
    command = "import sys, onionskin.cli, onionskin.serving; print(*sys.modules)"
    imported = subprocess.run(
        [sys.executable, "-I", "-S", "-c", f"import sys; sys.path[:0] = {sys.path!r}; {command}"],
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    ).stdout.split()

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
