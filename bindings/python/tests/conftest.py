from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from p21auth.testing import Emulator

pytest_plugins = ["pytester"]
ROOT = Path(__file__).resolve().parents[3]

# Loopback only, no matter what the machine's proxy settings are.
for _name in [name for name in os.environ if name.lower() in ("http_proxy", "https_proxy", "all_proxy")]:
    del os.environ[_name]
# And the system's own trust.
for _name in [name for name in os.environ if name.startswith(("P21_", "SSL_CERT_")) or name == "REQUESTS_CA_BUNDLE"]:
    del os.environ[_name]


@pytest.fixture
def emulator(p21_emulator: Emulator) -> Emulator:
    return p21_emulator


@pytest.fixture
def tls_emulator() -> Iterator[Emulator]:
    with Emulator(tls="good") as emulator:
        yield emulator


@pytest.fixture
def python() -> Callable[..., subprocess.CompletedProcess[str]]:
    """Runs a script in an interpreter of its own."""

    def run(script: str, *arguments: str, env: dict[str, str] | None = None, timeout: float = 60) -> Any:
        return subprocess.run(
            [sys.executable, "-c", textwrap.dedent(script), *arguments],
            capture_output=True,
            text=True,
            timeout=timeout,
            env={**os.environ, **(env or {})},
            check=False,
        )

    return run
