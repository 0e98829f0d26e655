"""What can go wrong, as exceptions that Python programs already know how to catch.

Every error is a :class:`P21Error`; each family is also the built-in exception that fits it (``ValueError``,
``ConnectionError``, ``TimeoutError``). No message, hint or attribute ever holds a password, key or token.
"""

from __future__ import annotations

from ._native import lib

TYPE_CHECKING = False  # typing would be a tenth of the start
if TYPE_CHECKING:
    from typing import Any, Optional


class P21Error(Exception):
    """Base of all errors of this package.

    * ``code``: the stable number of ``include/p21auth.h``; ``name``: its name, such as ``P21_E_UNAUTHORIZED``
    * ``http_status``: HTTP status of the server's answer, 0 if there was none
    * ``message``: one line that says what happened; ``hint``: what to do next, or an empty string
    * ``retry_after``: seconds until another try makes sense, or None
    * ``retryable``: whether a later try can succeed with no changes
    """

    def __init__(
        self,
        message: str,
        *,
        code: int = 3,
        http_status: int = 0,
        hint: str = "",
        retry_after: Optional[float] = None,
        retryable: bool = False,
    ) -> None:
        self.code = code
        self.name = status_name(code)
        self.http_status = http_status
        self.message = message
        self.hint = hint
        self.retry_after = retry_after
        self.retryable = retryable
        text = f"{self.name}: {message}"
        self.args = (f"{text} Hint: {hint}" if hint else text,)

    def __str__(self) -> str:
        return str(self.args[0])

    def again(self) -> P21Error:
        """A copy without traceback, to be raised by another waiter of the same call."""
        return make(self.code, self.http_status, self.message, self.hint, self.retry_after, self.retryable)

    def __reduce__(self) -> Any:
        # An exception travels between processes; the subclass that mixes in httpx is made again by its code.
        return make, (self.code, self.http_status, self.message, self.hint, self.retry_after, self.retryable)


class ConfigError(P21Error, ValueError):
    """An option is missing, unknown, malformed or contradicts another; or an argument has no meaning."""


class HostNotAllowedError(ConfigError):
    """A request with the token was to go to a host that is neither the client's own nor in ``allowed_hosts``."""


class ClosedError(P21Error):
    """The client was closed, before the call or while it waited."""


class NoCachedTokenError(P21Error):
    """``cached_only`` was asked for and no unexpired token is cached."""


class PendingError(P21Error):
    """``no_wait`` was asked for and the token is still being fetched."""


class TokenExpiredError(P21Error):
    """The access token that the caller supplied (``auth_mode="token"``) has expired."""


class StoreError(P21Error):
    """The shared token store cannot be used."""


class NetworkError(P21Error, ConnectionError):
    """No connection, or one that broke: DNS, TCP, TLS, proxy."""


class P21TimeoutError(P21Error, TimeoutError):
    """The call timed out."""


class HttpError(P21Error):
    """The server answered with an HTTP status that is not a success."""


class BadCredentialsError(HttpError):
    """The token endpoint rejected the username, password or consumer key."""


class AccessDeniedError(HttpError):
    """The server understood the request and refused it."""


class NotFoundError(HttpError):
    """There is no P21 API at this address."""


class RateLimitedError(HttpError):
    """The server is throttling requests."""


class ServerError(HttpError):
    """The server failed (HTTP 5xx)."""


class RedirectError(HttpError):
    """The server redirects to an address to which credentials must not be sent."""


class RejectedError(HttpError):
    """The server rejects new tokens as fast as it issues them."""


class ParseError(P21Error, ValueError):
    """The response could not be parsed, or contains no token or URL."""


class InternalError(P21Error):
    """The library failed inside; please report it."""


_CLASSES: dict[int, type[P21Error]] = {
    1: InternalError,
    2: ConfigError,
    3: ConfigError,
    4: ClosedError,
    5: ConfigError,
    6: InternalError,
    7: ConfigError,
    8: ClosedError,
    9: NoCachedTokenError,
    10: PendingError,
    11: TokenExpiredError,
    50: StoreError,
    100: NetworkError,
    101: NetworkError,
    102: NetworkError,
    103: P21TimeoutError,
    104: NetworkError,
    105: NetworkError,
    150: HttpError,
    151: BadCredentialsError,
    152: AccessDeniedError,
    153: NotFoundError,
    154: RateLimitedError,
    155: ServerError,
    156: RedirectError,
    157: RejectedError,
    200: ParseError,
    201: ParseError,
    202: ParseError,
    203: ParseError,
    250: InternalError,
    251: InternalError,
    252: InternalError,
}
#: Codes of later versions belong to the family whose numbers surround them.
_FAMILIES = ((200, 249, ParseError), (150, 199, HttpError), (100, 149, NetworkError), (50, 99, StoreError))


def status_name(code: int) -> str:
    """``P21_E_UNAUTHORIZED`` for 151."""
    name: Optional[bytes] = lib.p21_status_name(code)
    return name.decode() if name else f"P21_E_{code}"


def class_of(code: int) -> type[P21Error]:
    """The exception class of a status."""
    if code in _CLASSES:
        return _CLASSES[code]
    return next((family for first, last, family in _FAMILIES if first <= code <= last), P21Error)


def make(
    code: int,
    http_status: int,
    message: str,
    hint: str,
    retry_after: Optional[float],
    retryable: bool,
) -> P21Error:
    """The exception of a status."""
    return class_of(code)(
        message, code=code, http_status=http_status, hint=hint, retry_after=retry_after, retryable=retryable
    )
