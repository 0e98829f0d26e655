"""One step above the table: strings, error objects and handles of the library as Python values.

A signal handler may raise wherever Python looks for signals, which is after each call and not in between. So what the
library returns goes into a :class:`Pointer` made before the call, and is freed by the first call of a ``finally``.
"""

from __future__ import annotations

import ctypes

from . import _errors
from ._native import lib

TYPE_CHECKING = False  # typing would be a tenth of the start
if TYPE_CHECKING:
    from typing import Any, Optional

Pointer = ctypes.c_void_p
byref = ctypes.byref


def text(what: str, value: str) -> bytes:
    """UTF-8 for the library. A NUL would cut the string short there, so it is refused here; the value is never shown."""
    if "\0" in value:
        raise _errors.ConfigError(f"{what} contains a NUL character", code=3)
    try:
        return value.encode("utf-8")
    except UnicodeEncodeError:
        # The exception carries the value, which may be a secret.
        raise _errors.ConfigError(f"{what} is not valid Unicode text", code=2) from None


def call(function: Any, *arguments: Any) -> None:
    """Calls a function that returns a status and takes the error last, and raises what it says went wrong."""
    error = Pointer()
    try:
        status = function(*arguments, byref(error))
        if status:
            raise _failure(status, error)
    finally:
        if error:
            lib.p21_error_free(error)


def string(function: Any, *arguments: Any) -> str:
    """The string that a function hands over behind its other arguments."""
    out = Pointer()
    try:
        call(function, *arguments, byref(out))
        return ctypes.string_at(out).decode("utf-8") if out else ""
    finally:
        lib.p21_free(out)


def _failure(status: int, error: Pointer) -> _errors.P21Error:
    if not error:
        # There was no memory for it.
        return _errors.make(status, 0, "the call failed", "", None, False)
    retry_after_ms = lib.p21_error_retry_after_ms(error)
    return _errors.make(
        lib.p21_error_code(error) or status,
        lib.p21_error_http_status(error),
        (lib.p21_error_message(error) or b"").decode("utf-8", "replace"),
        (lib.p21_error_hint(error) or b"").decode("utf-8", "replace"),
        None if retry_after_ms < 0 else retry_after_ms / 1000,
        bool(lib.p21_error_is_retryable(error)),
    )


def fill(configuration: Pointer, options: dict[str, bytes], file: Optional[bytes], profile: Optional[bytes] = None) -> None:
    """Makes a configuration handle, to be freed by the caller, no matter what becomes of this.

    A bad option is remembered by the handle and reported, with its hint, by the call that uses it.
    """
    call(lib.p21_config_new, byref(configuration))
    if file is not None:
        lib.p21_config_load_file(configuration, file, None)
    if profile is not None:
        lib.p21_config_load_profile(configuration, profile, None)
    for name, value in options.items():
        lib.p21_config_set(configuration, name.encode("utf-8", "replace"), value, None)


def generation_word(client: int) -> ctypes.c_uint64:
    """The word that changes whenever the client's token may have changed; valid for the life of the process."""
    address = Pointer()
    call(lib.p21_client_generation, client, byref(address))
    assert address.value is not None
    return ctypes.c_uint64.from_address(address.value)


def report(client: int, token: bytes, http_status: int, body: bytes) -> int:
    """What an API's rejection means; drops the token if it is to blame."""
    verdict = ctypes.c_int32()
    call(lib.p21_token_report, client, token, http_status, body, len(body), byref(verdict))
    return verdict.value
