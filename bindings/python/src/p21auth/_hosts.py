"""Where a token may go: the client's own server, its UI server, and the hosts that the user has named."""

from __future__ import annotations

from ._errors import HostNotAllowedError

TYPE_CHECKING = False  # typing would be a tenth of the start
if TYPE_CHECKING:
    from typing import Optional

_PORTS = {"http": 80, "https": 443}


def origin(url: str) -> tuple[str, str, int]:
    """Scheme, host and port."""
    from urllib.parse import urlsplit

    try:
        parts = urlsplit(url)
        scheme = parts.scheme.lower()
        return scheme, (parts.hostname or "").lower(), parts.port or _PORTS.get(scheme, 0)
    except ValueError:
        return "", "", 0


def _beginning(url: str) -> str:
    """What every URL of the same origin begins with, if it is written in the same way."""
    scheme, _, rest = url.partition("://")
    return f"{scheme}://{rest.partition('/')[0]}/"


class Hosts:
    """The origins of one client. A host in ``allowed_hosts`` counts on every port unless it is written with one."""

    __slots__ = ("_allowed", "_own", "_ui", "base_url", "options")

    def __init__(self, options: object, base_url: str, allowed: list[str]) -> None:
        #: What it was made of.
        self.options = options
        self.base_url = base_url
        self._allowed = frozenset(allowed)
        self._own: tuple[str, ...] = (_beginning(base_url),)
        self._ui: Optional[str] = None

    def add_ui_server(self, url: str) -> None:
        """Remembers where the router sent us."""
        if url != self._ui:
            self._ui = url
            self._own = (self._own[0], _beginning(url))

    def may_send_to(self, url: str) -> bool:
        """Whether the token may go there."""
        # Nearly every request goes to a URL that this client has made.
        return url.startswith(self._own) or self._is_allowed(url)

    def _is_allowed(self, url: str) -> bool:
        target = scheme, host, port = origin(url)
        base = origin(self.base_url)
        if target == base or (self._ui is not None and target == origin(self._ui)):
            return True
        # Never from https down to http, no matter what the host.
        downgrade = scheme != "https" and base[0] == "https"
        return not downgrade and (host in self._allowed or f"{host}:{port}" in self._allowed)


def refuse(url: str) -> HostNotAllowedError:
    """The error for a host that the token must not reach."""
    scheme, host, port = origin(url)
    return HostNotAllowedError(
        f"the token is not sent to {scheme}://{host}:{port}",
        code=7,
        hint="It goes to the base URL, to the UI server once ui_url() has been asked for, and over https to the "
        f"hosts in allowed_hosts. If this one is yours: allowed_hosts={host!r}.",
    )
