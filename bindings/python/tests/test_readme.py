"""The README and the pages of docs: examples run, messages are what users read, the table is the library's."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import p21auth
from p21auth import _options
from p21auth.testing import Emulator, reset_default_client

ROOT = Path(__file__).parents[3]
README = (Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8")


def blocks(language: str, page: str = README) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", page, flags=re.DOTALL | re.MULTILINE)


# Pages for users of every language; those without Python have nothing to run.
PAGES = [
    path
    for path in [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
    if blocks("python", path.read_text(encoding="utf-8"))
]


@pytest.fixture
def configured(tls_emulator: Emulator, monkeypatch: pytest.MonkeyPatch) -> Iterator[Emulator]:
    """The environment of a user whose server has a certificate of a private authority."""
    reset_default_client()
    for name, value in tls_emulator.options().items():
        monkeypatch.setenv(f"P21_{name.upper()}", value)
    yield tls_emulator
    reset_default_client()


def run(page: str, what: str) -> dict[str, Any]:
    """A page is read from top to bottom: what an example makes, the next may use."""
    names: dict[str, Any] = {"__name__": what}
    for number, block in enumerate(blocks("python", page), 1):
        if not block.startswith(("# conftest.py\n", "# test_")):
            exec(compile(block, f"{what} example {number}", "exec", dont_inherit=True), names)
    return names


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_the_examples_of_other_pages_run(path: Path, configured: Emulator) -> None:
    names = run(path.read_text(encoding="utf-8"), path.name)
    assert names["response"].status_code == 200
    for left in ("http", "client"):
        if left in names:
            names[left].close()


def test_the_pages_were_found() -> None:
    assert {"README.md", "migrating.md", "testing-your-code.md"} <= {path.name for path in PAGES}


@pytest.mark.parametrize(
    "path", [*PAGES, ROOT / "bindings" / "python" / "README.md"], ids=lambda path: str(path.parent.name)
)
def test_the_tests_that_pages_show_pass(path: Path, pytester: pytest.Pytester) -> None:
    files: dict[str, str] = {}
    for block in blocks("python", path.read_text(encoding="utf-8")):
        for part in re.split(r"^(?=# (?:conftest|test_\w+)\.py$)", block, flags=re.MULTILINE):
            if part.startswith(("# conftest.py\n", "# test_")):
                files[part[2 : part.index("\n")]] = part
    if files:
        for name, text in files.items():
            (pytester.path / name).write_text(text, encoding="utf-8")
        outcomes = pytester.runpytest_subprocess().parseoutcomes()
        assert outcomes["passed"] >= 1 and not {"failed", "errors"} & set(outcomes)


def test_the_examples_of_the_manual_run(configured: Emulator, capsys: pytest.CaptureFixture[str]) -> None:
    names = run(README, "manual")
    assert len(blocks("python")) >= 10
    assert len(names["customers"]) == 25
    assert f"{configured.base_url} {configured.base_url}/uiserver0\n401\n" == capsys.readouterr().out
    assert configured.count("token.refused") == 1
    names["client"].close()


@pytest.mark.slow
def test_all_of_them_from_the_installed_package_in_an_empty_folder(tmp_path: Path) -> None:
    """Word for word: the manual in the wheel, the README, and an emulator that the package's own command starts."""
    for file in (ROOT / "tests" / "tools" / "dist" / "readme.py", *PAGES):
        shutil.copy(file, tmp_path)
    done = subprocess.run(
        [sys.executable, "-I", "readme.py", *(path.name for path in PAGES)],
        cwd=tmp_path,
        env={"PATH": os.defpath, "HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert f"{len(blocks('python'))} examples of the manual" in done.stdout


def message(work: Any) -> str:
    with pytest.raises(p21auth.P21Error) as caught:
        work()
    return f"{type(caught.value).__name__}: {caught.value}"


def general(text: str) -> str:
    """What differs from run to run, as the README writes it."""
    text = re.sub(r"127\.0\.0\.1:\d+", "p21.example.com", text)
    text = re.sub(r"\b[0-9a-f]{64}\b", "FINGERPRINT", text)
    return re.sub(r"\d{4}-\d\d-\d\d", "DATE", text)


def test_the_messages_are_what_users_read(tls_emulator: Emulator) -> None:
    emulator = tls_emulator
    down = Emulator(tls="good")
    down.close()
    client = emulator.client(username="readonly", password="readonly-password")
    verdict = client.report(401, '"You are not authorized to access API"', token=client.get_token())
    said = [
        message(emulator.client(password="wrong").get_token),
        message(emulator.client(consumer_key="00000000-0000-4000-8000-00000000ffff").get_token),
        message(emulator.client(base_url=emulator.base_url + "/wrong").get_token),
        message(emulator.client(verify=True).get_token),
        message(p21auth.Client(base_url=down.base_url, username="u", password="p", max_retries=0).get_token),
        verdict.hint,
    ]
    written = [" ".join(block.split()) for block in blocks("text") if not block.startswith("from ")]
    assert [general(text) for text in said] == written


def test_the_table_of_options_is_the_librarys() -> None:
    rows = ["| Option | Default | |", "|---|---|---|"]
    for row in _options.table():
        default = f"{row['default']} {row['unit']}".strip() if row["default"] else ""
        rows.append(f"| `{row['name']}` | {default} | {row['text']} |")
    rows.append(
        "| `verify`, `verify_ssl` | | `tls_verify` as httpx writes it; `verify` may also be the path of a `ca_file`. |"
    )
    rows.append("| `timeout` | | `timeout_ms` in seconds. |")
    found = re.search(r"<!-- options:.*?-->\n(.*?)\n<!-- end of options -->", README, flags=re.DOTALL)
    assert found is not None
    assert found.group(1) == "\n".join(rows)
