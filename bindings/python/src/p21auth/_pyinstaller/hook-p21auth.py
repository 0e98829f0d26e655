"""The native library belongs beside the package; the command line tool, an emulator in it, does not."""

from __future__ import annotations

import os

from p21auth._native import BUNDLED, library_name

binaries = [(os.path.join(BUNDLED, library_name()), "p21auth/_bundled")]
