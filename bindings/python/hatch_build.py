"""Builds the native library and the command line tool with cargo, and puts them into the wheel.

Packagers who have them already name them in ``P21AUTH_BUILD_LIBRARY`` and ``P21AUTH_BUILD_CLI``; then cargo isn't needed.
``P21AUTH_BUILD_PLATFORM`` replaces the wheel's platform tag, such as ``manylinux2014_x86_64`` for a library that was built
for that, or ``win_amd64`` for one that was built for another system than this one. ``P21AUTH_BUILD_LICENSES`` names a folder
with the licenses of what is linked into them.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sysconfig
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

HERE = Path(__file__).resolve().parent
#: The Rust workspace: two folders up in the repository, beside this file in an sdist.
CRATE = HERE / "rust" if (HERE / "rust").is_dir() else HERE.parent.parent
#: What of the workspace an sdist needs.
SOURCES = (
    "Cargo.toml",
    "Cargo.lock",
    "build.rs",
    "cbindgen.toml",
    "src",
    "include",
    "emulator/Cargo.toml",
    "emulator/src",
    "cli/Cargo.toml",
    "cli/src",
    "tests/support/Cargo.toml",
    "tests/support/src",
    "LICENSE-MIT",
    "LICENSE-APACHE",
)
#: The platform that the wheel is for.
PLATFORM = re.sub(r"[-.]", "_", os.environ.get("P21AUTH_BUILD_PLATFORM") or sysconfig.get_platform())


def names(platform: str) -> tuple[str, str]:
    """What the library and the tool are called there."""
    if platform.startswith(("win", "mingw")):
        return "p21auth.dll", "p21auth.exe"
    return "libp21auth.dylib" if platform.startswith("macosx") else "libp21auth.so", "p21auth"


def version() -> str:
    """The crate's version: there is one number for all."""
    found = re.search(r'^version = "([^"]+)"', (CRATE / "Cargo.toml").read_text(encoding="utf-8"), re.MULTILINE)
    if found is None:
        raise RuntimeError(f"{CRATE / 'Cargo.toml'} states no version")
    return found.group(1)


NO_CARGO = """\
p21auth: install a wheel instead. This is the source, and cargo, which builds it, is not here.
  - With a wheel for this platform (p21auth-….whl, from a release or from `make dist` on another machine):
        pip install p21auth-….whl
  - To build here, install Rust (https://rustup.rs, or the system's packages cargo and rustc) and try again.
  - With a library and a tool that were built before, name them in P21AUTH_BUILD_LIBRARY and P21AUTH_BUILD_CLI.
"""


def cargo(*arguments: str) -> Path:
    """Runs cargo on the crate and returns the folder of the release build."""
    if shutil.which("cargo") is None:
        # Not an error with a traceback: pip shows nothing but this.
        raise SystemExit(NO_CARGO)
    subprocess.run(["cargo", *arguments], cwd=CRATE, check=True)
    return Path(os.environ.get("CARGO_TARGET_DIR", CRATE / "target")) / "release"


def built() -> dict[str, Path]:
    """The library and the tool, by their names in the package."""
    library, cli = os.environ.get("P21AUTH_BUILD_LIBRARY"), os.environ.get("P21AUTH_BUILD_CLI")
    library_name, cli_name = names(PLATFORM)
    if not (library and cli) and names(PLATFORM) != names(sysconfig.get_platform()):
        raise RuntimeError(
            f"cargo builds for this machine, not for {PLATFORM}: name a library and a tool that were built for that in "
            "P21AUTH_BUILD_LIBRARY and P21AUTH_BUILD_CLI"
        )
    files = {}
    if cli:
        files[cli_name] = Path(cli).resolve()
    else:
        # Before the library: this build leaves another one behind, without link-time optimization.
        files[cli_name] = cargo("build", "--release", "--package", "p21auth-cli") / cli_name
    if library:
        files[library_name] = Path(library).resolve()
    else:
        files[library_name] = cargo("rustc", "--release", "--lib", "--crate-type", "cdylib") / library_name
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
        build_data["pure_python"] = False
        build_data["tag"] = f"py3-none-{PLATFORM}"
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
        licenses = os.environ.get("P21AUTH_BUILD_LICENSES")
        if licenses:
            build_data["force_include"][str(Path(licenses).resolve())] = "p21auth/_bundled/licenses"
