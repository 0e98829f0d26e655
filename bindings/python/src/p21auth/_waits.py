"""Waiting inside the library: open to Ctrl-C, beside an event loop or other greenlets, and never behind another wait.

A call that would keep an event loop waiting becomes a :class:`Wait`, which all who want its outcome share. A few threads
serve all waits of the process in slices: while there are more waits than threads each gets a short one, so that one that
hangs delays none of the others.
"""

from __future__ import annotations

import os
import sys
import threading
from collections import deque
from collections.abc import Hashable
from time import monotonic

from . import _table
from ._errors import P21Error, P21TimeoutError, PendingError

TYPE_CHECKING = False  # typing would be a tenth of the start
if TYPE_CHECKING:
    from typing import Any, Callable, Optional

    #: Asks the library, which waits for at most this many milliseconds, with further flags. Returns the outcome, and whether
    #: that is sure: when its time is up the library falls back on an older token, if that still lives.
    Call = Callable[[int, int], tuple[Any, bool]]


#: Longest time in seconds that a thread stays inside the library: the main one is deaf to Ctrl-C there.
SLICE = 0.25
#: The longest that one call may wait, as the library has it.
MAX_MS = 3_600_000
#: Threads for all waits of the process.
THREADS = 16
#: With more waits than threads: how long it should take until each has had its turn, and the least time for one.
ROUND, LEAST = 0.05, 0.02

_UNFINISHED = object()


class Wait:
    """One call under way, for any number of threads, tasks and greenlets."""

    __slots__ = ("call", "callbacks", "deadline", "done", "error", "key", "outcome", "served", "whole")

    def __init__(self, key: Hashable, call: Call, deadline: float, whole: bool) -> None:
        self.key = key
        self.call = call
        self.deadline = deadline
        #: Never cut into slices.
        self.whole = whole
        self.served = False
        self.callbacks: list[Callable[[], object]] = []
        self.done = False
        self.outcome: Any = None
        self.error: Optional[BaseException] = None

    def missed(self, deadline: float) -> bool:
        """Whether it only ran out of time, and someone with this deadline has some left."""
        error = self.error
        return isinstance(error, P21TimeoutError) and error.retry_after == 0 and monotonic() < deadline

    def result(self) -> Any:
        """The outcome, or its error."""
        if self.error is None:
            return self.outcome
        # One exception object in a thousand tracebacks would grow with each of them.
        raise self.error.again() if isinstance(self.error, P21Error) else self.error


class _Pool:
    """The waits of the process, and the threads that serve them."""

    def __init__(self) -> None:
        # Neither a gevent nor an eventlet lock, which must not be shared with a thread of the system.
        self.lock = _original("allocate_lock")()
        self.waits: dict[Hashable, Wait] = {}
        self.queue: deque[Wait] = deque()
        self.threads = 0

    def submit(self, key: Hashable, call: Call, deadline: float, whole: bool) -> Wait:
        """The call of this key that is under way, or a new one."""
        with self.lock:
            wait = self.waits.get(key)
            if wait is None:
                wait = Wait(key, call, deadline, whole)
                if not whole:
                    # Ahead of those that have had a look in vain: most find at once what they want.
                    self.queue.appendleft(wait)
                self.waits[key] = wait
            # An older one may lack its thread too: an exception out of a signal handler may have come before it.
            wanting = not wait.served if wait.whole else bool(self.queue) and self.threads < THREADS
        if wanting:
            try:
                _start((lambda: self._serve_whole(wait)) if wait.whole else self._serve)
            except RuntimeError as error:
                self._give_up(error, wait)
        return wait

    def _give_up(self, error: RuntimeError, wait: Wait) -> None:
        """The system has no more threads, or the interpreter ends. Those that are there go on with the queue."""
        with self.lock:
            stranded = [wait] if wait.whole else list(self.queue) if self.threads == 0 else []
            if not wait.whole:
                self.queue = deque(one for one in self.queue if one not in stranded)
        for one in stranded:
            one.error = error
            self._finish(one)

    def _serve_whole(self, wait: Wait) -> None:
        with self.lock:
            if wait.served:
                return
            wait.served = True
        try:
            wait.outcome = wait.call(_ms(wait.deadline - monotonic()), 0)[0]
        except BaseException as error:
            wait.error = error
        self._finish(wait)

    def _serve(self) -> None:
        with self.lock:
            if self.threads >= THREADS:
                return
            self.threads += 1
        while True:
            with self.lock:
                if not self.queue:
                    self.threads -= 1
                    return
                wait = self.queue.popleft()
                crowd = len(self.waits)
            slice_ = SLICE if crowd <= THREADS else max(LEAST, ROUND * THREADS / crowd)
            outcome: Any = None
            try:
                outcome = _look(wait.call, wait.deadline, slice_)
            except BaseException as error:
                wait.error = error
            if outcome is _UNFINISHED:
                with self.lock:
                    self.queue.append(wait)
            else:
                wait.outcome = outcome
                self._finish(wait)

    def _finish(self, wait: Wait) -> None:
        """Tells those who wait. Those who come from now on ask again."""
        with self.lock:
            if self.waits.get(wait.key) is wait:
                del self.waits[wait.key]
            wait.done = True
            callbacks, wait.callbacks = wait.callbacks, []
        for callback in callbacks:
            callback()

    def when_done(self, wait: Wait, callback: Callable[[], object]) -> None:
        """Calls back once there is an outcome, from any thread."""
        with self.lock:
            if not wait.done:
                wait.callbacks.append(callback)
                return
        callback()


def _look(call: Call, deadline: float, most: float) -> Any:
    """One slice of a call: its outcome or error, or ``_UNFINISHED``.

    What comes when the slice is over may only say that the slice was too short; the request goes on meanwhile.
    """
    began = monotonic()
    wait_ms = _ms(min(deadline - began, most))

    def cut() -> bool:
        # Half of it, since the library's clock is a coarse one: what doesn't wait takes no time at all.
        now = monotonic()
        return now < deadline and now - began >= wait_ms / 2000

    try:
        outcome, sure = call(wait_ms, 0)
    except P21TimeoutError as error:
        if monotonic() < deadline and (error.retry_after == 0 or cut()):
            return _UNFINISHED
        raise
    return outcome if sure or not cut() else _UNFINISHED


def _at_once(call: Call) -> Any:
    """The outcome if it is at hand and waiting could bring no better one."""
    try:
        outcome, sure = call(0, _table.NO_WAIT)
    except PendingError:
        return _UNFINISHED
    return outcome if sure else _UNFINISHED


def _ms(seconds: float) -> int:
    return min(MAX_MS, max(1, int(seconds * 1000)))


def _in_slices(call: Call, deadline: float) -> Any:
    """Python delivers signals to the main thread only, and only between calls, so that one comes back now and then."""
    outcome = _UNFINISHED
    while outcome is _UNFINISHED:
        outcome = _look(call, deadline, SLICE)
    return outcome


def blocking(key: Hashable, call: Call, timeout: float, whole: bool = False) -> Any:
    """The outcome of a call, for a thread or greenlet that waits for it. ``whole``: it can't be cut into slices."""
    sleep = green_sleep()
    deadline = monotonic() + timeout
    if sleep is None and threading.current_thread() is not threading.main_thread():
        return call(_ms(timeout), 0)[0]
    if not whole:
        outcome = _at_once(call) if sleep else _in_slices(call, deadline)
        if outcome is not _UNFINISHED:
            return outcome
    while True:
        pool = _pool
        wait = pool.submit(key, call, deadline, whole)
        _sit(pool, wait, sleep)
        # A forked child has greenlets that wait for a thread of their parent.
        if pool is _pool and not wait.missed(deadline):
            return wait.result()


def interruptible(work: Callable[[], Any]) -> Any:
    """Runs work that knows no time limit so that the main thread still hears Ctrl-C; the work then goes on unheard."""
    sleep = green_sleep()
    if sleep is None and threading.current_thread() is not threading.main_thread():
        return work()
    pool = _pool
    wait = pool.submit(object(), lambda *_: (work(), True), 0, whole=True)
    _sit(pool, wait, sleep)
    return wait.result()


def _sit(pool: _Pool, wait: Wait, sleep: Optional[Callable[[float], object]]) -> None:
    if sleep is None:
        done = threading.Event()
        pool.when_done(wait, done.set)
        while not done.wait(SLICE):
            pass
        return
    pause = 0.001
    while not wait.done and pool is _pool:
        sleep(pause)
        pause = min(2 * pause, ROUND)


async def awaited(key: Hashable, call: Call, timeout: float, whole: bool = False) -> Any:
    """The outcome of a call that other tasks share, in this loop or another. Canceling a task leaves the call running."""
    deadline = monotonic() + timeout
    outcome = _UNFINISHED if whole or key in _pool.waits else _at_once(call)
    if outcome is not _UNFINISHED:
        return outcome
    while True:
        wait = _pool.submit(key, call, deadline, whole)
        trio = sys.modules.get("trio")
        if trio is not None and _in_trio(trio):
            await _done_in_trio(wait, trio)
        else:
            await _done_in_asyncio(wait)
        if not wait.missed(deadline):
            return wait.result()


async def _done_in_asyncio(wait: Wait) -> None:
    import asyncio
    import contextlib

    loop = asyncio.get_running_loop()
    future = loop.create_future()

    def tell() -> None:
        if not future.done():
            future.set_result(None)

    def wake() -> None:
        with contextlib.suppress(RuntimeError):  # of a loop that is closed
            loop.call_soon_threadsafe(tell)

    _pool.when_done(wait, wake)
    await future


async def _done_in_trio(wait: Wait, trio: Any) -> None:
    import contextlib

    event, token = trio.Event(), trio.lowlevel.current_trio_token()

    def wake() -> None:
        with contextlib.suppress(trio.RunFinishedError):
            token.run_sync_soon(event.set)

    _pool.when_done(wait, wake)
    await event.wait()


def _in_trio(trio: Any) -> bool:
    try:
        trio.lowlevel.current_task()
    except RuntimeError:
        return False
    return True


# --- gevent and eventlet


def green_sleep() -> Optional[Callable[[float], object]]:
    """The sleep that lets other greenlets run, where gevent or eventlet has patched the program; otherwise None."""
    gevent: Any = sys.modules.get("gevent.monkey")
    if gevent is not None and (gevent.is_module_patched("socket") or gevent.is_module_patched("threading")):
        return sys.modules["gevent"].sleep  # type: ignore[no-any-return]
    eventlet: Any = sys.modules.get("eventlet.patcher")
    if eventlet is not None and (eventlet.is_monkey_patched("socket") or eventlet.is_monkey_patched("thread")):
        return sys.modules["eventlet"].sleep  # type: ignore[no-any-return]
    return None


def _original(name: str) -> Any:
    """A function of ``_thread`` as Python made it."""
    import _thread

    gevent: Any = sys.modules.get("gevent.monkey")
    eventlet: Any = sys.modules.get("eventlet.patcher")
    if gevent is not None:
        return gevent.get_original("_thread", name)
    if eventlet is not None:
        return getattr(eventlet.original("_thread"), name)
    return getattr(_thread, name)


def _start(work: Callable[[], None]) -> None:
    """A thread of the system, since those of gevent and eventlet would keep all others waiting. Not one of ``threading``
    either: an exception out of a signal handler while that starts one can leave it without its thread."""
    _original("start_new_thread")(work, ())


_pool = _Pool()


def _renew() -> None:
    """A forked child has neither its parent's threads nor those who waited for them."""
    global _pool
    _pool = _Pool()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_renew)
