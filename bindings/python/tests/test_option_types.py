"""The types of the options are the library's table, and type checkers find what is misspelt in a user's program."""

from __future__ import annotations

import importlib.util
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import p21auth
from p21auth import _option_types, _options

HERE = Path(__file__).parent / "typing"
GENERATED = Path(__file__).parents[1] / "src" / "p21auth" / "_option_types.py"

HEAD = '''"""The options as type checkers and editors know them. Written from the library's table; a test compares.

``P21AUTH_REFRESH=1 pytest tests/test_option_types.py`` writes it again.
"""

from __future__ import annotations

import os
from datetime import timedelta
from typing import Literal, TypedDict, Union

Text = Union[str, None]
Number = Union[int, str, None]
#: Of seconds or milliseconds, as the option's name says.
Time = Union[float, str, timedelta, None]
Switch = Union[bool, int, str, None]
Path = Union[str, os.PathLike[str], None]
List = Union[str, list[str], tuple[str, ...], set[str], frozenset[str], None]


class P21Common(TypedDict, total=False):
    """All but the server's address, credentials and ``verify_ssl``."""

'''
MIDDLE = '''

class P21Settings(P21Common, total=False):
    """All but the server's address and credentials."""

    verify_ssl: Switch


class P21Options(P21Settings, total=False):
    """What :class:`p21auth.Client` takes. None puts an option back to its default."""

'''
KINDS = {"bool": "Switch", "path": "Path", "list": "List", "int": "Number"}
LOGIN = ("base_url", "username", "password", "consumer_key", "access_token")


def kind(row: dict[str, Any]) -> str:
    if row["type"] == "choice":
        choices = ", ".join(f'"{choice}"' for choice in row["choices"])
        return f"Union[Literal[{choices}], str, None]"
    if row["unit"] in ("s", "ms"):
        return "Time"
    return KINDS.get(row["type"], "Text")


def generated() -> str:
    rows = _options.table()
    # As the formatter breaks it.
    lines = {row["name"]: f"    {row['name']}: {kind(row)}\n" for row in rows}
    common = "".join(line for name, line in lines.items() if not name.startswith(LOGIN))
    common += "    verify: Union[bool, str, os.PathLike[str], None]\n    timeout: Union[float, timedelta, None]\n"
    return HEAD + common + MIDDLE + "".join(line for name, line in lines.items() if name.startswith(LOGIN))


def test_the_types_are_the_librarys_table() -> None:
    if os.environ.get("P21AUTH_REFRESH"):
        GENERATED.write_text(generated(), encoding="utf-8")
    assert GENERATED.read_text(encoding="utf-8") == generated()


def test_they_can_be_used_at_run_time() -> None:
    assert p21auth.P21Options is _option_types.P21Options
    assert {"base_url", "verify", "timeout_ms"} <= set(p21auth.P21Options.__annotations__) | set(
        p21auth.P21Options.__optional_keys__
    )


def marked(path: Path) -> set[int]:
    """Lines that say that they are wrong."""
    lines = path.read_text(encoding="utf-8").splitlines()
    return {number for number, line in enumerate(lines, 1) if "# wrong" in line}


def by_mypy(path: Path) -> set[int]:
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "mypy",
            "--strict",
            "--no-error-summary",
            f"--cache-dir={path.parent}/../../.mypy_cache",
            path,
        ],
        capture_output=True,
        text=True,
        cwd=path.parent,
        check=False,
    )
    assert done.returncode in (0, 1), done.stderr + done.stdout
    return {int(line) for line in re.findall(rf"^{path.name}:(\d+): error", done.stdout.replace(str(path), path.name), re.M)}


def by_pyright(path: Path) -> set[int]:
    done = subprocess.run(
        [sys.executable, "-m", "pyright", "--outputjson", "--pythonpath", sys.executable, path],
        capture_output=True,
        text=True,
        cwd=path.parent,
        check=False,
    )
    assert done.returncode in (0, 1), done.stderr + done.stdout
    found = json.loads(done.stdout)["generalDiagnostics"]
    return {one["range"]["start"]["line"] + 1 for one in found if one["severity"] == "error"}


@pytest.mark.slow
@pytest.mark.parametrize("checker", [by_mypy, by_pyright])
@pytest.mark.parametrize("name", ["right.py", "wrong.py"])
def test_a_users_program_is_checked(checker: Any, name: str) -> None:
    if importlib.util.find_spec(checker.__name__.removeprefix("by_")) is None:
        pytest.skip("there is no such type checker for this interpreter")
    assert checker(HERE / name) == marked(HERE / name)
    assert bool(marked(HERE / name)) == (name == "wrong.py")
