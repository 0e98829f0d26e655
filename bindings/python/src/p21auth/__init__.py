"""Access tokens for the APIs of Epicor Prophet 21 (P21): fetched once, shared by all threads, renewed before they expire.

>>> import p21auth
>>> client = p21auth.Client(base_url=emulator.base_url, username="demo", password="demo-password")
>>> client.get_headers()["Authorization"].startswith("Bearer ")
True

Code written after the community guide "P21 API Authentication" works by changing its import: :func:`get_token_v2`,
:func:`get_consumer_token`, :func:`get_auth_headers`, :func:`get_ui_server_url`, :class:`TokenManager` and so on are here by
the guide's names. For httpx, requests and aiohttp see ``p21auth.httpx``, ``p21auth.requests`` and ``p21auth.aiohttp``; for
tests without a P21 server, ``p21auth.testing``.

Unofficial; not affiliated with, endorsed by or supported by Epicor Software Corporation.
"""

from __future__ import annotations

from ._client import Client, Verdict
from ._default import default_client
from ._errors import (
    AccessDeniedError,
    BadCredentialsError,
    ClosedError,
    ConfigError,
    HostNotAllowedError,
    HttpError,
    InternalError,
    NetworkError,
    NoCachedTokenError,
    NotFoundError,
    P21Error,
    P21TimeoutError,
    ParseError,
    PendingError,
    RateLimitedError,
    RedirectError,
    RejectedError,
    ServerError,
    StoreError,
    TokenExpiredError,
)
from ._guide import (
    TokenManager,
    get_auth_headers,
    get_consumer_token,
    get_token_v1,
    get_token_v2,
    get_ui_server_url,
    parse_token_response,
    report,
)
from ._native import LibraryError, lib
from ._snapshot import Snapshot

TYPE_CHECKING = False  # typing would be a tenth of the start
if TYPE_CHECKING:
    from typing import Any

    from ._doctor import doctor
    from ._option_types import P21Options
    from ._source import TokenSource

__version__: str = lib.p21_version().decode()

__all__ = [
    "AccessDeniedError",
    "BadCredentialsError",
    "Client",
    "ClosedError",
    "ConfigError",
    "HostNotAllowedError",
    "HttpError",
    "InternalError",
    "LibraryError",
    "NetworkError",
    "NoCachedTokenError",
    "NotFoundError",
    "P21Error",
    "P21Options",
    "P21TimeoutError",
    "ParseError",
    "PendingError",
    "RateLimitedError",
    "RedirectError",
    "RejectedError",
    "ServerError",
    "Snapshot",
    "StoreError",
    "TokenExpiredError",
    "TokenManager",
    "TokenSource",
    "Verdict",
    "__version__",
    "default_client",
    "doctor",
    "get_auth_headers",
    "get_consumer_token",
    "get_token_v1",
    "get_token_v2",
    "get_ui_server_url",
    "parse_token_response",
    "report",
]


def __getattr__(name: str) -> Any:
    """What is seldom needed is loaded when it is."""
    if name == "P21Options":
        from ._option_types import P21Options

        return P21Options
    if name == "doctor":
        from ._doctor import doctor

        return doctor
    if name == "TokenSource":
        from ._source import TokenSource

        return TokenSource
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
