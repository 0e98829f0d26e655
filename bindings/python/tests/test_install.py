"""The three ways to install, with a library and a tool that were built before; and the tool itself."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tarfile
import venv
import zipfile
from pathlib import Path

import pytest

from p21auth import _cli, _native

pytest.importorskip("build")
pytest.importorskip("hatchling")
PROJECT = Path(__file__).parents[1]
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def prebuilt() -> dict[str, str]:
    library = os.path.join(_native.BUNDLED, _native.library_name())
    return {**os.environ, "P21AUTH_BUILD_LIBRARY": library, "P21AUTH_BUILD_CLI": _cli.path()}


def build(source: Path, out: Path, env: dict[str, str], *what: str) -> Path:
    subprocess.run(
        [sys.executable, "-m", "build", "--no-isolation", *what, "--outdir", str(out), str(source)],
        check=True,
        capture_output=True,
        env=env,
        timeout=120,
    )
    (made,) = out.iterdir()
    return made


def run_in(python: Path, script: str) -> str:
    """In an interpreter that has the package and nothing else."""
    env = {name: value for name, value in os.environ.items() if not name.startswith(("P21AUTH_", "PYTHON"))}
    done = subprocess.run([str(python), "-c", script], capture_output=True, text=True, timeout=60, env=env, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


SCRIPT = """
import p21auth
from p21auth.testing import Emulator
with Emulator() as emulator, emulator.client() as client:
    print(len(client.get_token()) > 20, emulator.count("token.requests"), p21auth.__file__)
"""


@pytest.fixture
def empty_python(tmp_path: Path) -> Path:
    venv.create(tmp_path / "venv", with_pip=False, symlinks=os.name == "posix")
    return tmp_path / "venv" / "bin" / "python"


def test_sdist_and_wheel(prebuilt: dict[str, str], tmp_path: Path, empty_python: Path) -> None:
    sdist = build(PROJECT, tmp_path / "sdist", prebuilt, "--sdist")
    with tarfile.open(sdist) as archive:
        names = {name.split("/", 1)[1] for name in archive.getnames()}
        archive.extractall(tmp_path / "source", **({"filter": "data"} if sys.version_info >= (3, 12) else {}))
    assert {"rust/Cargo.toml", "rust/src/lib.rs", "rust/include/p21auth.h", "src/p21auth/py.typed", "PKG-INFO"} <= names
    assert not [name for name in names if "_bundled" in name or name.endswith(".so")]
    # The wheel is built from what the sdist holds, as pip does it.
    (source,) = (tmp_path / "source").iterdir()
    subprocess.run(
        ["cargo", "metadata", "--no-deps", "--offline", "--format-version=1", "--manifest-path", "rust/Cargo.toml"],
        cwd=source,
        check=True,
        capture_output=True,
    )
    wheel = build(source, tmp_path / "wheel", prebuilt, "--wheel")
    assert wheel.name.startswith("p21auth-")
    assert "-py3-none-" in wheel.name
    with zipfile.ZipFile(wheel) as archive:
        bundled = {name for name in archive.namelist() if "_bundled/" in name}
        tool = archive.getinfo("p21auth/_bundled/p21auth")
    assert bundled == {f"p21auth/_bundled/{_native.library_name()}", "p21auth/_bundled/p21auth"}
    assert tool.external_attr >> 16 & 0o111
    subprocess.run(
        [sys.executable, "-m", "pip", "--python", str(empty_python), "install", "-q", "--no-deps", "--no-index", str(wheel)],
        check=True,
        capture_output=True,
    )
    assert run_in(empty_python, SCRIPT).startswith("True 1 ")


def test_a_wheel_for_another_system(prebuilt: dict[str, str], tmp_path: Path) -> None:
    for name in ("library", "tool", "licenses/NOTICES.md"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(name)
    env = {
        **prebuilt,
        "P21AUTH_BUILD_LIBRARY": str(tmp_path / "library"),
        "P21AUTH_BUILD_CLI": str(tmp_path / "tool"),
        "P21AUTH_BUILD_LICENSES": str(tmp_path / "licenses"),
    }
    for platform, names in (
        ("win_amd64", {"p21auth.dll": "library", "p21auth.exe": "tool"}),
        ("macosx_11_0_arm64", {"libp21auth.dylib": "library", "p21auth": "tool"}),
        ("manylinux2014_aarch64", {"libp21auth.so": "library", "p21auth": "tool"}),
    ):
        wheel = build(PROJECT, tmp_path / platform, {**env, "P21AUTH_BUILD_PLATFORM": platform}, "--wheel")
        assert wheel.name.endswith(f"-py3-none-{platform}.whl")
        with zipfile.ZipFile(wheel) as archive:
            bundled = {name: archive.read(name).decode() for name in archive.namelist() if "_bundled/" in name}
        names["licenses/NOTICES.md"] = "licenses/NOTICES.md"
        assert bundled == {f"p21auth/_bundled/{name}": content for name, content in names.items()}
    # cargo cannot build what such a wheel needs.
    del env["P21AUTH_BUILD_CLI"]
    script = f"from hatchling.build import build_wheel; build_wheel({str(tmp_path)!r})"
    done = subprocess.run(
        [sys.executable, "-c", script],
        cwd=PROJECT,
        env={**env, "P21AUTH_BUILD_PLATFORM": "win_amd64"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert "not for win_amd64" in done.stderr


def test_editable(prebuilt: dict[str, str], tmp_path: Path, empty_python: Path) -> None:
    # A copy: an editable install puts the library beside the sources.
    copy = tmp_path / "repository" / "bindings" / "python"
    shutil.copytree(PROJECT, copy, ignore=shutil.ignore_patterns("_bundled", ".venv*", "tests", "__pycache__"))
    shutil.copy(PROJECT.parents[1] / "Cargo.toml", tmp_path / "repository")
    install = [sys.executable, "-m", "pip", "--python", str(empty_python), "install", "-q", "--no-deps"]
    made = build_editable(copy, tmp_path / "editable", prebuilt)
    subprocess.run([*install, "--no-index", str(made)], check=True, capture_output=True)
    assert run_in(empty_python, SCRIPT).split() == ["True", "1", str(copy / "src" / "p21auth" / "__init__.py")]


def build_editable(source: Path, out: Path, env: dict[str, str]) -> Path:
    out.mkdir()
    script = f"from hatchling.build import build_editable; build_editable({str(out)!r})"
    subprocess.run([sys.executable, "-c", script], cwd=source, env=env, check=True, capture_output=True)
    (made,) = out.iterdir()
    return made


def test_without_cargo_pip_says_what_to_do_and_nothing_else(tmp_path: Path) -> None:
    env = {name: value for name, value in os.environ.items() if not name.startswith("P21AUTH_BUILD")}
    done = subprocess.run(
        [sys.executable, "-m", "pip", "install", "--no-deps", "--no-build-isolation", "--target", tmp_path / "t", PROJECT],
        env={**env, "PATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    said = done.stdout + done.stderr
    assert "Traceback" not in said
    (first, *_) = [line.strip() for line in said.splitlines() if "p21auth: " in line]
    assert first.startswith("p21auth: install a wheel instead.")
    assert "P21AUTH_BUILD_LIBRARY" in said and "https://rustup.rs" in said


@pytest.mark.skipif("P21AUTH_TEST_CARGO" not in os.environ, reason="P21AUTH_TEST_CARGO=1 builds with cargo: some minutes")
def test_pip_install_builds_everything_with_cargo(tmp_path: Path, empty_python: Path) -> None:
    env = {name: value for name, value in os.environ.items() if not name.startswith("P21AUTH_BUILD")}
    subprocess.run(
        [sys.executable, "-m", "pip", "--python", str(empty_python), "install", "-q", "--no-deps", str(PROJECT)],
        check=True,
        env=env,
    )
    assert run_in(empty_python, SCRIPT).startswith("True 1 ")


def test_the_tool_is_a_command() -> None:
    command = Path(sys.executable).with_name("p21auth.exe" if sys.platform == "win32" else "p21auth")
    done = subprocess.run([command, "--version"], capture_output=True, text=True, check=True)
    assert done.stdout.startswith("p21auth 0.")
    assert subprocess.run([command, "nonsense"], capture_output=True, check=False).returncode == 2


def test_the_tool_runs_as_a_module() -> None:
    done = subprocess.run([sys.executable, "-m", "p21auth", "--version"], capture_output=True, text=True, check=True)
    assert done.stdout.startswith("p21auth 0.")
    done = subprocess.run([sys.executable, "-m", "p21auth", "nonsense"], capture_output=True, text=True, check=False)
    assert done.returncode == 2
