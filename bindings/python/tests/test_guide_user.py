"""A user's whole script, run as a process of its own."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from p21auth.testing import CONSUMER_KEY, PASSWORD, Emulator


def test_a_script_written_after_the_guide_works(emulator: Emulator) -> None:
    script = Path(__file__).with_name("guide_user.py")
    done = subprocess.run(
        [sys.executable, str(script), emulator.base_url, "demo", PASSWORD, CONSUMER_KEY],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    lines = done.stdout.splitlines()
    assert done.returncode == 0, done.stderr
    assert lines[:4] == ["rows 25", "refresher 1 True", "consumer demo True None", "ui True"]
    assert lines[4] == "Authentication failed: 401"
    assert lines[5].startswith('Response: {"ErrorMessage":"the server rejects the username or password')
    # One for the user, one for the key, one that was refused.
    counters = emulator.counters()
    assert (counters["token.requests"], counters["token.refused"]) == (3, 1)
    assert done.stderr == ""
