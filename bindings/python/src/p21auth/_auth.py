"""What the auth classes of the three HTTP libraries have in common: which header, where to, and what a 401 asks for."""

from __future__ import annotations

from typing import Union
from urllib.parse import urlsplit

from . import _log
from ._client import Client, Verdict
from ._errors import ConfigError
from ._hosts import refuse
from ._snapshot import Snapshot

#: What may stand behind an auth class: a client, or one token pinned.
Source = Union[Client, Snapshot]
#: Answers that may be about the token.
REJECTIONS = (401, 403)


class Bearer:
    """The ``Authorization`` header for the requests of one client, or of one snapshot."""

    __slots__ = ("_client", "_pinned")

    def __init__(self, source: Source) -> None:
        self._client = source if isinstance(source, Client) else None
        self._pinned = source if isinstance(source, Snapshot) else None
        if self._client is None and self._pinned is None:
            raise ConfigError(f"P21Auth takes a Client or a Snapshot, not a {type(source).__name__}", code=3)

    def _check(self, url: str) -> None:
        source = self._client or self._pinned
        assert source is not None
        if not source.may_send_to(url):
            raise refuse(url)

    def header(self, url: str) -> str:
        """The header's value; :class:`HostNotAllowedError` for a host that the token must not reach."""
        self._check(url)
        if self._pinned is not None:
            return "Bearer " + self._pinned.access_token
        assert self._client is not None
        return "Bearer " + self._client.get_token()

    async def aheader(self, url: str) -> str:
        """As :meth:`header`, without blocking the event loop."""
        if self._client is None:
            return self.header(url)
        self._check(url)
        return "Bearer " + await self._client.aget_token()

    def rejected(self, sent: str, url: str, status: int, body: bytes) -> bool:
        """Sorts a rejection; True if the call may be sent once more with a new token. A pinned token stays."""
        if self._client is None:
            return False
        verdict = self._client._report(sent, status, body)
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
