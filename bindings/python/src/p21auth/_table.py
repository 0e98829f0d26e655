"""Prototypes of ``include/p21auth.h``, as data: name, result, parameters.

A test compares this table with the header by name, arity and kind of each parameter. Handles are checked keys, so they
travel as plain integers (``c_void_p``); a ``char *`` that the caller owns is a ``c_void_p`` too, because ``c_char_p``
would lose the address that ``p21_free`` needs.
"""

from __future__ import annotations

import ctypes

TYPE_CHECKING = False  # typing would be a tenth of the start
if TYPE_CHECKING:
    from typing import Any

#: Generation of the C ABI that this package speaks: the digit in the library's SONAME.
ABI_VERSION = 1

I32 = ctypes.c_int32
I64 = ctypes.c_int64
U32 = ctypes.c_uint32
U64 = ctypes.c_uint64
SIZE = ctypes.c_size_t
#: A handle, or memory that the library owns or fills.
PTR = ctypes.c_void_p
#: A NUL-terminated string or a run of bytes; as a result: borrowed, ctypes copies it at once.
TEXT = ctypes.c_char_p
#: Where the library writes a handle, a string or an address.
OUT_PTR = ctypes.POINTER(ctypes.c_void_p)
OUT_I32 = ctypes.POINTER(ctypes.c_int32)
OUT_U64 = ctypes.POINTER(ctypes.c_uint64)
OUT_SIZE = ctypes.POINTER(ctypes.c_size_t)

#: Name: (result, parameters).
PROTOTYPES: dict[str, tuple[Any, tuple[Any, ...]]] = {
    # library
    "p21_abi_version": (I32, ()),  # first, so that another version is called that
    "p21_version": (TEXT, ()),
    "p21_status_name": (TEXT, (I32,)),
    "p21_verdict_hint": (TEXT, (I32,)),
    "p21_options_json": (TEXT, ()),
    "p21_live_objects": (U64, ()),
    "p21_free": (None, (PTR,)),
    # configuration
    "p21_config_new": (I32, (OUT_PTR, OUT_PTR)),
    "p21_config_set": (I32, (PTR, TEXT, TEXT, OUT_PTR)),
    "p21_config_load_env": (I32, (PTR, TEXT, OUT_PTR)),
    "p21_config_load_file": (I32, (PTR, TEXT, OUT_PTR)),
    "p21_config_load_profile": (I32, (PTR, TEXT, OUT_PTR)),
    "p21_config_free": (None, (PTR,)),
    # client
    "p21_client_new": (I32, (PTR, OUT_PTR, OUT_PTR)),
    "p21_client_free": (None, (PTR,)),
    "p21_client_update": (I32, (PTR, PTR, OUT_PTR)),
    "p21_token_get": (I32, (PTR, U32, U32, OUT_PTR, OUT_PTR)),
    "p21_token_copy": (I32, (PTR, U32, U32, PTR, SIZE, OUT_SIZE, OUT_PTR)),
    "p21_token_snapshot": (I32, (PTR, U32, U32, U32, OUT_PTR, OUT_PTR)),
    "p21_token_report": (I32, (PTR, TEXT, I32, TEXT, SIZE, OUT_I32, OUT_PTR)),
    "p21_token_invalidate": (I32, (PTR, TEXT, OUT_PTR)),
    "p21_ui_url": (I32, (PTR, U32, U32, OUT_PTR, OUT_PTR)),
    "p21_client_stats": (I32, (PTR, OUT_PTR, OUT_PTR)),
    "p21_client_generation": (I32, (PTR, OUT_PTR, OUT_PTR)),
    # snapshot
    "p21_token_value": (TEXT, (PTR,)),
    "p21_token_field": (TEXT, (PTR, TEXT)),
    "p21_token_json": (I32, (PTR, OUT_PTR, OUT_PTR)),
    "p21_token_reuse_ms": (I64, (PTR,)),
    "p21_token_expires_in": (I64, (PTR,)),
    "p21_token_expires_at": (I64, (PTR,)),
    "p21_token_generation": (U64, (PTR,)),
    "p21_token_free": (None, (PTR,)),
    # without a cache
    "p21_token_request": (I32, (PTR, OUT_PTR, OUT_PTR)),
    "p21_parse_token_response": (I32, (TEXT, SIZE, OUT_PTR, OUT_PTR)),
    "p21_doctor": (I32, (PTR, U32, U32, OUT_PTR, OUT_PTR)),
    # log
    "p21_log_read": (I32, (OUT_U64, I32, OUT_PTR, OUT_PTR)),
    # errors
    "p21_error_code": (I32, (PTR,)),
    "p21_error_http_status": (I32, (PTR,)),
    "p21_error_message": (TEXT, (PTR,)),
    "p21_error_hint": (TEXT, (PTR,)),
    "p21_error_retry_after_ms": (I64, (PTR,)),
    "p21_error_is_retryable": (I32, (PTR,)),
    "p21_error_free": (None, (PTR,)),
}

# Flags of the token calls.
FORCE_REFRESH = 1
CACHED_ONLY = 2
WITH_SCHEME = 4
NO_WAIT = 8
