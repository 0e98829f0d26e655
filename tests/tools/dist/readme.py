"""Runs the Python blocks of the manual that is in the wheel, word for word and from top to bottom, against an emulator over
TLS that the package's own command starts; then those of each page named. Needs the package, httpx, requests and aiohttp, and
no repository.

    python readme.py [PAGE…]
"""

from __future__ import annotations

import importlib.metadata
import os
import re
import subprocess
import sys
import sysconfig
from pathlib import Path
from typing import Any


def blocks(page: str) -> list[str]:
    return re.findall(r"^```python\n(.*?)^```", page, flags=re.DOTALL | re.MULTILINE)


def start() -> tuple[subprocess.Popen[str], dict[str, str]]:
    """The emulator, and the variables of the lines that it prints for a shell."""
    command = Path(sysconfig.get_path("scripts")) / "p21auth"
    emulator = subprocess.Popen([command, "mock", "--tls", "--port", "0"], stdout=subprocess.PIPE, text=True)
    assert emulator.stdout is not None
    exports = ""
    for line in emulator.stdout:
        if line.strip() == "p21auth token":
            break
        if line.strip().startswith("export "):
            exports += line
    shown = subprocess.run(["sh", "-c", exports + "env -0"], env={}, capture_output=True, text=True, check=True).stdout
    return emulator, dict(line.split("=", 1) for line in shown.split("\0") if line.startswith("P21_"))


def main() -> None:
    pages = {"the manual": importlib.metadata.metadata("p21auth").get_payload()}
    pages |= {name: Path(name).read_text(encoding="utf-8") for name in sys.argv[1:]}
    emulator, variables = start()
    os.environ.update(variables)
    try:
        for name, page in pages.items():
            names: dict[str, Any] = {"__name__": name}
            found = blocks(str(page))
            assert found, f"{name} has no Python"
            for number, block in enumerate(found, 1):
                # Files of tests need pytest, which runs them.
                if block.startswith(("# conftest.py\n", "# test_")):
                    continue
                exec(compile(block, f"{name}, example {number}", "exec", dont_inherit=True), names)
            assert names["response"].status_code == 200
            for left in ("http", "client"):
                if left in names:
                    names[left].close()
            print(f"{len(found)} examples of {name}")
    finally:
        emulator.terminate()
        emulator.communicate()


if __name__ == "__main__":
    main()
