"""Where the command line tool is."""

from __future__ import annotations

import os
import sys

from ._native import BUNDLED, LibraryError


def path() -> str:
    """Full path of the bundled tool."""
    tool = os.path.join(BUNDLED, "p21auth.exe" if sys.platform == "win32" else "p21auth")
    if not os.path.isfile(tool):
        raise LibraryError(
            f"the command line tool is not at {tool}. Reinstall the package for this platform: its wheel holds the tool."
        )
    return tool
