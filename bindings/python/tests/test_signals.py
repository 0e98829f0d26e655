"""Ctrl-C during a call on a server that hangs."""

from __future__ import annotations

import signal
import subprocess
import sys
import textwrap
import time

import pytest

from p21auth.testing import PASSWORD, Emulator

CALLS = {
    "get_token": "client.get_token()",
    "snapshot": "client.snapshot()",
    "ui_url": "client.ui_url()",
    "get_token_v2": "p21auth.get_token_v2(url, 'demo', password)",
    "fresh": "p21auth.get_token_v2(url, 'demo', password, fresh=True)",
    "asyncio": "asyncio.run(client.aget_token())",
}


@pytest.mark.skipif(sys.platform == "win32", reason="SIGINT to a child needs a console there")
@pytest.mark.parametrize("call", CALLS)
def test_ctrl_c_ends_a_blocking_call_within_half_a_second(call: str, emulator: Emulator) -> None:
    script = f"""
        import asyncio, signal, sys, time, p21auth
        # Anyone who runs the tests in the background may have it ignored.
        signal.signal(signal.SIGINT, signal.default_int_handler)
        url, password = sys.argv[1:]
        client = p21auth.Client(base_url=url, username="demo", password=password)
        try:
            {CALLS[call]}
        except KeyboardInterrupt:
            print("interrupted", time.time(), flush=True)
    """
    emulator.hold()
    process = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(script), emulator.base_url, PASSWORD],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    emulator.wait(held=1)
    sent = time.time()
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=30)
    ended = time.time()
    emulator.release()
    word, when = out.split()
    assert word == "interrupted" and err == "" and process.returncode == 0
    assert float(when) - sent < 0.5
    # Leaving the interpreter doesn't wait for the request either.
    assert ended - float(when) < 5


def test_a_wait_longer_than_a_slice_ends_well(emulator: Emulator) -> None:
    emulator.config(latency_ms=700)
    client = emulator.client()
    assert client.get_token()
    assert emulator.count("token.requests") == 1


def test_a_held_back_refresh_is_waited_for(emulator: Emulator) -> None:
    """After a rejection the next request waits for min_refresh_interval_s, which is longer than a slice."""
    client = emulator.client(min_refresh_interval_s=1)
    first = client.get_token()
    client.report(401, "<TokenError/>", token=first)
    assert client.get_token() != first
