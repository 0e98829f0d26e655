"""The process' own client, from the environment."""

from __future__ import annotations

from ._client import Client

TYPE_CHECKING = False  # typing would be a tenth of the start
if TYPE_CHECKING:
    from typing import Optional

_default: Optional[Client] = None


def default_client() -> Client:
    """One client for the whole process, opened from ``P21_BASE_URL``, ``P21_USERNAME``, … at first use.

    If that fails the error names the missing variables, and the next call tries again.
    """
    global _default
    client = _default
    if client is None or not client._finalizer.alive:
        # Two threads may both open one; they share the token all the same.
        client = _default = Client.from_env()
    return client


def reset() -> None:
    """Closes the default client, if there is one; the next call opens another from the environment as it is then."""
    global _default
    client, _default = _default, None
    if client is not None:
        client.close()
