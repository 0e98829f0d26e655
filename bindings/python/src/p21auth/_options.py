"""Options as Python users write them, as the text that the library takes; and those of the environment.

The library has one table of options (``p21_options_json``). Nothing here knows their names, apart from the few that
users of httpx write differently.
"""

from __future__ import annotations

import os
from collections.abc import Mapping

from . import _handle
from ._errors import ConfigError, P21Error, make
from ._native import lib

TYPE_CHECKING = False  # typing would be a tenth of the start
if TYPE_CHECKING:
    from typing import Any, Callable, Optional, TypeVar

    T = TypeVar("T")


def table() -> list[dict[str, Any]]:
    """Every option: name, type, default, unit, secret, scope, text."""
    import json

    rows: list[dict[str, Any]] = json.loads(lib.p21_options_json())
    return rows


class Options:
    """Options as text. It may hold secrets, so it shows only names."""

    __slots__ = ("file", "prefix", "profile", "values")

    def __init__(
        self,
        values: dict[str, bytes],
        file: Optional[bytes] = None,
        prefix: str = "P21_",
        profile: Optional[bytes] = None,
    ) -> None:
        self.values = values
        self.file = file
        self.prefix = prefix
        self.profile = profile

    def __repr__(self) -> str:
        return f"Options({', '.join(sorted(self.values))})"

    def with_changes(self, changes: Mapping[str, Any]) -> Options:
        """These options with others on top; None puts an option back to its default."""
        values = dict(self.values)
        for name, value in _encoded(changes).items():
            if value is None:
                values.pop(name, None)
            else:
                values[name] = value
        return Options(values, self.file, self.prefix, self.profile)

    def applied(self, work: Callable[[_handle.Pointer], T]) -> T:
        """What ``work`` makes of a configuration handle with these options."""
        configuration = _handle.Pointer()
        values = _resolved(dict(self.values))
        try:
            _handle.fill(configuration, values, self.file, self.profile)
            return work(configuration)
        finally:
            lib.p21_config_free(configuration)

    def name_files(self) -> bool:
        """Whether the library reads files for them."""
        if self.file is not None or self.profile is not None:
            return True
        return any(name.endswith(("_file", "_from")) for name in self.values)

    def in_their_words(self, error: P21Error) -> P21Error:
        """An error of these options whose hint names the variables that were read."""
        if self.prefix == "P21_":
            return error
        hint = error.hint.replace("P21_", self.prefix)
        return make(error.code, error.http_status, error.message, hint, error.retry_after, error.retryable)

    def get(self, name: str) -> Optional[str]:
        """The text of an option that was set by name."""
        value = self.values.get(name)
        return None if value is None else value.decode("utf-8")


def from_keywords(options: Mapping[str, Any]) -> Options:
    """Options that a caller wrote as keyword arguments."""
    return Options({}).with_changes(options)


def from_environment(prefix: str) -> Options:
    """Options from variables such as ``P21_BASE_URL``, as Python's own ``os.environ`` has them.

    Empty variables count as not set. ``P21_VERIFY_SSL`` is another name of ``P21_TLS_VERIFY``; with a consumer key
    ``P21_CONSUMER_USERNAME`` beats ``P21_USERNAME``.
    """
    values: dict[str, bytes] = {}
    for row in table():
        name = row["name"]
        variables = [prefix + name.upper()]
        if name == "tls_verify":
            variables.append(prefix + "VERIFY_SSL")
        for variable in variables:
            found = os.environ.get(variable)
            if found:
                values[name] = _handle.text(f"the environment variable {variable}", found)
                break
    consumer_username = os.environ.get(prefix + "CONSUMER_USERNAME")
    if consumer_username and _uses_consumer_key(values):
        variable = f"the environment variable {prefix}CONSUMER_USERNAME"
        values["username"] = _handle.text(variable, consumer_username)
    profile = os.environ.get(prefix + "PROFILE")
    named = _handle.text(f"the environment variable {prefix}PROFILE", profile) if profile else None
    return Options(values, prefix=prefix, profile=named)


def _resolved(values: dict[str, bytes]) -> dict[str, bytes]:
    """Options whose secrets are in variables or in a keyring, with these as values: both are Python's to read."""
    for name in [name for name in values if name.endswith("_from")]:
        form, _, rest = values[name].decode("utf-8").lstrip().partition(":")
        if form == "env" and rest:
            found = os.environ.get(rest)
            if not found:
                raise ConfigError(
                    f"{name} names the environment variable {rest}, which is not set",
                    code=7,
                    hint="Set it before the client is opened; it is read when a client is opened or updated.",
                )
        elif form == "keyring" and (kept := _from_keyring(name, rest)):
            found = kept
        else:
            continue
        secret = name[: -len("_from")]
        if secret in values:
            continue  # the library says that both are set
        values[secret] = _handle.text(name, found)
        del values[name]
    return values


def _from_keyring(name: str, place: str) -> Optional[str]:
    """The secret, by the package keyring; without it, or for what names no entry, None: the library then looks itself."""
    service, _, account = place.partition("/")
    if not (service and account):
        return None
    try:
        import keyring  # type: ignore[import-not-found,unused-ignore]
    except ImportError:
        return None
    try:
        found: Optional[str] = keyring.get_password(service, account)
    except Exception as error:  # of any backend; its text may hold anything
        raise ConfigError(
            f"{name}: the keyring cannot be read: {type(error).__name__}",
            code=7,
            hint="Unlock the keyring, or choose a backend: keyring --list-backends.",
        ) from None
    if not found:
        raise ConfigError(
            f"{name}: the keyring has no {service}/{account}", code=7, hint=f"keyring set {service} {account} adds it."
        )
    return found


def _uses_consumer_key(values: Mapping[str, bytes]) -> bool:
    mode = values.get("auth_mode", b"").strip()
    if mode:
        return mode.endswith(b"_consumer")
    return any(name in values for name in ("consumer_key", "consumer_key_file", "consumer_key_from"))


def _encoded(options: Mapping[str, Any]) -> dict[str, Optional[bytes]]:
    encoded: dict[str, Optional[bytes]] = {}
    for written, value in options.items():
        name, value = _translated(written, value)
        if name in encoded:
            raise ConfigError(f"{written}: {name} is given twice", code=7, hint="Keep one of them.")
        encoded[name] = None if value is None else _handle.text(written, _as_text(written, name, value))
    return encoded


def _translated(name: str, value: Any) -> tuple[str, Any]:
    """The option that a user of httpx or requests means."""
    if name in ("verify", "verify_ssl"):
        if isinstance(value, (bool, int)) or value is None:
            return "tls_verify", value
        if name == "verify" and isinstance(value, (str, os.PathLike)):
            return "ca_file", value
        if name == "verify_ssl" and isinstance(value, str):
            return "tls_verify", value
        raise ConfigError(
            f"{name} must be True, False" + (" or the path of a CA file" if name == "verify" else ""),
            code=7,
            hint="Other kinds of trust: ca_file adds a certificate authority, tls_pin_sha256 accepts one certificate.",
        )
    if name == "timeout":
        if value is None:
            return "timeout_ms", None
        seconds = _seconds(value)
        if seconds is None:
            raise ConfigError("timeout must be a number of seconds", code=7, hint="timeout=30, or timeout_ms=30000.")
        return "timeout_ms", max(1, round(seconds * 1000))
    return name, value


def _seconds(value: Any) -> Optional[float]:
    if hasattr(value, "total_seconds"):
        return float(value.total_seconds())
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return float(value)
    return None


def _as_text(written: str, name: str, value: Any) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "1" if value else "0"
    if isinstance(value, os.PathLike):
        return os.fsdecode(value)
    if hasattr(value, "total_seconds"):
        scale = 1000 if name.endswith("_ms") else 1
        value = value.total_seconds() * scale
    if isinstance(value, float):
        return str(int(value)) if value.is_integer() else str(value)
    if isinstance(value, int):
        return str(value)
    if isinstance(value, (list, tuple, set, frozenset)) and all(isinstance(item, str) for item in value):
        return ",".join(value)
    raise ConfigError(
        f"{written} cannot be a {type(value).__name__}", code=7, hint="Options are text, numbers, booleans or paths."
    )
