"""A program frozen by PyInstaller has the native library in it. Run by ``make test-deep``."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from p21auth.testing import PASSWORD, Emulator

pytest.importorskip("PyInstaller")
pytestmark = pytest.mark.deep

PROGRAM = """
import sys
import httpx
import p21auth
from p21auth.httpx import P21Auth

with p21auth.Client(base_url=sys.argv[1], username="demo", password=sys.argv[2], ca_file=sys.argv[3]) as client:
    with httpx.Client(auth=P21Auth(client), base_url=client.base_url, verify=client.ssl_context()) as http:
        print(getattr(sys, "frozen", False), http.get("/odataservice/odata/table/customer").status_code)
"""


@pytest.mark.parametrize("form", ["--onefile", "--onedir"])
def test_a_frozen_program_gets_a_token(form: str, tmp_path: Path, tls_emulator: Emulator) -> None:
    (tmp_path / "program.py").write_text(PROGRAM)
    command = [sys.executable, "-m", "PyInstaller", "--noconfirm", "--log-level=WARN", form, "program.py"]
    subprocess.run(command, cwd=tmp_path, check=True, timeout=600)
    folder = tmp_path / "dist" if form == "--onefile" else tmp_path / "dist" / "program"
    done = subprocess.run(
        [str(folder / "program"), tls_emulator.base_url, PASSWORD, str(tls_emulator.ca_file)],
        capture_output=True,
        text=True,
        # Nothing of this installation.
        env={"PATH": os.defpath, "TMPDIR": str(tmp_path)},
        cwd="/",
        timeout=120,
        check=False,
    )
    assert (done.returncode, done.stdout.split()) == (0, ["True", "200"]), done.stderr
    # The emulator's tool is for tests and stays out of it.
    assert not list((tmp_path / "dist").rglob("_bundled/p21auth"))
