"""The folders that an application was imported from, for whoever watches them for changes."""

from __future__ import annotations

import site
import sys
import sysconfig
import traceback
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable


class Imported:
    """Folders of modules, each told once. Those of Python itself and of what is installed are left out.

    An instance is called again and again: applications import as they go.
    """

    def __init__(self) -> None:
        paths = sysconfig.get_paths()
        installed = [paths[name] for name in ("stdlib", "platstdlib", "purelib", "platlib")]
        installed += [*site.getsitepackages(), site.getusersitepackages(), str(Path(__file__).parent)]
        self.installed = {Path(folder).resolve() for folder in installed}
        self.told: set[Path] = set()
        self.modules = 0

    def __call__(self) -> list[str]:
        """Those that are new."""
        if len(sys.modules) == self.modules:
            return []
        self.modules = len(sys.modules)
        # Other threads may import meanwhile.
        modules = list(sys.modules.values())
        return self.news(getattr(module, "__file__", None) for module in modules)

    def by(self, error: BaseException) -> list[str]:
        """The new ones, with those that an exception has come through: what raises is no module then."""
        files: list[str | None] = []
        seen: list[BaseException] = []
        ahead: list[BaseException | None] = [error]
        while ahead:
            raised = ahead.pop()
            if raised is not None and raised not in seen:
                seen.append(raised)
                files += [frame.f_code.co_filename for frame, _ in traceback.walk_tb(raised.__traceback__)]
                files += [raised.filename] if isinstance(raised, SyntaxError) else []
                ahead += [raised.__cause__, raised.__context__]
        return [*self(), *self.news(files)]

    def news(self, files: Iterable[str | None]) -> list[str]:
        """The folders of these files, without those that were told."""
        folders = {Path(file).resolve().parent for file in files if file}
        new = {folder for folder in folders if self.installed.isdisjoint([folder, *folder.parents])}
        new -= self.told
        self.told |= new
        return sorted(map(str, new))
