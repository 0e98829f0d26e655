"""The library's events as records of the logger ``p21auth``.

The library never calls back; it keeps its last events in a ring, which is read here after calls that crossed into it.
``logging`` is imported only by programs that use it: importing it would double the time that this package takes to load.
"""

from __future__ import annotations

import ctypes
import os
import sys
import threading

from . import _handle
from ._errors import P21Error
from ._native import lib

TYPE_CHECKING = False  # typing would be a tenth of the start
if TYPE_CHECKING:
    from typing import Any, Callable

LOGGER = "p21auth"
_TRACE = 5
#: Levels of the library, most serious first, as levels of ``logging``.
_LEVELS = {"error": 40, "warn": 30, "info": 20, "debug": 10, "trace": _TRACE}

#: Levels of the library that listeners hear of: as far as information.
_INFO = 3
#: Called with each event as a dict.
listeners: list[Callable[[dict[str, Any]], None]] = []
_logger: Any = None
_cursor = ctypes.c_uint64(0)
# A handler that fetches a token, or a signal handler, may come back here while this thread reads.
_reading = threading.RLock()
#: Threads that are handing events to handlers.
_telling: set[int] = set()


def _renew_lock() -> None:
    global _reading
    _reading = threading.RLock()
    _telling.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_renew_lock)


def drain() -> None:
    """Hands what is new to the logger and to listeners. Never raises for what the library says."""
    global _logger
    logging = sys.modules.get("logging")
    if logging is None:
        return
    logger = _logger
    if logger is None:
        # Once: it takes a lock of logging's that an exception out of a signal handler would leave locked.
        logger = logging.getLogger(LOGGER)
        if not logger.handlers:
            # As libraries should: silent until the program sets up logging.
            logger.addHandler(logging.NullHandler())
        _logger = logger
    threshold = logger.getEffectiveLevel()
    if logging.root.manager.disable >= threshold:
        threshold = logging.root.manager.disable + 1
    wanted = max(sum(level >= threshold for level in _LEVELS.values()), _INFO if listeners else 0)
    thread = threading.get_ident()
    # A handler that fetches a token would hear of it while it still hears of the last one.
    if not wanted or thread in _telling:
        return
    try:
        with _reading:
            lines = _handle.string(lib.p21_log_read, ctypes.byref(_cursor), wanted)
    except P21Error:
        return
    if not lines:
        return
    import json

    try:
        _telling.add(thread)
        for line in lines.splitlines():
            event = json.loads(line)
            level = _LEVELS.get(event["level"], 10)
            if level >= threshold:
                logger.log(level, "%s: %s", event["event"], event["message"], extra={"p21_event": event["event"]})
            for listener in listeners:
                try:
                    listener(event)
                except Exception:
                    logger.warning("a listener of events failed", exc_info=True)
    finally:
        _telling.discard(thread)


def warn(message: str, *args: object) -> None:
    """A warning of this package itself."""
    import logging

    drain()
    logging.getLogger(LOGGER).warning(message, *args)
