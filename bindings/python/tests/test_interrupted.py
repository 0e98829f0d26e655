"""An exception out of a signal handler, such as Celery's soft time limit, leaves nothing behind in the library."""

from __future__ import annotations

import asyncio
import gc
import logging
import random
import signal
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

import p21auth
from p21auth import Client, _log, _table, _waits
from p21auth._native import lib
from p21auth.testing import PASSWORD, Emulator

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="no signals that a handler could take there")


class Enough(Exception):
    """What the handler raises, as Celery's SoftTimeLimitExceeded."""


@pytest.fixture(autouse=True)
def handler() -> Iterator[None]:
    def raise_it(*_: object) -> None:
        raise Enough

    before = signal.signal(signal.SIGUSR1, raise_it), signal.signal(signal.SIGALRM, raise_it)
    yield
    signal.setitimer(signal.ITIMER_REAL, 0)
    signal.signal(signal.SIGUSR1, before[0])
    signal.signal(signal.SIGALRM, before[1])


@pytest.fixture(autouse=True)
def clients_of_other_tests() -> None:
    """What other tests left is gone before this one counts."""
    p21auth._guide._clients._by_arguments.clear()
    waits_have_ended()
    gc.collect()


@pytest.fixture(autouse=True)
def events() -> Iterator[None]:
    """So that the log is read too."""
    logger = logging.getLogger("p21auth")
    logger.setLevel(logging.DEBUG)
    yield
    logger.setLevel(logging.NOTSET)


def objects() -> int:
    return int(lib.p21_live_objects())


def waits_have_ended() -> None:
    """A wait whose caller has gone ends with the request that it waits for."""
    deadline = time.monotonic() + 20
    while _waits._pool.waits and time.monotonic() < deadline:
        time.sleep(0.01)
    assert not _waits._pool.lock.locked() and not _waits._pool.waits


#: PyPy frees objects some time after they are out of use, so what earlier tests left may go while a later one counts.
FREES_LATE = sys.implementation.name == "pypy"


def nothing_is_left(before: int, what: object) -> None:
    """A helper thread may still be at it, and an exception's frames may hold what it left."""
    deadline = time.monotonic() + 20
    while objects() > before or (objects() < before and not FREES_LATE):
        assert time.monotonic() < deadline, (what, objects() - before)
        gc.collect()


CALLS: dict[str, Callable[[Emulator, Client], Any]] = {
    "open, refused": lambda emulator, _: emulator.client(timeout_ms="soon"),
    "open a file": lambda emulator, _: emulator.client(password=None, password_file=__file__).close(),
    # What closes a client that was forgotten is Python's own, and swallows exceptions.
    "open and close": lambda emulator, _: emulator.client().close(),
    "get_token": lambda _, client: client.get_token(),
    "aget_token": lambda _, client: asyncio.run(client.aget_token()),
    "snapshot": lambda _, client: client.snapshot(),
    "force_refresh": lambda _, client: client.snapshot(force_refresh=True),
    "cached_only": lambda _, client: client.snapshot(cached_only=True),
    "ui_url": lambda _, client: client.ui_url(),
    "report": lambda _, client: client.report(401, "<TokenError/>", token="x"),
    "invalidate": lambda _, client: client.invalidate("x"),
    "stats": lambda _, client: client.stats(),
    "update": lambda _, client: client.update(timeout=5),
    "get_token_v2": lambda emulator, _: p21auth.get_token_v2(emulator.base_url, "demo", PASSWORD, user_agent="x"),
    "fresh": lambda emulator, _: p21auth.get_token_v2(emulator.base_url, "demo", PASSWORD, fresh=True),
    "doctor": lambda *_: p21auth.doctor(base_url="http://127.0.0.1:9", username="u", password="p", wait=0.2),
    "parse": lambda *_: p21auth.parse_token_response(b'{"AccessToken":"a"}'),
    "parse, refused": lambda *_: p21auth.parse_token_response(b"{}"),
}


class Interrupting:
    """A function of the library after which a signal has arrived."""

    def __init__(self, function: Any) -> None:
        self.function = function
        self.argtypes = function.argtypes
        self.armed = True

    def __call__(self, *arguments: Any) -> Any:
        result = self.function(*arguments)
        if self.armed:
            self.armed = False
            signal.raise_signal(signal.SIGUSR1)
            # Python looks for signals at the latest here, while no one but the arguments knows of what was made.
            time.sleep(0)
        return result


#: These no call of this package makes after its import.
UNUSED = {
    *("p21_abi_version", "p21_version", "p21_options_json", "p21_live_objects", "p21_verdict_hint", "p21_config_load_env"),
    *(
        "p21_config_load_file",
        "p21_config_load_profile",
        "p21_token_get",
        "p21_token_copy",
        "p21_token_field",
        "p21_token_expires_in",
    ),
}


@pytest.mark.parametrize(
    "function", [name for name in _table.PROTOTYPES if not name.endswith("_free") and name not in UNUSED]
)
def test_after_each_function_that_a_call_uses(function: str, emulator: Emulator, monkeypatch: pytest.MonkeyPatch) -> None:
    client = emulator.client(min_refresh_interval_s=0)
    client.get_token()
    interrupted = 0
    for name, call in CALLS.items():
        before = objects()
        with monkeypatch.context() as patch:
            patch.setattr(lib, function, Interrupting(getattr(lib, function)))
            try:
                call(emulator, client)
            except Enough:
                interrupted += 1
            except p21auth.P21Error:
                pass
        p21auth._guide._clients._by_arguments.clear()
        nothing_is_left(before, name)
    assert interrupted
    everything_works(emulator, client)


@pytest.mark.slow
def test_at_any_moment(emulator: Emulator) -> None:
    # Handlers of logging hold a lock, and before Python 3.13 such an exception may leave that locked.
    logging.getLogger("p21auth").setLevel(logging.ERROR)
    client = emulator.client(min_refresh_interval_s=0)
    emulator.config(latency_ms=1)
    client.get_token()
    picked = random.Random(1)
    before, interrupted = objects(), 0
    # An event loop does not survive it.
    names = [name for name in CALLS if name not in ("aget_token", "doctor", "fresh", "open a file")]
    deadline = time.monotonic() + 60
    while interrupted < 300:
        assert time.monotonic() < deadline, interrupted
        call = CALLS[picked.choice(names)]
        try:
            signal.setitimer(signal.ITIMER_REAL, picked.uniform(1e-6, 2e-3))
            try:
                call(emulator, client)
            except p21auth.P21Error:
                pass
            finally:
                signal.setitimer(signal.ITIMER_REAL, 0)
        except Enough:
            interrupted += 1
    p21auth._guide._clients._by_arguments.clear()
    nothing_is_left(before, "something")
    everything_works(emulator, client)


def test_while_a_call_waits(emulator: Emulator) -> None:
    """The soft time limit itself: it ends the call, the request goes on, and the next call finds its token."""
    with emulator.client() as client:
        before = objects()
        emulator.hold()
        signal.setitimer(signal.ITIMER_REAL, 0.05)
        with pytest.raises(Enough):
            client.get_token()
        nothing_is_left(before, "get_token")
        emulator.release()
        everything_works(emulator, client)
    assert emulator.count("token.requests") == 1


def everything_works(emulator: Emulator, client: Client) -> None:
    """No lock is held, no thread is missing, no event is lost on those who listen."""
    assert client.get_token() == asyncio.run(client.aget_token())
    assert client.ui_url()
    assert not _log._telling and _log._reading.acquire(blocking=False)
    _log._reading.release()
    waits_have_ended()
