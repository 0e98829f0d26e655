"""Where a token may go: the client's own server, its UI server, and the hosts that the user has named."""

from __future__ import annotations

from typing import Optional
from urllib.parse import urlsplit

from ._errors import HostNotAllowedError

Origin = tuple[str, str, int]
_PORTS = {"http": 80, "https": 443}


def origin(url: str) -> Origin:
    """Scheme, host and port."""
    parts = urlsplit(url)
    scheme = parts.scheme.lower()
    return scheme, (parts.hostname or "").lower(), parts.port or _PORTS.get(scheme, 0)


class Hosts:
    """The origins of one client. A host in ``allowed_hosts`` counts on every port unless it is written with one."""

    __slots__ = ("_allowed", "_base", "_ui")

    def __init__(self, base_url: str, allowed: list[str]) -> None:
        self._base = origin(base_url)
        self._allowed = frozenset(allowed)
        self._ui: Optional[Origin] = None

    def add_ui_server(self, url: str) -> None:
        """Remembers where the router sent us."""
        self._ui = origin(url)

    def check(self, url: str) -> None:
        """Raises :class:`HostNotAllowedError` unless the token may go there."""
        target = scheme, host, port = origin(url)
        if target in (self._base, self._ui):
            return
        # Never from https down to http, whatever the host.
        downgrade = scheme != "https" and self._base[0] == "https"
        if not downgrade and (host in self._allowed or f"{host}:{port}" in self._allowed):
            return
        shown = f"{scheme}://{host}:{port}"
        raise HostNotAllowedError(
            f"the token is not sent to {shown}",
            code=7,
            hint="It goes to the base URL, to the UI server once ui_url() has been asked for, and over https to the "
            f"hosts in allowed_hosts. If this one is yours: allowed_hosts={host!r}.",
        )
