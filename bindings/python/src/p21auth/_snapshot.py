"""A token that stays the same even if the cache gets a new one."""

from __future__ import annotations

from time import monotonic, time

from . import _handle
from ._native import lib

TYPE_CHECKING = False  # typing would be a tenth of the start
if TYPE_CHECKING:
    from collections.abc import ItemsView, Iterator, KeysView, ValuesView
    from typing import Any, NoReturn, TypeVar

    S = TypeVar("S", bound="Shared")

    from ._hosts import Hosts

#: Keys of every dict that the guide-named functions and snapshots return.
KEYS = (
    "AccessToken",
    "TokenType",
    "RefreshToken",
    "ExpiresInSeconds",
    "ExpiresIn",
    "UserName",
    "Scope",
    "SessionId",
    "ConsumerUid",
    "AppKey",
)


def headers(token: str) -> dict[str, str]:
    """The headers of an API call, as the guide has them."""
    return {
        "Authorization": f"Bearer {token}",
        "Content-Type": "application/json",
        "Accept": "application/json",
    }


def copied(reply: dict[str, Any]) -> dict[str, Any]:
    """A dict that the caller may change; of all fields only the claims aren't plain values."""
    copy = dict(reply)
    if "Claims" in copy:
        copy["Claims"] = dict(copy["Claims"])
    return copy


class Shared:
    """Base of what is shared instead of copied, and must not get into another process or a file."""

    __slots__ = ()
    _instead = ""

    def __copy__(self: S) -> S:
        return self

    def __deepcopy__(self: S, memo: Any) -> S:
        return self

    def __reduce_ex__(self, protocol: Any) -> NoReturn:
        raise TypeError(f"a p21auth {type(self).__name__} cannot be pickled: {self._instead}")


class Snapshot(Shared):
    """One token and all that the server said about it. Immutable: a refresh makes a new snapshot, never changes this one.

    An Interactive API session belongs to the token that opened it, so keep the snapshot for as long as the session.
    """

    __slots__ = ("_at", "_data", "_expires_at", "_generation", "_hosts", "_life")
    _instead = "it holds a secret. Send the token itself, if you must, or open a Client in the other process."

    def __init__(self, token: _handle.Pointer, hosts: Hosts) -> None:
        import json

        data: dict[str, Any] = json.loads(_handle.string(lib.p21_token_json, token))
        self._data = data
        self._at = monotonic()
        self._life = data["ExpiresInSeconds"]
        self._expires_at: int = lib.p21_token_expires_at(token)
        self._generation: int = lib.p21_token_generation(token)
        self._hosts = hosts

    @property
    def access_token(self) -> str:
        """The token itself."""
        return str(self._data["AccessToken"])

    def get_token(self) -> str:
        """The token itself: the same name as a client has, so that either serves."""
        return self.access_token

    def get_headers(self) -> dict[str, str]:
        """The headers of an API call with this token."""
        return headers(self.access_token)

    def may_send_to(self, url: str) -> bool:
        """Whether the token may go there, as :meth:`Client.may_send_to` has it."""
        return self._hosts.may_send_to(url)

    @property
    def expires_at(self) -> int:
        """When it expires, in Unix seconds."""
        return self._expires_at

    @property
    def expires_in(self) -> int:
        """Seconds left now; 0 once it has expired."""
        if self._life is None:
            return max(0, int(self._expires_at - time()))
        # Two clocks: one notices a suspended machine, the other a wall clock that was set back.
        by_clock = self._life - (monotonic() - self._at)
        return max(0, int(min(by_clock, self._expires_at - time())))

    @property
    def generation(self) -> int:
        """Number of the token in its slot; a refresh makes a new one."""
        return self._generation

    @property
    def claims(self) -> dict[str, Any]:
        """Claims of the JWT; empty when the token isn't one."""
        return dict(self._data.get("Claims") or {})

    def as_dict(self) -> dict[str, Any]:
        """A new dict in the guide's names, with ``ExpiresInSeconds`` (and ``ExpiresIn``) as they are now."""
        data = copied(self._data)
        data["ExpiresInSeconds"] = data["ExpiresIn"] = self.expires_in
        return data

    # A mapping in all but its base class: what serializes or logs any Mapping must not find the token.

    def __getitem__(self, name: str) -> Any:
        return self.as_dict()[name]

    def __contains__(self, name: object) -> bool:
        return name in self._data

    def __iter__(self) -> Iterator[str]:
        return iter(self._data)

    def __len__(self) -> int:
        return len(self._data)

    def get(self, name: str, default: Any = None) -> Any:
        """A field by the guide's name, such as ``Scope`` or ``SessionId``."""
        return self.as_dict().get(name, default)

    def keys(self) -> KeysView[str]:
        """Names of the fields, as in the guide."""
        return self.as_dict().keys()

    def values(self) -> ValuesView[Any]:
        """What :meth:`as_dict` holds."""
        return self.as_dict().values()

    def items(self) -> ItemsView[str, Any]:
        """What :meth:`as_dict` holds."""
        return self.as_dict().items()

    def __repr__(self) -> str:
        return f"<p21auth.Snapshot of {self.expires_in} s>"
