"""An ``ssl.SSLContext`` with the trust that a client has."""

from __future__ import annotations

import hashlib
import ssl
from typing import Any


def context(options: dict[str, Any]) -> ssl.SSLContext:
    """``options``: those that ``stats()`` tells."""
    made = ssl.create_default_context()
    if options["ca_file"]:
        made.load_verify_locations(cafile=options["ca_file"])
    pins = frozenset(options["tls_pin_sha256"])
    if pins or not options["tls_verify"]:
        made.check_hostname = False
        made.verify_mode = ssl.CERT_NONE
    if pins:
        made.p21auth_pins = pins  # type: ignore[attr-defined]
        made.sslsocket_class = _pinned_socket(pins)
        made.sslobject_class = _pinned_object(pins)
    return made


def _check(connection: Any, pins: frozenset[str]) -> None:
    """OpenSSL has verified that the peer has the certificate's key, for any ``verify_mode``; here: which one it is."""
    certificate = connection.getpeercert(binary_form=True) or b""
    if hashlib.sha256(certificate).hexdigest() not in pins:
        raise ssl.SSLCertVerificationError("the server's certificate is not one of tls_pin_sha256")


def _pinned_socket(pins: frozenset[str]) -> type[ssl.SSLSocket]:
    class PinnedSocket(ssl.SSLSocket):
        def do_handshake(self, block: bool = False) -> None:
            super().do_handshake(block)
            _check(self, pins)

    return PinnedSocket


def _pinned_object(pins: frozenset[str]) -> type[ssl.SSLObject]:
    class PinnedObject(ssl.SSLObject):
        def do_handshake(self) -> None:
            super().do_handshake()
            _check(self, pins)

    return PinnedObject
