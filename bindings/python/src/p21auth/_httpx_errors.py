"""Errors that are httpx's as well, so that the ``except`` clauses of code written for the guide fire.

Only where httpx is loaded: code that never imported it cannot catch its exceptions.
"""

from __future__ import annotations

import sys

from ._errors import HttpError, NetworkError, P21Error, P21TimeoutError

TYPE_CHECKING = False  # typing would be a tenth of the start
if TYPE_CHECKING:
    from typing import Any, Optional

    from ._client import Client

_mixes: dict[tuple[type, type], Any] = {}


def mixed(error: P21Error, client: Optional[Client]) -> P21Error:
    """``error`` as an instance of httpx's class too, with a scrubbed ``.response`` where the server had answered."""
    httpx: Any = sys.modules.get("httpx")
    if httpx is None or isinstance(error, getattr(httpx, "HTTPError", ())):
        return error
    answered = isinstance(error, HttpError) or error.http_status >= 300
    if answered:
        base = httpx.HTTPStatusError
    elif isinstance(error, P21TimeoutError):
        base = httpx.TimeoutException
    elif isinstance(error, NetworkError):
        base = httpx.ConnectError
    else:
        return error
    plain = type(error)
    mix = _mixes.get((plain, base))
    if mix is None:
        mix = type(plain.__name__, (plain, base), {"__module__": plain.__module__, "__doc__": plain.__doc__})
        _mixes[plain, base] = mix
    made: P21Error = mix(
        error.message,
        code=error.code,
        http_status=error.http_status,
        hint=error.hint,
        retry_after=error.retry_after,
        retryable=error.retryable,
    )
    # Not httpx's own constructors: they don't know of ours, and all that they do is to set these.
    request = httpx.Request("POST", _token_url(client))
    made._request = request  # type: ignore[attr-defined]
    if answered:
        made.response = _response(httpx, error, request)  # type: ignore[attr-defined]
    return made


def _response(httpx: Any, error: P21Error, request: Any) -> Any:
    """What the server answered as far as it is known: never its own text, which may quote a secret."""
    headers = {} if error.retry_after is None else {"Retry-After": str(int(error.retry_after + 0.999))}
    body = {"ErrorMessage": error.message, "ErrorType": error.name, "Hint": error.hint}
    return httpx.Response(error.http_status, headers=headers, json=body, request=request)


def _token_url(client: Optional[Client]) -> str:
    try:
        base = "" if client is None else client.base_url
    except P21Error:
        base = ""
    return f"{base or 'https://p21.invalid'}/api/security/token/v2"
