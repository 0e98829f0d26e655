"""What the auth classes of the three HTTP libraries have in common: which header, where to, and what a 401 asks for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Union
from urllib.parse import urlsplit

from . import _log
from ._client import Verdict
from ._errors import ConfigError
from ._hosts import refuse

if TYPE_CHECKING:
    from ._snapshot import Snapshot
    from ._source import TokenSource

#: What may stand behind an auth class: a client or a stand-in for one, or one token pinned.
Source = Union["TokenSource", "Snapshot"]
#: Answers that may be about the token.
REJECTIONS = (401, 403)


class Bearer:
    """The ``Authorization`` header for the requests of one source.

    A source without ``report`` is pinned: it has one token, and nothing can bring another.
    """

    __slots__ = ("_source",)

    def __init__(self, source: Source) -> None:
        missing = [name for name in ("get_token", "may_send_to") if not callable(getattr(source, name, None))]
        if missing:
            raise ConfigError(
                f"P21Auth takes a Client, a Snapshot or another TokenSource; a {type(source).__name__} lacks "
                + " and ".join(missing),
                code=3,
            )
        self._source: Any = source

    def header(self, url: str) -> str:
        """The header's value; :class:`HostNotAllowedError` for a host that the token must not reach."""
        self._check(url)
        return self._of("get_token", self._source.get_token())

    async def aheader(self, url: str) -> str:
        """As :meth:`header`, without blocking the event loop."""
        self._check(url)
        if not hasattr(self._source, "aget_token"):
            return self._of("get_token", self._source.get_token())
        return self._of("aget_token", await self._source.aget_token())

    def _check(self, url: str) -> None:
        if not self._source.may_send_to(url):
            raise refuse(url)

    def _of(self, method: str, token: object) -> str:
        if isinstance(token, str):
            return "Bearer " + token
        source, got = type(self._source).__name__, type(token).__name__
        raise ConfigError(
            f"{method}() of the {source} returned a {got} instead of a token",
            code=3,
            hint=f"Where it is a mock, set {method}.return_value.",
        )

    def rejected(self, sent: str, url: str, status: int, body: bytes) -> bool:
        """Sorts a rejection; True if the call may be sent once more with a new token."""
        if not hasattr(self._source, "report"):
            return False
        verdict = self._source.report(status, body, token=sent)
        if verdict is not Verdict.RETRY:
            _log.warn("%s answered %d: %s", _without_query(url), status, verdict.hint)
        return verdict is Verdict.RETRY


def lost(sent: str, arrived: Union[str, bytes, None], url: str) -> bool:
    """Whether the header was taken off on the way: HTTP libraries do so when they follow a redirect to another origin."""
    if arrived == sent:
        return False
    _log.warn("%s was reached by a redirect to another origin, so the token was not sent", _without_query(url))
    return True


def _without_query(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.hostname}{f':{parts.port}' if parts.port else ''}{parts.path}"
