"""One step above the table: strings, error objects and handles of the library as Python values.

Owned strings are copied and freed at once, error objects read at once, handles freed by whoever asked for them.
"""

from __future__ import annotations

import ctypes

from . import _errors
from ._native import lib

TYPE_CHECKING = False  # typing would be a tenth of the start
if TYPE_CHECKING:
    from typing import Optional

Pointer = ctypes.c_void_p


def text(what: str, value: str) -> bytes:
    """UTF-8 for the library. A NUL would cut the string short there, so it is refused here; the value is never shown."""
    if "\0" in value:
        raise _errors.ConfigError(f"{what} holds a NUL character", code=3)
    try:
        return value.encode("utf-8")
    except UnicodeEncodeError:
        # The exception carries the value, which may be a secret.
        raise _errors.ConfigError(f"{what} is not valid Unicode text", code=2) from None


def take_string(pointer: Pointer) -> str:
    """Copies a string that the library handed over, and gives it back."""
    if not pointer.value:
        return ""
    try:
        return ctypes.string_at(pointer.value).decode("utf-8")
    finally:
        lib.p21_free(pointer)


def failure(status: int, error: Pointer) -> _errors.P21Error:
    """The exception of a failed call; reads and frees the error object."""
    if not error.value:
        # There was no memory for it.
        return _errors.make(status, 0, "the call failed", "", None, False)
    try:
        retry_after_ms = lib.p21_error_retry_after_ms(error)
        return _errors.make(
            lib.p21_error_code(error) or status,
            lib.p21_error_http_status(error),
            (lib.p21_error_message(error) or b"").decode("utf-8", "replace"),
            (lib.p21_error_hint(error) or b"").decode("utf-8", "replace"),
            None if retry_after_ms < 0 else retry_after_ms / 1000,
            bool(lib.p21_error_is_retryable(error)),
        )
    finally:
        lib.p21_error_free(error)


def config(options: dict[str, bytes], file: Optional[bytes] = None) -> Pointer:
    """A configuration handle, to be freed with ``p21_config_free``.

    A bad option is remembered by the handle and reported, with its hint, by the call that uses it.
    """
    handle, error = Pointer(), Pointer()
    status = lib.p21_config_new(ctypes.byref(handle), ctypes.byref(error))
    if status:
        raise failure(status, error)
    if file is not None:
        lib.p21_config_load_file(handle, file, None)
    for name, value in options.items():
        lib.p21_config_set(handle, name.encode("utf-8", "replace"), value, None)
    return handle


def open_client(configuration: Pointer) -> int:
    """Opens a client and answers its handle."""
    handle, error = Pointer(), Pointer()
    status = lib.p21_client_new(configuration, ctypes.byref(handle), ctypes.byref(error))
    if status:
        raise failure(status, error)
    assert handle.value is not None
    return handle.value


def update_client(client: int, configuration: Pointer) -> None:
    """Gives a client other settings."""
    error = Pointer()
    status = lib.p21_client_update(client, configuration, ctypes.byref(error))
    if status:
        raise failure(status, error)


def generation_word(client: int) -> ctypes.c_uint64:
    """The word that changes whenever the client's token may have changed; valid for the life of the process."""
    address, error = Pointer(), Pointer()
    status = lib.p21_client_generation(client, ctypes.byref(address), ctypes.byref(error))
    if status:
        raise failure(status, error)
    assert address.value is not None
    return ctypes.c_uint64.from_address(address.value)


def snapshot(client: int, flags: int, wait_ms: int, min_valid_s: int) -> Pointer:
    """A token handle, to be freed with ``p21_token_free``."""
    handle, error = Pointer(), Pointer()
    status = lib.p21_token_snapshot(client, flags, wait_ms, min_valid_s, ctypes.byref(handle), ctypes.byref(error))
    if status:
        raise failure(status, error)
    return handle


def token_json(token: Pointer) -> str:
    """The snapshot as JSON in the guide's names."""
    out, error = Pointer(), Pointer()
    status = lib.p21_token_json(token, ctypes.byref(out), ctypes.byref(error))
    if status:
        raise failure(status, error)
    return take_string(out)


def ui_url(client: int, flags: int, wait_ms: int) -> str:
    """The UI server's URL."""
    out, error = Pointer(), Pointer()
    status = lib.p21_ui_url(client, flags, wait_ms, ctypes.byref(out), ctypes.byref(error))
    if status:
        raise failure(status, error)
    return take_string(out)


def report(client: int, token: bytes, http_status: int, body: bytes) -> int:
    """What an API's rejection means; drops the token if it is to blame."""
    verdict, error = ctypes.c_int32(), Pointer()
    status = lib.p21_token_report(client, token, http_status, body, len(body), ctypes.byref(verdict), ctypes.byref(error))
    if status:
        raise failure(status, error)
    return verdict.value


def stats(client: int) -> str:
    """The client's diagnostics as JSON."""
    out, error = Pointer(), Pointer()
    status = lib.p21_client_stats(client, ctypes.byref(out), ctypes.byref(error))
    if status:
        raise failure(status, error)
    return take_string(out)


def invalidate(client: int, token: Optional[bytes]) -> None:
    """Drops a token if it is still the current one; ``None``: whatever is cached, and a cool-down."""
    error = Pointer()
    status = lib.p21_token_invalidate(client, token, ctypes.byref(error))
    if status:
        raise failure(status, error)


def token_request(configuration: Pointer) -> str:
    """One token request without a cache; the reply as JSON in the guide's names."""
    out, error = Pointer(), Pointer()
    status = lib.p21_token_request(configuration, ctypes.byref(out), ctypes.byref(error))
    if status:
        raise failure(status, error)
    return take_string(out)


def parse_token_response(body: bytes) -> str:
    """A token reply in any of its shapes, as JSON in the guide's names."""
    out, error = Pointer(), Pointer()
    status = lib.p21_parse_token_response(body, len(body), ctypes.byref(out), ctypes.byref(error))
    if status:
        raise failure(status, error)
    return take_string(out)
