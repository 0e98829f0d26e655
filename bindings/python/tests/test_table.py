"""The ctypes table, the header and the numbers of the package agree."""

from __future__ import annotations

import ctypes
import re

from p21auth import _errors, _table
from p21auth._client import Verdict
from p21auth._native import lib

from .conftest import ROOT

HEADER = (ROOT / "include" / "p21auth.h").read_text(encoding="utf-8")
CODE = re.sub(r"/\*.*?\*/", " ", HEADER, flags=re.DOTALL)
DEFINES = r"#define (P21_\w+) (\d+)\n"

SCALARS = {
    "int32_t": ctypes.c_int32,
    "p21_status": ctypes.c_int32,
    "int64_t": ctypes.c_int64,
    "uint32_t": ctypes.c_uint32,
    "uint64_t": ctypes.c_uint64,
    "size_t": ctypes.c_size_t,
}
HANDLES = {"p21_config", "p21_client", "p21_token", "p21_error"}


def declarations() -> dict[str, tuple[str, list[str]]]:
    found = re.findall(r"([\w\s*]+?)\b(p21_\w+)\(([^()]*)\);", re.sub(r"#.*", "", CODE))
    return {
        name: (" ".join(result.split()), [] if inside.strip() == "void" else [one.strip() for one in inside.split(",")])
        for result, name, inside in found
    }


def split(declared: str, *, named: bool) -> tuple[str, int, bool]:
    """Base type, number of stars, const."""
    text = re.sub(r"\w+$", "", declared) if named else declared
    const = text.startswith("const ")
    base = text.replace("const ", "").replace("*", "").strip()
    return base, text.count("*"), const


def kind_of_parameter(declared: str) -> object:
    base, stars, const = split(declared, named=True)
    if stars == 0:
        return SCALARS[base]
    if stars == 2:
        return _table.OUT_PTR
    if base in HANDLES or base == "void":
        return ctypes.c_void_p
    if base in ("char", "uint8_t"):
        return ctypes.c_char_p if const else ctypes.c_void_p
    return ctypes.POINTER(SCALARS[base])


def kind_of_result(declared: str) -> object:
    base, stars, const = split(declared, named=False)
    if stars == 0:
        return None if base == "void" else SCALARS[base]
    assert (base, const) == ("char", True), declared
    return ctypes.c_char_p


def test_the_table_has_the_functions_of_the_header() -> None:
    assert set(declarations()) == set(_table.PROTOTYPES)
    assert len(_table.PROTOTYPES) > 40


def test_each_function_has_the_arity_and_kinds_of_the_header() -> None:
    for name, (result, parameters) in declarations().items():
        table_result, table_parameters = _table.PROTOTYPES[name]
        assert table_result is kind_of_result(result), name
        assert [kind_of_parameter(one) for one in parameters] == list(table_parameters), name


def test_the_loaded_library_has_what_the_table_says() -> None:
    assert lib.p21_abi_version() == _table.ABI_VERSION
    for name, (result, parameters) in _table.PROTOTYPES.items():
        function = getattr(lib, name)
        assert function.restype is result and tuple(function.argtypes) == parameters, name


def defines() -> dict[str, int]:
    return {name: int(value) for name, value in re.findall(DEFINES, CODE)}


def test_statuses_flags_and_verdicts_have_the_numbers_of_the_header() -> None:
    numbers = defines()
    statuses = {name: number for name, number in numbers.items() if name.startswith("P21_E_")}
    assert set(statuses.values()) == set(_errors._CLASSES)
    for name, number in statuses.items():
        assert _errors.status_name(number) == name
    assert numbers["P21_ABI_VERSION"] == _table.ABI_VERSION
    for flag in ("FORCE_REFRESH", "CACHED_ONLY", "WITH_SCHEME", "NO_WAIT"):
        assert numbers[f"P21_{flag}"] == getattr(_table, flag)
    verdicts = {name.removeprefix("P21_VERDICT_"): n for name, n in numbers.items() if "VERDICT" in name}
    assert verdicts == {verdict.name: verdict.value for verdict in Verdict}
    assert all(verdict.hint for verdict in Verdict)


def test_errors_of_later_versions_fall_into_their_family() -> None:
    assert _errors.class_of(160) is _errors.HttpError
    assert _errors.class_of(110) is _errors.NetworkError
    assert _errors.class_of(60) is _errors.StoreError
    assert _errors.class_of(210) is _errors.ParseError
    assert _errors.class_of(999) is _errors.P21Error
