"""What the integrations need of a client, for those who write a stand-in."""

from __future__ import annotations

from collections.abc import Awaitable
from typing import Any, Optional, Protocol, Union

from ._client import Verdict


class TokenSource(Protocol):
    """What ``p21auth.httpx``, ``p21auth.requests`` and ``p21auth.aiohttp`` ask for: a client, or a stand-in in tests."""

    @property
    def base_url(self) -> str:
        """The server's address."""
        ...

    def may_send_to(self, url: str) -> bool:
        """Whether the token may go there."""
        ...

    def get_token(self) -> str:
        """A valid token."""
        ...

    def aget_token(self) -> Awaitable[str]:
        """The same without blocking the event loop."""
        ...

    def ui_url(self) -> str:
        """The UI server's URL."""
        ...

    def report(self, response: Any, body: Union[bytes, str, None] = None, *, token: Optional[str] = None) -> Verdict:
        """What an API's 401 or 403 means; ``response`` may be the HTTP status."""
        ...

    def invalidate(self, token: Optional[str] = None) -> None:
        """Drops the token."""
        ...
