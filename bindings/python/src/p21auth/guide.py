"""The community guide's token code by its own names, in all its forms, so that changing an import is all there is to do.

The pages' functions are here and in ``p21auth`` itself. Of the guide's repository, ``common/auth.py`` becomes::

    from p21auth.guide import get_auth_headers, get_token, get_ui_server_url

and its ``P21Client`` and ``AsyncP21Client`` get their tokens from here by one line each::

    from p21auth.guide import cached_tokens

    @cached_tokens
    class P21Client:
        ...

Where a page's function is awaited, take the one that begins with ``a``: ``aget_consumer_token as get_consumer_token``.
"""

from __future__ import annotations

import time
from inspect import iscoroutinefunction
from typing import TYPE_CHECKING, Any, Optional, TypeVar

from . import _guide, _httpx_errors
from ._errors import ConfigError, P21Error
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
from ._options import from_environment

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from ._option_types import P21Settings

__all__ = [
    "TokenManager",
    "aget_consumer_token",
    "aget_token",
    "aget_token_v2",
    "cached_tokens",
    "get_auth_headers",
    "get_consumer_token",
    "get_token",
    "get_token_v1",
    "get_token_v2",
    "get_ui_server_url",
    "parse_token_response",
    "report",
]

C = TypeVar("C", bound=type)


def get_token(
    config: Any = None,
    username: Optional[str] = None,
    password: Optional[str] = None,
    consumer_key: Optional[str] = None,
    use_v2: bool = True,
    *,
    fresh: bool = False,
    **options: Unpack[P21Settings],
) -> dict[str, Any]:
    """As in the guide's ``common/auth.py``: with its ``P21Config`` (or any object with such attributes), or without one from
    ``P21_BASE_URL`` and so on."""
    return _guide._token(_login(config, username, password, consumer_key, use_v2, options), fresh)


async def aget_token(
    config: Any = None,
    username: Optional[str] = None,
    password: Optional[str] = None,
    consumer_key: Optional[str] = None,
    use_v2: bool = True,
    **options: Unpack[P21Settings],
) -> dict[str, Any]:
    """As :func:`get_token`, without blocking the event loop."""
    return await _guide._atoken(_login(config, username, password, consumer_key, use_v2, options))


async def aget_token_v2(base_url: str, username: str, password: str, **options: Unpack[P21Settings]) -> dict[str, Any]:
    """As :func:`get_token_v2`, without blocking the event loop."""
    return await _guide._atoken({"base_url": base_url, "username": username, "password": password, **options})


async def aget_consumer_token(
    base_url: str, consumer_key: str, username: str = "", **options: Unpack[P21Settings]
) -> dict[str, Any]:
    """As :func:`get_consumer_token`, without blocking the event loop."""
    return await _guide._atoken(_guide._consumer(base_url, consumer_key, username, options))


def _login(
    config: Any, username: Optional[str], password: Optional[str], consumer_key: Optional[str], use_v2: bool, options: Any
) -> dict[str, Any]:
    """Keyword arguments of a client."""
    known = _environment() if config is None else _configured(config)
    own_user, own_password, own_key = (known.pop(name, None) for name in ("username", "password", "consumer_key"))
    if not consumer_key and not (password or own_password):
        # What the guide's P21Client does and its get_token leaves out: the configuration's own key.
        consumer_key, username = own_key, username or own_user
    if consumer_key:
        login = {"consumer_key": consumer_key, **({"username": username} if username else {})}
        if not use_v2:
            login.update(auth_mode="v1_consumer", v1_consumer_headers="appkey")
    elif use_v2:
        login = {"username": username or own_user, "password": password or own_password}
    else:
        raise ConfigError(
            "with a password the V1 endpoint is not used: proxies and logs keep its headers",
            code=3,
            hint="Leave use_v2 at True. For a server without V2 there is get_token_v1.",
        )
    return {**known, **login, **options}


def _configured(config: Any) -> dict[str, Any]:
    known = {name: getattr(config, name, None) or None for name in ("base_url", "username", "password", "consumer_key")}
    # True is the default, and leaves it to the other options how to verify.
    return known if getattr(config, "verify_ssl", True) else {**known, "verify_ssl": False}


def _environment() -> dict[str, Any]:
    return {name: value.decode() for name, value in from_environment("P21_").values.items()}


def cached_tokens(cls: C) -> C:
    """Lets a class such as the guide's ``P21Client`` or ``AsyncP21Client`` take tokens and the UI server's URL from here.

    Its ``authenticate`` and ``_resolve_ui_server`` are replaced; all else, the token's attributes included, stays as it is.
    A token stays in the headers until ``authenticate`` is called again, as an Interactive session needs it.
    """
    target: Any = cls
    if iscoroutinefunction(target.authenticate):
        target.authenticate, target._resolve_ui_server = _aauthenticate, _aresolve_ui_server
    else:
        target.authenticate, target._resolve_ui_server = _authenticate, _resolve_ui_server
    return cls


def _client_of(p21: Any) -> _guide._GuideClient:
    """The client for its configuration, whose consumer key comes first."""
    config = p21.config
    key = getattr(config, "consumer_key", None)
    keywords = _login(config, getattr(config, "username", None) if key else None, None, key, True, {})
    return _guide._client(keywords)


def _authenticate(self: Any) -> str:
    client = None
    try:
        client = _client_of(self)
        return _noted(self, client.token_dict())
    except P21Error as error:
        raise _httpx_errors.mixed(error, client) from None


async def _aauthenticate(self: Any) -> str:
    client = None
    try:
        client = _client_of(self)
        return _noted(self, await client.atoken_dict())
    except P21Error as error:
        raise _httpx_errors.mixed(error, client) from None


def _resolve_ui_server(self: Any) -> str:
    self._ensure_token()
    self._ui_server = _client_of(self).ui_url()
    return str(self._ui_server)


async def _aresolve_ui_server(self: Any) -> str:
    await self._ensure_token()
    self._ui_server = await _client_of(self).aui_url()
    return str(self._ui_server)


def _noted(p21: Any, data: dict[str, Any]) -> str:
    token: str = data["AccessToken"]
    p21._token, p21._token_expires = token, time.time() + data["ExpiresInSeconds"] - 300
    p21._get_client().headers.update(get_auth_headers(token))
    return token
