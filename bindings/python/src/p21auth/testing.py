"""The P21 emulator for tests: no P21 server, no account, and every failure on request.

In a ``conftest.py``::

    pytest_plugins = ["p21auth.testing"]

then in a test::

    def test_orders(p21_client):              # a Client, logged in
        ...

    def test_outage(p21_client, p21_emulator):
        p21_emulator.fault(path="/token", action={"answer": {"status": 503}})
        ...

Each test gets an emulator of its own. Code that uses ``p21auth.default_client()`` or ``from_env`` is tested with
``p21_environment``, which sets ``P21_BASE_URL`` and so on. Without pytest::

    with Emulator() as emulator:
        client = emulator.client()

``docs/emulator.md`` describes its settings, faults and counters.
"""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
import urllib.parse
import urllib.request
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Optional

from ._cli import path
from ._client import Client
from ._default import reset as reset_default_client

__all__ = ["CONSUMER_KEY", "PASSWORD", "USERNAME", "Emulator", "reset_default_client"]

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from ._option_types import P21Options

#: Users and keys that the emulator knows from the start.
USERNAME, PASSWORD = "demo", "demo-password"
CONSUMER_KEY = "00000000-0000-4000-8000-000000000001"


#: Of emulators that this process has started.
_addresses: set[str] = set()


class Emulator:
    """A P21 middleware server on a loopback port, in a process of its own that ends with this one."""

    def __init__(self, *, tls: Optional[str] = None, prefix: Optional[str] = None, **settings: Any) -> None:
        """``tls``: ``good``, ``self-signed``, ``expired`` or ``wrong-host``; ``settings``: such as ``lifetime_s=60``."""
        self._folder = tempfile.TemporaryDirectory(prefix="p21-emulator-")
        ca_file = os.path.join(self._folder.name, "ca.pem")
        command = [path(), "mock", "--port", "0", "--json", "--until-stdin-ends", "--ca-file", ca_file]
        if tls:
            command.append(f"--tls={tls}")
        if prefix:
            command.append(f"--prefix={prefix}")
        for name, value in settings.items():
            command += ["--set", f"{name}={value if isinstance(value, str) else json.dumps(value)}"]
        while True:
            self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
            assert self._process.stdout is not None
            line = self._process.stdout.readline()
            if not line:
                said = self._process.communicate()[1].decode("utf-8", "replace").strip()
                self._folder.cleanup()
                raise RuntimeError(f"the emulator did not start: {said}")
            about: dict[str, Any] = json.loads(line)
            if about["base_url"] not in _addresses:
                break
            # The library still has the token of an emulator that had this port, and would ask this one for none.
            self._process.communicate()
        _addresses.add(about["base_url"])
        #: Address of the emulated server.
        self.base_url = str(about["base_url"])
        #: PEM file of the emulator's own CA, or None without TLS.
        self.ca_file: Optional[str] = about["ca_file"]
        #: SHA-256 of its certificate, or None without TLS.
        self.tls_pin_sha256: Optional[str] = about["tls_pin_sha256"]
        self._control = str(about["control_url"])
        handlers: list[urllib.request.BaseHandler] = [urllib.request.ProxyHandler({})]
        if tls:
            import ssl

            # Its own control endpoint, on loopback, no matter what certificate it plays.
            handlers.append(urllib.request.HTTPSHandler(context=ssl._create_unverified_context()))
        self._opener = urllib.request.build_opener(*handlers)

    def client(self, **options: Unpack[P21Options]) -> Client:
        """A client of this emulator for the user ``demo``, or as ``options`` say."""
        return Client(**self.options(**options))

    def options(self, **options: Unpack[P21Options]) -> dict[str, Any]:
        """Options of a client of this emulator: address, trust and, unless others are given, the user ``demo``."""
        own: dict[str, Any] = {"base_url": self.base_url}
        if self.ca_file and not {"ca_file", "verify", "verify_ssl", "tls_pin_sha256", "tls_verify"} & set(options):
            own["ca_file"] = self.ca_file
        if not {"consumer_key", "access_token"} & set(options):
            own.update(username=USERNAME, password=PASSWORD)
        return {**own, **options}

    def control(self, call: str, body: Any = None, method: Optional[str] = None) -> Any:
        """Any call of the control endpoint; ``body`` is sent as JSON by POST."""
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self._control + call, data=data, method=method)
        with self._opener.open(request, timeout=60) as response:
            return json.loads(response.read() or b"null")

    def counters(self) -> dict[str, int]:
        """All counters, such as ``token.requests``."""
        counters: dict[str, int] = self.control("counters")
        return counters

    def count(self, counter: str) -> int:
        """One counter; 0 for one that nothing has counted yet."""
        return self.counters().get(counter, 0)

    def config(self, **settings: Any) -> None:
        """Changes settings, ``users`` and ``keys`` while it runs."""
        self.control("config", settings)

    def fault(self, **fault: Any) -> None:
        """Queues a fault, such as ``path="/token", times=2, action="reset"``."""
        self.control("faults", fault)

    def hold(self, path: Optional[str] = None) -> None:
        """Holds token requests (or those of a path) back until :meth:`release`."""
        self.control("hold", {} if path is None else {"path": path})

    def release(self, count: Optional[int] = None) -> None:
        """Lets go on what is held or hangs."""
        self.control("release", {} if count is None else {"count": count})

    def revoke(self, token: Optional[str] = None) -> None:
        """Makes a token invalid, or all."""
        self.control("revoke", {} if token is None else {"token": token})

    def advance(self, seconds: float) -> None:
        """Moves the emulator's clock: its tokens expire."""
        self.control("time", {"advance_s": seconds})

    def wait(self, timeout: float = 30, **counters: int) -> dict[str, int]:
        """Waits until each counter is at least that; ``_`` stands for the dot: ``wait(held=1, token_issued=2)``."""
        query = {name.replace("_", ".", 1): str(least) for name, least in counters.items()}
        query["timeout_ms"] = str(int(timeout * 1000))
        reached: dict[str, int] = self.control("wait?" + urllib.parse.urlencode(query))
        return reached

    def reset(self) -> None:
        """Back to the first state: no tokens, faults, held requests or counts."""
        self.control("reset", {})

    def close(self) -> None:
        """Ends the emulator."""
        for stream in (self._process.stdin, self._process.stdout, self._process.stderr):
            if stream is not None:
                stream.close()
        self._process.wait()
        self._folder.cleanup()

    def __enter__(self) -> Emulator:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()


try:
    import pytest
except ImportError:
    pass
else:

    @pytest.fixture
    def p21_emulator() -> Iterator[Emulator]:
        """An emulator of this test's own, in its first state."""
        with Emulator() as emulator:
            yield emulator

    @pytest.fixture
    def p21_client(p21_emulator: Emulator) -> Iterator[Client]:
        """A client of the emulator, for the user ``demo``."""
        with p21_emulator.client() as client:
            yield client

    @pytest.fixture
    def p21_environment(p21_emulator: Emulator, monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, str]]:
        """``P21_BASE_URL`` and so on lead to the emulator, and ``default_client()`` is this test's own."""
        for name in [name for name in os.environ if name.startswith("P21_")]:
            monkeypatch.delenv(name)
        variables = {f"P21_{name.upper()}": str(value) for name, value in p21_emulator.options().items()}
        for name, value in variables.items():
            monkeypatch.setenv(name, value)
        reset_default_client()
        yield variables
        reset_default_client()
