"""One token for several processes."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from p21auth.testing import PASSWORD, USERNAME, Emulator

SCRIPT = "import p21auth\nprint(p21auth.Client.from_env().get_token())"


def test_processes_that_share_a_store_send_one_request(emulator: Emulator, tmp_path: Path) -> None:
    environment = {
        **os.environ,
        "P21_BASE_URL": emulator.base_url,
        "P21_USERNAME": USERNAME,
        "P21_PASSWORD": PASSWORD,
        "P21_STORE": f"file://{tmp_path / 'store'}",
    }

    def start() -> subprocess.Popen[str]:
        return subprocess.Popen([sys.executable, "-c", SCRIPT], env=environment, stdout=subprocess.PIPE, text=True)

    emulator.hold()
    pair = [start(), start()]
    emulator.wait(held=1)
    emulator.release()
    first, second = (process.communicate(timeout=60)[0] for process in pair)
    assert first == second != ""
    assert emulator.count("token.requests") == 1
