"""``python -m p21auth``: the command line tool that came with this package."""

from __future__ import annotations

import os
import sys

from ._cli import path


def main() -> int:
    """Runs the tool with this process' arguments, in its place where the system can do that."""
    tool = path()
    arguments = [tool, *sys.argv[1:]]
    if os.name == "posix":
        os.execv(tool, arguments)
    import subprocess

    return subprocess.run(arguments, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
