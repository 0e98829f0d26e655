"""The client: one identity's tokens, for any number of threads, tasks and forked children."""

from __future__ import annotations

import os
import weakref
from collections.abc import Hashable
from enum import IntEnum
from time import monotonic

from . import _handle, _log, _table
from ._errors import ClosedError, ConfigError, P21Error
from ._hosts import Hosts
from ._native import lib
from ._options import Options, from_environment, from_keywords
from ._snapshot import Shared, Snapshot, headers
from ._waits import awaited, blocking, interruptible

TYPE_CHECKING = False  # typing would be a tenth of the start
if TYPE_CHECKING:
    import ssl
    from typing import Any, Callable, Optional, TypeVar, Union

    from typing_extensions import Unpack

    from ._option_types import P21Options
    from ._waits import Call

    C = TypeVar("C", bound="Client")


#: Generation, end of the reuse (monotonic seconds) and text of the token that was fetched last.
_Hit = tuple[int, float, str]
#: No word of a client is ever 0 and no clock ever before this.
_NO_HIT: _Hit = (0, float("-inf"), "")


class Verdict(IntEnum):
    """What an API's 401 or 403 means."""

    #: Get a token again and send the call once more.
    RETRY = 1
    #: A permission is missing in P21; another token does not help.
    PERMISSION = 2
    #: The Authorization header did not arrive; no token helps.
    HEADER_LOST = 3
    #: It is about something else, or tokens are rejected as fast as they come.
    GIVE_UP = 4

    @property
    def hint(self) -> str:
        """What to do next, in P21's terms."""
        return str(lib.p21_verdict_hint(int(self)).decode())


class Client(Shared):
    """Access to one P21 server under one identity.

    Options are those of the library (``base_url``, ``username``, ``password``, ``consumer_key``, …; the README lists them
    all), and ``verify``, ``verify_ssl`` and ``timeout`` (seconds) as users of httpx write them. All clients of the same
    identity in a process share one token; nothing is sent before the first call that needs one.

    >>> client = Client(base_url=emulator.base_url, username="demo", password="demo-password")
    >>> token = client.get_token()          # asks the server once
    >>> client.get_token() == token         # costs a tenth of a microsecond
    True
    >>> client.get_headers()["Authorization"] == "Bearer " + token
    True
    >>> client.close()

    A client may be used from any number of threads and event loops at once, and goes on working in a forked child.
    """

    _instead = (
        "it belongs to this process. Open one in each process, by Client.from_env() for example; "
        "store='file' lets the processes of a machine share a token."
    )

    def __init__(self, **options: Unpack[P21Options]) -> None:
        self._open(from_keywords(options))

    def _open(self, options: Options) -> None:
        handle = _handle.Pointer()
        left: list[bool] = []

        def work(configuration: _handle.Pointer) -> None:
            _handle.call(lib.p21_client_new, configuration, _handle.byref(handle))
            if left:
                lib.p21_client_free(handle)

        try:
            _applied(options, work)
            self._options = options
            self._handle = handle.value or 0
            self._hit: _Hit = _NO_HIT
            self._word = _handle.generation_word(self._handle)
            self._known_hosts: Optional[Hosts] = None
            self._finalizer = weakref.finalize(self, lib.p21_client_free, self._handle)
            # At exit the process takes it all along; nothing is left to tidy up.
            self._finalizer.atexit = False
        except BaseException as error:
            # A thread may still be opening it.
            left.append(True)
            lib.p21_client_free(handle)
            if isinstance(error, P21Error):
                raise self._translated(options.in_their_words(error)) from None
            raise

    @classmethod
    def from_env(cls: type[C], prefix: str = "P21_", **options: Unpack[P21Options]) -> C:
        """A client from environment variables such as ``P21_BASE_URL``, ``P21_USERNAME``, ``P21_PASSWORD``.

        With another prefix, such as ``P21_PLAY_``, settings for a play server and for production can be set side
        by side. Options passed here override the environment.
        """
        client = cls.__new__(cls)
        client._open(from_environment(prefix).with_changes(options))
        return client

    @classmethod
    def from_file(cls: type[C], path: Union[str, os.PathLike[str]], **options: Unpack[P21Options]) -> C:
        """A client from a ``.env`` file with lines such as ``P21_BASE_URL=https://…``; options passed here override it."""
        client = cls.__new__(cls)
        client._open(Options({}, _handle.text("the path", os.fspath(path))).with_changes(options))
        return client

    @classmethod
    def from_profile(cls: type[C], name: str, **options: Unpack[P21Options]) -> C:
        """A client from a profile, a section of the user's ``profiles.toml``; options passed here override it."""
        client = cls.__new__(cls)
        client._open(Options({}, profile=_handle.text("the profile", name)).with_changes(options))
        return client

    # --- tokens

    def get_token(self) -> str:
        """A valid token. On a hit: no lock, no request, no call into the library."""
        hit = self._hit
        if hit[0] == self._word.value and monotonic() < hit[1]:
            return hit[2]
        return str(self._call("token", self._ask_token))

    async def aget_token(self) -> str:
        """As :meth:`get_token`, without blocking the event loop (asyncio or trio). All tasks that wait share one request."""
        hit = self._hit
        if hit[0] == self._word.value and monotonic() < hit[1]:
            return hit[2]
        return str(await self._acall("token", self._ask_token))

    def get_headers(self) -> dict[str, str]:
        """The headers of an API call: ``Authorization``, ``Content-Type`` and ``Accept``. A new dict each time."""
        return headers(self.get_token())

    async def aget_headers(self) -> dict[str, str]:
        """As :meth:`get_headers`, without blocking the event loop."""
        return headers(await self.aget_token())

    def snapshot(
        self,
        min_valid: float = 0,
        *,
        force_refresh: bool = False,
        cached_only: bool = False,
        no_wait: bool = False,
        timeout: Optional[float] = None,
    ) -> Snapshot:
        """A snapshot of the current token, with all its fields. It never changes.

        * ``min_valid``: seconds that it must stay valid
        * ``force_refresh``: fetch a new token even if the current one is still valid, at most once per
          ``min_refresh_interval_s``
        * ``cached_only``: never ask the server (:class:`NoCachedTokenError`); ``no_wait``: :class:`PendingError` instead of
          waiting for the server
        * ``timeout``: longest time in seconds that this call may wait, instead of the client's
        """
        flags, seconds = _flags(force_refresh, cached_only, no_wait), _whole(min_valid)
        found: Snapshot = self._call(("snapshot", flags, seconds), self._ask_snapshot(flags, seconds), flags, timeout)
        return found

    async def asnapshot(
        self,
        min_valid: float = 0,
        *,
        force_refresh: bool = False,
        cached_only: bool = False,
        no_wait: bool = False,
        timeout: Optional[float] = None,
    ) -> Snapshot:
        """As :meth:`snapshot`, without blocking the event loop."""
        flags, seconds = _flags(force_refresh, cached_only, no_wait), _whole(min_valid)
        asking = self._acall(("snapshot", flags, seconds), self._ask_snapshot(flags, seconds), flags, timeout)
        found: Snapshot = await asking
        return found

    def ui_url(
        self,
        *,
        force_refresh: bool = False,
        cached_only: bool = False,
        no_wait: bool = False,
        timeout: Optional[float] = None,
    ) -> str:
        """URL of the UI server (Interactive and Transaction APIs), without a trailing slash; requested once per token.

        The options are those of :meth:`snapshot`; ``force_refresh`` asks the router again, not for a token.
        """
        flags = _flags(force_refresh, cached_only, no_wait)
        return str(self._call(("ui_url", flags), self._ask_router(flags), flags, timeout))

    async def aui_url(
        self,
        *,
        force_refresh: bool = False,
        cached_only: bool = False,
        no_wait: bool = False,
        timeout: Optional[float] = None,
    ) -> str:
        """As :meth:`ui_url`, without blocking the event loop."""
        flags = _flags(force_refresh, cached_only, no_wait)
        return str(await self._acall(("ui_url", flags), self._ask_router(flags), flags, timeout))

    # --- rejected tokens

    def report(self, response: Any, body: Union[bytes, str, None] = None, *, token: Optional[str] = None) -> Verdict:
        """Returns what an API's rejection means, and drops the token if it is the cause.

        ``response``: of httpx or requests, whose request shows the token, or an HTTP status with ``body`` and ``token``.
        Call it for a 401 or 403, and send the call once more, with a new token, after :attr:`Verdict.RETRY` only.
        """
        from . import _responses

        status, content, sent = _responses.read(response, body, token)
        return self._report(sent, status, content)

    async def areport(self, response: Any, body: Union[bytes, str, None] = None, *, token: Optional[str] = None) -> Verdict:
        """As :meth:`report`; also takes responses of aiohttp and unread ones of httpx, whose body must be awaited."""
        from . import _responses

        status, content, sent = await _responses.aread(response, body, token)
        return self._report(sent, status, content)

    def _report(self, token: str, status: int, body: bytes) -> Verdict:
        verdict = _handle.report(self._live(), _handle.text("the token", token), status, body)
        _log.drain()
        return Verdict(verdict)

    def invalidate(self, token: Optional[str] = None) -> None:
        """Drops ``token`` if it is still the current one. Without one: drops the cached token and ends any
        cool-down, for example after an account was unlocked."""
        text = None if token is None else _handle.text("the token", token)
        try:
            _handle.call(lib.p21_token_invalidate, self._live(), text)
        except P21Error as error:
            raise self._translated(error) from None

    # --- the client itself

    @property
    def base_url(self) -> str:
        """The server's address as the library uses it: with its scheme, without a trailing slash or ``/api``."""
        return self._hosts().base_url

    def url(self, path: str) -> str:
        """A URL on this server: ``url("/odataservice/odata/table/customer")``. Full URLs stay as they are."""
        if "://" in path:
            return path
        return f"{self._hosts().base_url}/{path.lstrip('/')}"

    def may_send_to(self, url: str) -> bool:
        """Whether the token may go there: to the base URL, the UI server and, over https, ``allowed_hosts``."""
        return self._hosts().may_send_to(url)

    def update(self, **options: Unpack[P21Options]) -> None:
        """Changes the client's credentials or settings and keeps the others; None puts an option back to its default.

        If they are refused, the client stays as it was. A call that waits for the old credentials waits for the new.
        """
        changed, handle = self._options.with_changes(options), self._live()
        try:
            _applied(changed, lambda configuration: _handle.call(lib.p21_client_update, handle, configuration))
        except P21Error as error:
            raise self._translated(error) from None
        self._options = changed

    def stats(self) -> dict[str, Any]:
        """Diagnostics without secrets: the token's age and life, counters, last error, cool-down, proxy, options in use."""
        import json

        stats: dict[str, Any] = json.loads(_handle.string(lib.p21_client_stats, self._live()))
        return stats

    def ssl_context(self) -> ssl.SSLContext:
        """The same trust for the user's own calls: the CA file, pins, or no verification, as this client has them."""
        from . import _trust

        return _trust.context(self.stats()["options"])

    def close(self) -> None:
        """Closes the client; calls that wait in it end at once with :class:`ClosedError`. Closing twice does nothing."""
        try:
            lib.p21_client_free(self._handle)
        finally:
            self._finalizer.detach()

    def __enter__(self: C) -> C:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    async def __aenter__(self: C) -> C:
        return self

    async def __aexit__(self, *exception: object) -> None:
        self.close()

    def __repr__(self) -> str:
        name = f"p21auth.{type(self).__name__}"
        if not self._finalizer.alive:
            return f"<{name}, closed>"
        return f"<{name} {self.base_url}>"

    # --- inside

    def _live(self) -> int:
        if not self._finalizer.alive:
            raise ClosedError("this client is closed", code=8, hint="Open a new one.")
        return self._handle

    def _translated(self, error: P21Error) -> P21Error:
        """What the caller gets to see; the guide-named classes mix in httpx's exceptions here."""
        return error

    def _hosts(self) -> Hosts:
        """Where this client's token may go."""
        options, known = self._options, self._known_hosts
        if known is None or known.options is not options:
            stats = self.stats()
            known = Hosts(options, stats["base_url"].rstrip("/"), stats["options"]["allowed_hosts"])
            if stats["ui_url"]:
                known.add_ui_server(stats["ui_url"]["url"])
            self._known_hosts = known
        return known

    def _timeout(self) -> float:
        """The client's ``timeout_ms`` in seconds."""
        text = self._options.get("timeout_ms")
        if text is None and self._options.file is None:
            return 30.0
        return float(text or self.stats()["options"]["timeout_ms"]) / 1000

    def _call(self, key: Hashable, ask: Call, flags: int = 0, timeout: Optional[float] = None) -> Any:
        """A blocking call, open to Ctrl-C; afterward the log is read."""
        try:
            if flags & _AT_ONCE:
                return ask(0, 0)[0]
            seconds = self._timeout() if timeout is None else timeout
            return blocking((self, key), ask, seconds, bool(flags & _table.FORCE_REFRESH))
        except P21Error as error:
            raise self._translated(error) from None
        finally:
            _log.drain()

    async def _acall(self, key: Hashable, ask: Call, flags: int = 0, timeout: Optional[float] = None) -> Any:
        """A call that other tasks share."""
        try:
            if flags & _AT_ONCE:
                return ask(0, 0)[0]
            seconds = self._timeout() if timeout is None else timeout
            return await awaited((self, key), ask, seconds, bool(flags & _table.FORCE_REFRESH))
        except P21Error as error:
            raise self._translated(error) from None
        finally:
            _log.drain()

    def _ask_token(self, wait_ms: int, flags: int) -> tuple[str, bool]:
        """A token through the library, kept for the hits that follow."""
        # Before the call: a change that comes while it runs must count as one.
        generation, token = self._word.value, _handle.Pointer()
        try:
            _handle.call(lib.p21_token_snapshot, self._live(), flags, wait_ms, 0, _handle.byref(token))
            now = monotonic()
            value: str = lib.p21_token_value(token).decode()
            reuse_ms = lib.p21_token_reuse_ms(token)
        finally:
            lib.p21_token_free(token)
        self._hit = (generation, now + reuse_ms / 1000, value)
        return value, reuse_ms > 0

    def _ask_snapshot(self, flags: int, min_valid: int) -> Call:
        def ask(wait_ms: int, more: int) -> tuple[Snapshot, bool]:
            token = _handle.Pointer()
            try:
                _handle.call(lib.p21_token_snapshot, self._live(), flags | more, wait_ms, min_valid, _handle.byref(token))
                made = Snapshot(token, self._hosts())
                return made, lib.p21_token_reuse_ms(token) > 0
            finally:
                lib.p21_token_free(token)

        return ask

    def _ask_router(self, flags: int) -> Call:
        def ask(wait_ms: int, more: int) -> tuple[str, bool]:
            url = _handle.string(lib.p21_ui_url, self._live(), flags | more, wait_ms)
            self._hosts().add_ui_server(url)
            return url, True

        return ask


#: Calls with one of these flags never wait.
_AT_ONCE = _table.CACHED_ONLY | _table.NO_WAIT


def _applied(options: Options, work: Callable[[_handle.Pointer], None]) -> None:
    """Hands options to the library. One that reads files may wait for them."""
    if options.name_files():
        interruptible(lambda: options.applied(work))
    else:
        options.applied(work)


def _flags(force_refresh: bool = False, cached_only: bool = False, no_wait: bool = False) -> int:
    return (
        (_table.FORCE_REFRESH if force_refresh else 0)
        | (_table.CACHED_ONLY if cached_only else 0)
        | (_table.NO_WAIT if no_wait else 0)
    )


def _whole(seconds: float) -> int:
    """Whole seconds, rounded up, as the library takes them."""
    whole = -int(-seconds // 1)
    if not 0 <= whole < 1 << 32:
        raise ConfigError("min_valid must be a number of seconds, 0 or more", code=3)
    return whole


def request_token(options: Options) -> dict[str, Any]:
    """One token request past the cache."""
    import json

    try:
        data: dict[str, Any] = json.loads(
            interruptible(lambda: options.applied(lambda made: _handle.string(lib.p21_token_request, made)))
        )
        return data
    finally:
        _log.drain()
