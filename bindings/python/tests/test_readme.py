"""The README and the pages of docs: examples run, messages are what users read, the table is the library's."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

import p21auth
from p21auth import _default, _options
from p21auth.testing import Emulator

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


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_the_examples_of_other_pages_run(path: Path, emulator: Emulator, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_default, "_default", None)
    for name, value in emulator.options().items():
        monkeypatch.setenv(f"P21_{name.upper()}", value)
    names: dict[str, Any] = {"__name__": path.stem}
    for number, block in enumerate(blocks("python", path.read_text(encoding="utf-8")), 1):
        exec(compile(block, f"{path.name} example {number}", "exec"), names)
    assert names["response"].status_code == 200
    if "http" in names:
        names["http"].close()
    names["client"].close()


def test_the_pages_were_found() -> None:
    assert {"README.md", "migrating.md"} <= {path.name for path in PAGES}


def test_the_examples_run(emulator: Emulator, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(_default, "_default", None)
    for name, value in emulator.options().items():
        monkeypatch.setenv(f"P21_{name.upper()}", value)
    # One page is read from top to bottom: what an example makes, the next may use.
    names: dict[str, Any] = {"emulator": emulator, "__name__": "readme"}
    for number, block in enumerate(blocks("python"), 1):
        exec(compile(block, f"README example {number}", "exec"), names)
    assert number >= 10
    assert len(names["customers"]) == 25
    out = capsys.readouterr().out
    assert f"{emulator.base_url} {emulator.base_url}/uiserver0\n401\n" == out
    names["client"].close()
    with Emulator() as another, another.client() as client:
        names["test_orders"](client, another)


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
    written = [" ".join(block.split()) for block in blocks("text")]
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
