"""hello inside WhiteNoise: the same files as `static_native.py` has, from Python."""

from pathlib import Path

from whitenoise import WhiteNoise

from apps import hello

FILES = Path(__file__).parents[1] / "venv" / "work" / "static"

app = WhiteNoise(hello, root=FILES, prefix="static")
