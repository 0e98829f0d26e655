"""Where the command line tool is."""

from __future__ import annotations

import os
import sys

from ._native import BUNDLED, LibraryError

#: Overrides which tool is run, as ``P21AUTH_LIBRARY`` does for the library.
TOOL_VARIABLE = "P21AUTH_CLI"


def path() -> str:
    """Full path of the tool: the one that ``P21AUTH_CLI`` names, otherwise the bundled one."""
    chosen = os.environ.get(TOOL_VARIABLE)
    tool = (
        os.path.abspath(chosen) if chosen else os.path.join(BUNDLED, "p21auth.exe" if sys.platform == "win32" else "p21auth")
    )
    if not os.path.isfile(tool):
        raise LibraryError(
            f"the command line tool is not at {tool}. Reinstall the package for this platform: its wheel holds the tool. Or "
            f"set {TOOL_VARIABLE} to its full path."
        )
    return tool
