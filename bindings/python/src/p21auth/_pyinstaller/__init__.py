"""Where PyInstaller finds the hook that puts the native library into a frozen program."""

from __future__ import annotations

import os


def hook_dirs() -> list[str]:
    """The folder of ``hook-p21auth.py``."""
    return [os.path.dirname(__file__)]
