"""Builds the native library and the command line tool with cargo, and puts them into the wheel.

Packagers who have them already name them in ``P21AUTH_BUILD_LIBRARY`` and ``P21AUTH_BUILD_CLI``; then cargo isn't needed.
``P21AUTH_BUILD_PLATFORM`` replaces the wheel's platform tag, such as ``manylinux2014_x86_64`` for a library that was built
for that.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

HERE = Path(__file__).resolve().parent
#: The Rust crate: two folders up in the repository, beside this file in an sdist.
CRATE = HERE / "rust" if (HERE / "rust").is_dir() else HERE.parent.parent
#: What of the crate an sdist needs.
SOURCES = ("Cargo.toml", "Cargo.lock", "build.rs", "cbindgen.toml", "src", "include", "LICENSE-MIT", "LICENSE-APACHE")
LIBRARY = {"win32": "p21auth.dll", "darwin": "libp21auth.dylib"}.get(sys.platform, "libp21auth.so")
CLI = "p21auth.exe" if sys.platform == "win32" else "p21auth"


def version() -> str:
    """The crate's version: there is one number for all."""
    found = re.search(r'^version = "([^"]+)"', (CRATE / "Cargo.toml").read_text(encoding="utf-8"), re.MULTILINE)
    if found is None:
        raise RuntimeError(f"{CRATE / 'Cargo.toml'} states no version")
    return found.group(1)


def cargo(*arguments: str) -> Path:
    """Runs cargo on the crate and answers the folder of the release build."""
    if shutil.which("cargo") is None:
        raise RuntimeError(
            "cargo is needed to build p21auth from source (https://rustup.rs), or name a built library and tool in "
            "P21AUTH_BUILD_LIBRARY and P21AUTH_BUILD_CLI"
        )
    subprocess.run(["cargo", *arguments], cwd=CRATE, check=True)
    return Path(os.environ.get("CARGO_TARGET_DIR", CRATE / "target")) / "release"


def built() -> dict[str, Path]:
    """The library and the tool, by their names in the package."""
    library, cli = os.environ.get("P21AUTH_BUILD_LIBRARY"), os.environ.get("P21AUTH_BUILD_CLI")
    files = {}
    if cli:
        files[CLI] = Path(cli).resolve()
    else:
        # Before the library: this build leaves another one behind, without link-time optimisation.
        files[CLI] = cargo("build", "--release", "--features", "cli", "--bin", "p21auth") / CLI
    if library:
        files[LIBRARY] = Path(library).resolve()
    else:
        files[LIBRARY] = cargo("rustc", "--release", "--lib", "--crate-type", "cdylib") / LIBRARY
    for file in files.values():
        if not file.is_file():
            raise RuntimeError(f"{file} is missing")
    return files


class Hook(BuildHookInterface[Any]):
    """Called by hatchling for each wheel and sdist."""

    PLUGIN_NAME = "custom"

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        if self.target_name == "sdist":
            for name in SOURCES:
                if (CRATE / name).exists():
                    build_data["force_include"][str(CRATE / name)] = f"rust/{name}"
            return
        platform = os.environ.get("P21AUTH_BUILD_PLATFORM") or sysconfig.get_platform()
        build_data["pure_python"] = False
        build_data["tag"] = f"py3-none-{re.sub(r'[-.]', '_', platform)}"
        files = built()
        if version == "editable":
            # The package is used where it lies, so the files must lie there too.
            bundled = HERE / "src" / "p21auth" / "_bundled"
            bundled.mkdir(exist_ok=True)
            for name, file in files.items():
                (bundled / name).unlink(missing_ok=True)
                shutil.copy2(file, bundled / name)
            return
        for name, file in files.items():
            build_data["force_include"][str(file)] = f"p21auth/_bundled/{name}"
