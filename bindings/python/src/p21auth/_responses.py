"""What an HTTP library's response says: status, body, and the token that its request carried."""

from __future__ import annotations

import inspect
from typing import Any, Optional, Union

from ._errors import ConfigError

Read = tuple[int, bytes, str]
_HINT = "Pass a response of httpx or requests, or an HTTP status with body=… and token=…."


def read(response: Any, body: Union[bytes, str, None], token: Optional[str]) -> Read:
    """Of a response of httpx or requests, or of a bare status."""
    status = status_of(response)
    if body is None and status is not response:
        body = _content(response)
    return status, _bytes(body), token or sent_token(response)


async def aread(response: Any, body: Union[bytes, str, None], token: Optional[str]) -> Read:
    """As :func:`read`, with a body that may have to be awaited."""
    if body is None:
        for reader in ("aread", "read"):
            method = getattr(response, reader, None)
            if method is not None:
                found = method()
                body = await found if inspect.isawaitable(found) else found
                break
    return read(response, body, token)


def status_of(response: Any) -> int:
    """``status_code`` of httpx and requests, ``status`` of aiohttp, or the number itself."""
    for status in (response, getattr(response, "status_code", None), getattr(response, "status", None)):
        if isinstance(status, int) and not isinstance(status, bool):
            return status
    raise ConfigError(f"a {type(response).__name__} is not a response", code=3, hint=_HINT)


def _content(response: Any) -> Any:
    try:
        content = response.content
    except Exception as error:
        raise ConfigError(
            f"the response's body has not been read ({type(error).__name__})",
            code=3,
            hint="Read it first: response.read(), or use areport().",
        ) from None
    if not isinstance(content, (bytes, str)):
        raise ConfigError("the response's body must be awaited", code=3, hint="Use await client.areport(response).")
    return content


def _bytes(body: Union[bytes, str, None]) -> bytes:
    if body is None:
        return b""
    return body.encode("utf-8", "replace") if isinstance(body, str) else bytes(body)


def sent_token(response: Any) -> str:
    """The token that the request carried, with or without its scheme."""
    for owner in ("request", "request_info"):
        try:
            headers = getattr(getattr(response, owner), "headers", None) or {}
        except (AttributeError, RuntimeError):
            continue
        sent = headers.get("Authorization")
        if sent:
            return sent.decode("latin-1") if isinstance(sent, bytes) else str(sent)
    raise ConfigError("the response's request shows no token", code=3, hint=_HINT)
