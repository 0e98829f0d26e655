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
from ._native import lib

LOGGER = "p21auth"
_TRACE = 5
#: Levels of the library, most serious first, as levels of ``logging``.
_LEVELS = {"error": 40, "warn": 30, "info": 20, "debug": 10, "trace": _TRACE}

_cursor = ctypes.c_uint64(0)
_reading = threading.Lock()


def _renew_lock() -> None:
    global _reading
    _reading = threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_renew_lock)


def drain() -> None:
    """Hands what is new to the logger. Never raises for what the library says, and never waits for another reader."""
    logging = sys.modules.get("logging")
    if logging is None:
        return
    logger = logging.getLogger(LOGGER)
    if not logger.handlers:
        # As libraries should: silent until the program sets up logging.
        logger.addHandler(logging.NullHandler())
    threshold = logger.getEffectiveLevel()
    if logging.root.manager.disable >= threshold:
        threshold = logging.root.manager.disable + 1
    wanted = sum(level >= threshold for level in _LEVELS.values())
    # A handler that fetches a token comes back here: whoever reads already will read that too.
    lock = _reading
    if not wanted or not lock.acquire(blocking=False):
        return
    try:
        out = _handle.Pointer()
        if lib.p21_log_read(ctypes.byref(_cursor), wanted, ctypes.byref(out), None) or not out.value:
            return
        import json

        for line in _handle.take_string(out).splitlines():
            event = json.loads(line)
            level = _LEVELS.get(event["level"], 10)
            if level >= threshold:
                logger.log(level, "%s: %s", event["event"], event["message"], extra={"p21_event": event["event"]})
    finally:
        lock.release()


def warn(message: str, *args: object) -> None:
    """A warning of this package itself."""
    import logging

    drain()
    logging.getLogger(LOGGER).warning(message, *args)
