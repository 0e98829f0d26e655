"""Waiting inside the library: in slices where Ctrl-C must work, on one shared thread where an event loop must not block."""

from __future__ import annotations

import os
import threading
from collections.abc import Hashable
from time import monotonic

from ._errors import P21Error, P21TimeoutError

TYPE_CHECKING = False  # typing would be a tenth of the start
if TYPE_CHECKING:
    from concurrent.futures import Future
    from typing import Any, Callable, TypeVar

    T = TypeVar("T")


#: Longest time in seconds that the main thread stays inside the library, deaf to Ctrl-C.
SLICE = 0.25
#: The longest that one call may wait, as the library has it.
MAX_MS = 3_600_000


def in_slices(call: Callable[[int], T], timeout: float) -> T:
    """Calls ``call(wait_ms)`` for at most ``timeout`` seconds.

    Python delivers signals to the main thread only, and only between calls, so that thread comes back every 250 ms. The
    request goes on meanwhile: an error that came after the whole slice only says that the slice was too short.
    """
    if threading.current_thread() is not threading.main_thread():
        return call(_ms(timeout))
    deadline = monotonic() + timeout
    while True:
        began = monotonic()
        wait_ms = _ms(min(deadline - began, SLICE))
        try:
            return call(wait_ms)
        except P21TimeoutError as error:
            now = monotonic()
            waited = error.retry_after == 0 or now - began >= wait_ms / 1000
            if now >= deadline or not waited:
                raise


def _ms(seconds: float) -> int:
    return min(MAX_MS, max(1, int(seconds * 1000)))


def interruptible(work: Callable[[], T]) -> T:
    """Runs work that can't be sliced so that the main thread still hears Ctrl-C; the work itself then runs on unheard."""
    if threading.current_thread() is not threading.main_thread():
        return work()
    results: list[T] = []
    failures: list[BaseException] = []
    done = threading.Event()

    def run() -> None:
        try:
            results.append(work())
        except BaseException as error:
            failures.append(error)
        done.set()

    threading.Thread(target=run, name="p21auth-request", daemon=True).start()
    while not done.wait(SLICE):
        pass
    if failures:
        raise failures[0]
    return results[0]


class SharedWaits:
    """What the coroutines of one client wait for: equal calls share a future, and one thread at most does the waiting."""

    def __init__(self) -> None:
        self.pid = os.getpid()
        self._lock = threading.Lock()
        self._waiting: dict[Hashable, tuple[Future[Any], Callable[[], Any]]] = {}
        self._running = False

    def submit(self, key: Hashable, work: Callable[[], T]) -> Future[T]:
        """The future of a call that is under way, or of a new one. It can't be cancelled: others may share it."""
        from concurrent.futures import Future

        with self._lock:
            shared = self._waiting.get(key)
            if shared is not None:
                return shared[0]
            future: Future[T] = Future()
            future.set_running_or_notify_cancel()
            self._waiting[key] = (future, work)
            if self._running:
                return future
            self._running = True
        try:
            threading.Thread(target=self._run, name="p21auth-wait", daemon=True).start()
        except RuntimeError as error:
            # The system gives no more threads, or the interpreter is ending: nobody would come for those that wait.
            with self._lock:
                self._running = False
                stranded = list(self._waiting.values())
                self._waiting.clear()
            for waiting, _ in stranded:
                waiting.set_exception(error)
        return future

    def _run(self) -> None:
        while True:
            with self._lock:
                if not self._waiting:
                    self._running = False
                    return
                key, (future, work) = next(iter(self._waiting.items()))
            try:
                outcome, error = work(), None
            except BaseException as caught:
                outcome, error = None, caught
            # Out of the table first: whoever comes now asks anew.
            with self._lock:
                self._waiting.pop(key, None)
            if error is None:
                future.set_result(outcome)
            else:
                future.set_exception(error)


async def shared(future: Future[T]) -> T:
    """Awaits a future that others await too, in this loop or another; cancelling this coroutine leaves it running."""
    import asyncio

    try:
        return await asyncio.wrap_future(future)
    except P21Error as error:
        # One exception object in a thousand tracebacks would grow with each of them.
        raise error.again() from None
