"""Finding the library: order, absolute path, and errors that list what was tried."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import p21auth
from p21auth import _native

Run = Callable[..., Any]


def test_the_bundled_library_is_loaded_by_absolute_path(python: Run) -> None:
    done = python("import p21auth._native as n; print(n.lib._name)", env={"P21AUTH_LIBRARY": ""})
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == os.path.join(_native.BUNDLED, _native.library_name())
    assert os.path.isabs(done.stdout.strip())


def test_the_variable_comes_first_and_may_be_relative(python: Run, tmp_path: Path) -> None:
    copy = tmp_path / "another-name.so"
    shutil.copy(os.path.join(_native.BUNDLED, _native.library_name()), copy)
    relative = os.path.relpath(copy)
    done = python("import p21auth._native as n; print(n.lib._name)", env={"P21AUTH_LIBRARY": relative})
    assert done.stdout.strip() == str(copy), done.stderr


def test_a_missing_file_is_an_error_and_nothing_else_is_tried(python: Run) -> None:
    done = python("import p21auth", env={"P21AUTH_LIBRARY": "/nowhere/libp21auth.so"})
    assert done.returncode != 0
    assert "LibraryError: p21auth cannot load its native library." in done.stderr
    assert "tried /nowhere/libp21auth.so: there is no such file" in done.stderr
    assert _native.BUNDLED not in done.stderr.split("LibraryError")[1]
    for told in ("64 bit" if sys.maxsize > 2**32 else "32 bit", sys.platform, "libc: ", "P21AUTH_LIBRARY"):
        assert told in done.stderr, told


def test_a_file_that_is_no_library_is_told_with_the_loaders_words(python: Run, tmp_path: Path) -> None:
    file = tmp_path / "libp21auth.so"
    file.write_text("not a library")
    done = python("import p21auth", env={"P21AUTH_LIBRARY": str(file)})
    assert f"tried {file}: " in done.stderr and "LibraryError" in done.stderr


def test_a_library_of_another_version_is_refused(python: Run, tmp_path: Path) -> None:
    for number, source, says in [
        (1, "int p21_abi_version(void) { return 7; }", "it has ABI version 7, this package needs 1"),
        (2, "int unrelated(void) { return 0; }", "it lacks the function p21_abi_version"),
    ]:
        code, file = tmp_path / f"other{number}.c", tmp_path / f"other{number}.so"
        code.write_text(source)
        subprocess.run(["cc", "-shared", "-fPIC", "-o", str(file), str(code)], check=True)
        done = python("import p21auth", env={"P21AUTH_LIBRARY": str(file)})
        assert says in done.stderr and "another version" in done.stderr


def test_a_package_in_an_archive_is_told_what_to_do(tmp_path: Path) -> None:
    archive = tmp_path / "program.pyz"
    with zipfile.ZipFile(archive, "w") as pyz:
        pyz.writestr("__main__.py", "import p21auth")
        for file in Path(p21auth.__file__).parent.rglob("*.py"):
            pyz.write(file, "p21auth/" + file.relative_to(Path(p21auth.__file__).parent).as_posix())
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    # In an interpreter that doesn't have the package otherwise.
    command = [sys.executable, "-S", str(archive)]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    assert "lies in an archive (zipapp, shiv, pex, py2exe)" in done.stderr
    library = os.path.join(_native.BUNDLED, _native.library_name())
    done = subprocess.run(
        command, env={**environment, "P21AUTH_LIBRARY": library}, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_a_frozen_program_is_told_what_to_do(python: Run) -> None:
    done = python("import sys; sys.frozen = True; import p21auth", env={"P21AUTH_LIBRARY": "/no/such/file"})
    for told in ("This program is frozen.", "cx_Freeze: include_files", "Nuitka: --include-data-files", "P21AUTH_LIBRARY"):
        assert told in done.stderr, told


def test_the_error_is_an_import_error() -> None:
    assert issubclass(p21auth.LibraryError, ImportError)


def test_the_versions_agree() -> None:
    from importlib.metadata import version

    assert version("p21auth") == p21auth.__version__
