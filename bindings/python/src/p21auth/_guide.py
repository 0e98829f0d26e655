"""The community guide's functions by their own names, so that code written after it works by changing one import.

They use the cache. Three rules keep such code correct: they return a token with more than ``refresh_margin_s`` (300) of
life, because callers subtract 300 seconds themselves; they cap a token's age at 900 s, because callers heal a 401 by
calling again; and their dicts always have every key, a new dict per call.
"""

from __future__ import annotations

import os
import threading
import weakref
from collections import OrderedDict
from collections.abc import Hashable
from time import monotonic, time

from . import _handle, _httpx_errors
from ._client import Client, Verdict, request_token
from ._errors import ConfigError, P21Error
from ._native import lib
from ._options import from_keywords
from ._snapshot import KEYS, copied, headers

TYPE_CHECKING = False  # typing would be a tenth of the start
if TYPE_CHECKING:
    from typing import Any, Optional, Union

    from typing_extensions import Unpack

    from ._option_types import P21Common, P21Settings

#: Callers heal a 401 by calling again and never report it, so a token is not used for longer than this.
MAX_TOKEN_AGE_S = 900
#: Clients that are kept for later calls; the least recently used one goes first.
_KEPT = 1024


class _GuideClient(Client):
    """A client behind the functions: knows the parsed reply as well as the token."""

    _parsed: tuple[int, float, float, dict[str, Any]] = (0, float("-inf"), 0.0, {})

    def _translated(self, error: P21Error) -> P21Error:
        return _httpx_errors.mixed(error, self)

    def token_dict(self) -> dict[str, Any]:
        """The reply as a new dict, with the seconds left now."""
        generation, until, taken, reply = self._parsed
        if generation != self._word.value or monotonic() >= until:
            taken, reply = self._call("dict", self._ask_reply)
        return self._now(taken, reply)

    async def atoken_dict(self) -> dict[str, Any]:
        """As :meth:`token_dict`, without blocking the event loop."""
        generation, until, taken, reply = self._parsed
        if generation != self._word.value or monotonic() >= until:
            taken, reply = await self._acall("dict", self._ask_reply)
        return self._now(taken, reply)

    def _now(self, taken: float, reply: dict[str, Any]) -> dict[str, Any]:
        data, now = copied(reply), monotonic()
        data["ExpiresInSeconds"] = data["ExpiresIn"] = max(0, int(reply["ExpiresInSeconds"] - (now - taken)))
        return data

    def _ask_reply(self, wait_ms: int, flags: int) -> tuple[tuple[float, dict[str, Any]], bool]:
        import json

        generation, token = self._word.value, _handle.Pointer()
        try:
            # "More than", after rounding down here and there: a caller that sleeps ExpiresInSeconds - 300 must never spin.
            least = self._margin() + 2
            _handle.call(lib.p21_token_snapshot, self._live(), flags, wait_ms, least, _handle.byref(token))
            reply = complete(json.loads(_handle.string(lib.p21_token_json, token)))
            taken = monotonic()
            reuse_ms = lib.p21_token_reuse_ms(token)
        finally:
            lib.p21_token_free(token)
        self._parsed = (generation, taken + reuse_ms / 1000, taken, reply)
        _clients.issued(reply["AccessToken"], self)
        return (taken, reply), reuse_ms > 0

    def _margin(self) -> int:
        text = self._options.get("refresh_margin_s")
        return 300 if text is None else int(text)


class _Clients:
    """The clients behind the functions, by what they were called with, and by the tokens that they gave out."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._by_arguments: OrderedDict[Hashable, _GuideClient] = OrderedDict()
        self._by_token: OrderedDict[str, weakref.ref[_GuideClient]] = OrderedDict()

    def client(self, keywords: dict[str, Any]) -> _GuideClient:
        key: Hashable = tuple(keywords.items())
        try:
            found = self._by_arguments.get(key)
        except TypeError:
            # A list among them: by its text.
            key = frozenset(from_keywords(keywords).values.items())
            found = self._by_arguments.get(key)
        if found is None:
            # Spelled otherwise it is another client, but the same identity, which has one token.
            found = _GuideClient.__new__(_GuideClient)
            found._open(from_keywords(keywords))
        with self._lock:
            client = self._by_arguments.setdefault(key, found)
            self._by_arguments.move_to_end(key)
            if len(self._by_arguments) > _KEPT:
                # Its last user closes it; the library keeps the token of an identity that comes back.
                self._by_arguments.popitem(last=False)
        return client

    def issued(self, token: str, client: _GuideClient) -> None:
        """Remembers whose token it is, for :func:`report`."""
        with self._lock:
            self._by_token[token] = weakref.ref(client)
            self._by_token.move_to_end(token)
            if len(self._by_token) > _KEPT:
                self._by_token.popitem(last=False)

    def issuer(self, token: str) -> Optional[_GuideClient]:
        found = self._by_token.get(token)
        return None if found is None else found()

    def renew_lock(self) -> None:
        self._lock = threading.Lock()


_clients = _Clients()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_clients.renew_lock)


def complete(data: dict[str, Any]) -> dict[str, Any]:
    """A reply with every key of the guide's replies."""
    for key in KEYS:
        data.setdefault(key, None)
    return data


def _client(options: dict[str, Any]) -> _GuideClient:
    return _clients.client({"max_token_age_s": MAX_TOKEN_AGE_S, **options})


async def _atoken(options: dict[str, Any]) -> dict[str, Any]:
    client = None
    try:
        client = _client(options)
        return await client.atoken_dict()
    except P21Error as error:
        raise _httpx_errors.mixed(error, client) from None


def _token(options: dict[str, Any], fresh: bool) -> dict[str, Any]:
    client = None
    try:
        client = _client(options)
        if not fresh:
            return client.token_dict()
        data = complete(request_token(client._options))
    except P21Error as error:
        raise _httpx_errors.mixed(error, client) from None
    _clients.issued(data["AccessToken"], client)
    return data


def get_token_v2(
    base_url: str, username: str, password: str, *, fresh: bool = False, **options: Unpack[P21Settings]
) -> dict[str, Any]:
    """A token for a P21 user, as the guide's dict: ``AccessToken``, ``ExpiresInSeconds``, ``TokenType``, …

    >>> token_data = get_token_v2(emulator.base_url, "demo", "demo-password")
    >>> token_data["TokenType"], token_data["ExpiresInSeconds"] > 300
    ('Bearer', True)

    Thousands of calls, from any number of threads, send one request. ``fresh=True`` asks the server past the cache.
    Options are those of :class:`Client`. Errors are :class:`P21Error`; where httpx is loaded also its own
    (``httpx.HTTPStatusError``, ``httpx.ConnectError``, ``httpx.TimeoutException``).
    """
    return _token({"base_url": base_url, "username": username, "password": password, **options}, fresh)


def get_token_v1(
    base_url: str, username: str, password: str, *, fresh: bool = False, **options: Unpack[P21Settings]
) -> dict[str, Any]:
    """As :func:`get_token_v2` through the legacy V1 endpoint, whose headers end up in proxy logs: for old servers only."""
    mode = {"auth_mode": "v1_password"}
    return _token({"base_url": base_url, "username": username, "password": password, **mode, **options}, fresh)


def get_consumer_token(
    base_url: str, consumer_key: str, username: str = "", *, fresh: bool = False, **options: Unpack[P21Settings]
) -> dict[str, Any]:
    """A token for a consumer key from SOA Admin; ``username`` attaches a P21 user (needed by the Interactive API).

    >>> key = "00000000-0000-4000-8000-000000000001"
    >>> get_consumer_token(emulator.base_url, key, username="demo")["UserName"]
    'demo'
    """
    return _token(_consumer(base_url, consumer_key, username, options), fresh)


def _consumer(base_url: str, consumer_key: str, username: str, options: Any) -> dict[str, Any]:
    wanted = {"base_url": base_url, "consumer_key": consumer_key}
    if username:
        wanted["username"] = username
    return {**wanted, **options}


def get_auth_headers(token: Union[str, dict[str, Any]]) -> dict[str, str]:
    """The headers of an API call with a token, or with the dict of a function above.

    >>> get_auth_headers("abc")["Authorization"]
    'Bearer abc'
    """
    return headers(_text_of(token))


def parse_token_response(response: Any) -> dict[str, Any]:
    """The guide's dict out of a token reply, JSON or XML: a response of httpx or requests, ``bytes`` or ``str``.

    >>> parse_token_response(b"<Token><AccessToken>abc</AccessToken><ExpiresIn>60</ExpiresIn></Token>")["ExpiresInSeconds"]
    60
    """
    import json

    if isinstance(response, str):
        body = response.encode("utf-8", "replace")
    elif isinstance(response, (bytes, bytearray, memoryview)):
        body = bytes(response)
    else:
        content = getattr(response, "content", None)
        if not isinstance(content, bytes):
            raise ConfigError(f"a {type(response).__name__} is not a response of httpx or requests, bytes or str", code=3)
        body = content
    return complete(json.loads(_handle.string(lib.p21_parse_token_response, body, len(body))))


def get_ui_server_url(
    base_url: str, token: Union[str, dict[str, Any]], verify_ssl: Optional[bool] = None, **options: Unpack[P21Common]
) -> str:
    """URL of the UI server (Interactive and Transaction APIs), asked for once per token.

    >>> get_ui_server_url(emulator.base_url, token_data).endswith("/uiserver0")
    True

    For a token of the functions above their own settings (CA file, proxy, …) are used, unless others are given.
    """
    text = _text_of(token)
    client = _clients.issuer(text)
    try:
        given: dict[str, Any] = {**options}
        if verify_ssl is not None and (client is None or verify_ssl != (client._options.get("tls_verify") != "0")):
            given["verify_ssl"] = verify_ssl
        if client is None or given or client.base_url != _normalised(base_url):
            own = {"base_url": base_url, "auth_mode": "token", "access_token": text}
            client = _clients.client({**own, **given})
        return client.ui_url()
    except P21Error as error:
        raise _httpx_errors.mixed(error, client) from None


def _normalised(base_url: str) -> str:
    """Enough to see that two addresses are the same; a false alarm costs one request to the router."""
    return base_url.rstrip("/")


def report(token: Union[str, dict[str, Any]], response: Any, body: Union[bytes, str, None] = None) -> Verdict:
    """Tells what an API's 401 or 403 means for a token of the functions above, and drops it if it is to blame.

    After ``Verdict.RETRY`` call the function again and send the call once more.
    """
    text = _text_of(token)
    client = _clients.issuer(text)
    if client is None:
        raise ConfigError(
            "this token did not come from get_token_v2, get_token_v1 or get_consumer_token in this process",
            code=3,
            hint="For a token of a Client or TokenManager call its own report().",
        )
    return client.report(response, body, token=text)


def _text_of(token: Union[str, dict[str, Any]]) -> str:
    text = token.get("AccessToken") if isinstance(token, dict) else token
    if not isinstance(text, str) or not text:
        raise ConfigError("there is no access token", code=3, hint="Pass the token, or the dict that holds it.")
    return text.removeprefix("Bearer ")


class TokenManager(Client):
    """A :class:`Client` under the guide's name.

    >>> manager = TokenManager(emulator.base_url, "demo", "demo-password")
    >>> manager.get_headers()["Accept"]
    'application/json'
    >>> manager.token_data["TokenType"]
    'Bearer'
    >>> manager.token_data = None           # as in the guide: the next call asks the server
    """

    #: Generation of the token whose time is known, and that time.
    _fetched: tuple[int, float] = (0, 0)

    def __init__(self, base_url: str, username: str, password: str, **options: Unpack[P21Settings]) -> None:
        super().__init__(base_url=base_url, username=username, password=password, **options)

    def _translated(self, error: P21Error) -> P21Error:
        return _httpx_errors.mixed(error, self)

    @property
    def username(self) -> str:
        """The P21 user."""
        return self._options.get("username") or ""

    @property
    def password(self) -> str:
        """What was given, as in the guide."""
        return self._options.get("password") or ""

    @property
    def token_time(self) -> float:
        """When the current token was fetched, in Unix seconds; 0 while there is none.

        Setting it does what it does in the guide: a token that is too old by then, as all are after 0, is dropped.
        """
        token = self.stats()["token"]
        if token is None:
            return 0
        generation, fetched = self._fetched
        if generation != token["generation"]:
            fetched = time() - token["age_s"]
            self._fetched = (token["generation"], fetched)
        return fetched

    @token_time.setter
    def token_time(self, value: float) -> None:
        token = self.stats()["token"]
        if token is not None and time() - value > token["age_s"] + token["expires_in_s"] - 300:
            self.invalidate()

    @property
    def token_data(self) -> Optional[dict[str, Any]]:
        """The current reply as a new dict, or None while there is none. Setting it to None drops the token."""
        from ._errors import NoCachedTokenError

        try:
            return complete(self.snapshot(cached_only=True).as_dict())
        except NoCachedTokenError:
            return None

    @token_data.setter
    def token_data(self, value: None) -> None:
        if value is not None:
            raise ConfigError(
                "token_data can only be set to None, which drops the token",
                code=3,
                hint="For a token of your own open a Client with access_token=….",
            )
        self.invalidate()
