"""Finds and loads the native library, by absolute path and with a check of its ABI.

Order: the file that ``P21AUTH_LIBRARY`` names (if it is set and missing, that is an error, never a reason to look
elsewhere), then the library that was installed beside this file.
"""

from __future__ import annotations

import ctypes
import os
import sys

from . import _table

#: Overrides which library is loaded.
LIBRARY_VARIABLE = "P21AUTH_LIBRARY"

#: Folder inside the package that holds the library and the command line tool.
BUNDLED = os.path.join(os.path.dirname(os.path.abspath(__file__)), "_bundled")


class LibraryError(ImportError):
    """The native library of p21auth is missing, unreadable or of another version. The message lists what was tried."""


def library_name() -> str:
    """File name of the library on this platform."""
    if sys.platform == "win32":
        return "p21auth.dll"
    return "libp21auth.dylib" if sys.platform == "darwin" else "libp21auth.so"


def _libc() -> str:
    import platform

    name, version = platform.libc_ver()
    if name:
        return f"{name} {version}".strip()
    return "musl or unknown" if sys.platform.startswith("linux") else "the system's own"


def _advice() -> str:
    variable = f"set {LIBRARY_VARIABLE} to the full path of {library_name()}"
    if not os.path.isfile(os.path.abspath(__file__)) and not _frozen():
        return (
            "The package lies in an archive (zipapp, shiv, pex, py2exe), from which no system loads a library. Have it "
            f"unpacked, or put the library beside the archive and {variable} before p21auth is imported."
        )
    if _frozen():
        return (
            "This program is frozen. PyInstaller takes the library along by the package's own hook. Tell another tool to "
            f"copy the file p21auth/_bundled/{library_name()} to the same place in the program (cx_Freeze: include_files; "
            f"Nuitka: --include-data-files; py2exe: data_files), or {variable} before p21auth is imported."
        )
    return f"Reinstall the package for this platform, or {variable}."


def _frozen() -> bool:
    """Whether a tool has made a program of it: PyInstaller, cx_Freeze and py2exe set the one, Nuitka the other."""
    return bool(getattr(sys, "frozen", False)) or "__compiled__" in globals()


def _failure(what: str, tried: list[tuple[str, str]]) -> LibraryError:
    import platform

    lines = [what]
    lines += [f"  tried {path}: {reason}" for path, reason in tried]
    lines.append(
        f"  this is {platform.python_implementation()} {platform.python_version()} on {sys.platform} "
        f"{platform.machine()}, {8 * ctypes.sizeof(ctypes.c_void_p)} bit, libc: {_libc()}"
    )
    lines.append("  " + _advice())
    return LibraryError("\n".join(lines))


def _open(path: str, tried: list[tuple[str, str]]) -> ctypes.CDLL:
    if not os.path.isfile(path):
        tried.append((path, "there is no such file"))
        raise _failure("p21auth cannot load its native library.", tried)
    try:
        library = ctypes.CDLL(path)
    except OSError as error:
        tried.append((path, str(error)))
        raise _failure("p21auth cannot load its native library.", tried) from None
    for name, (result, parameters) in _table.PROTOTYPES.items():
        try:
            function = getattr(library, name)
        except AttributeError:
            tried.append((path, f"it lacks the function {name}"))
            raise _failure("p21auth has found a library of another version.", tried) from None
        function.restype = result
        function.argtypes = parameters
        if name == "p21_abi_version" and function() != _table.ABI_VERSION:
            tried.append((path, f"it has ABI version {function()}, this package needs {_table.ABI_VERSION}"))
            raise _failure("p21auth has found a library of another version.", tried)
    return library


def load() -> ctypes.CDLL:
    """Loads the library and declares its functions.

    Raises :class:`LibraryError`, whose message lists every path tried, the platform, the bitness and the libc.
    """
    chosen = os.environ.get(LIBRARY_VARIABLE)
    if chosen:
        path = os.path.abspath(chosen)
        return _open(path, [(LIBRARY_VARIABLE, f"is set to {chosen}")])
    return _open(os.path.join(BUNDLED, library_name()), [(LIBRARY_VARIABLE, "is not set")])


#: The loaded library; its functions have the names of the header.
lib = load()
