"""Forks, worker processes, web servers and the end of the interpreter."""

from __future__ import annotations

import multiprocessing
import os
import signal
import socket
import subprocess
import sys
import textwrap
import threading
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from p21auth import Client
from p21auth.testing import PASSWORD, Emulator

posix = pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")


def in_child(work: Callable[[], object]) -> str:
    """What ``work`` answers in a forked child, as text."""
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            os.close(reader)
            signal.alarm(60)
            os.write(writer, str(work()).encode())
            status = 0
        except BaseException as error:
            os.write(writer, repr(error).encode())
        finally:
            os._exit(status)
    os.close(writer)
    with os.fdopen(reader) as pipe:
        told = pipe.read()
    _, status = os.waitpid(pid, 0)
    assert status == 0, told
    return told


@posix
def test_a_forked_child_keeps_the_token(emulator: Emulator, p21_client: Client) -> None:
    token = p21_client.get_token()
    assert in_child(p21_client.get_token) == token
    assert emulator.count("token.requests") == 1


@posix
def test_a_forked_child_fetches_its_own(emulator: Emulator, p21_client: Client) -> None:
    p21_client.get_token()

    def renew() -> str:
        p21_client.invalidate()
        return p21_client.get_token()

    renewed = in_child(renew)
    assert renewed != p21_client.get_token() and len(renewed) > 20
    assert emulator.count("token.requests") == 2


@posix
def test_a_child_forked_amid_requests_works(emulator: Emulator) -> None:
    """Blocked threads and a waiting event loop thread in the parent; the child has neither and asks for itself."""
    import asyncio

    emulator.hold()
    client = emulator.client()
    got: list[str] = []
    threads = [threading.Thread(target=lambda: got.append(client.get_token())) for _ in range(3)]
    threads.append(threading.Thread(target=lambda: got.append(asyncio.run(client.aget_token()))))
    for thread in threads:
        thread.start()
    emulator.wait(held=1)
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        signal.alarm(60)
        try:
            os.write(writer, (client.get_token() and asyncio.run(client.aget_token())).encode())
        finally:
            os._exit(0)
    os.close(writer)
    emulator.wait(held=2)
    emulator.release()
    for thread in threads:
        thread.join(timeout=30)
    with os.fdopen(reader) as pipe:
        child = pipe.read()
    os.waitpid(pid, 0)
    assert len(got) == 4 and len(set(got)) == 1
    assert child and child not in got
    assert emulator.count("token.requests") == 2


def work_with(options: dict[str, Any]) -> str:
    with Client(**options) as client:
        return client.get_token()


_inherited: list[Client] = []


def work_with_inherited(_: int) -> str:
    return _inherited[0].get_token()


METHODS = multiprocessing.get_all_start_methods()


@pytest.mark.parametrize("method", METHODS)
def test_worker_processes_of_each_kind(method: str, emulator: Emulator) -> None:
    context = multiprocessing.get_context(method)
    with emulator.client() as client:
        token = client.get_token()
        with context.Pool(2) as pool:
            tokens = pool.map(work_with, [emulator.options()] * 4)
    # Forked workers inherit the token; others ask once each. (One worker may have done all the work.)
    assert token in tokens or method != "fork"
    assert emulator.count("token.requests") <= (1 if method == "fork" else 3)


@posix
def test_a_pool_inherits_the_client_by_fork(emulator: Emulator) -> None:
    with emulator.client() as client:
        _inherited[:] = [client]
        token = client.get_token()
        with multiprocessing.get_context("fork").Pool(4) as pool:
            assert set(pool.map(work_with_inherited, range(16))) == {token}
        _inherited.clear()
    assert emulator.count("token.requests") == 1


APPLICATION = """
import os
import p21auth

client = p21auth.Client(base_url=os.environ["EMULATOR"], username="demo", password=os.environ["PASSWORD"])
client.get_token()  # before the workers are forked


def application(environ, start_response):
    path = environ["PATH_INFO"]
    if path == "/renew":
        client.invalidate()
    body = f"{os.getpid()} {client.get_token()}".encode()
    start_response("200 OK", [("Content-Length", str(len(body))), ("Connection", "close")])
    return [body]
"""


@posix
def test_gunicorn_with_preload_and_four_workers(emulator: Emulator, tmp_path: Path) -> None:
    pytest.importorskip("gunicorn")
    (tmp_path / "app.py").write_text(APPLICATION)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    server = subprocess.Popen(
        [sys.executable, "-m", "gunicorn", "--preload", "--workers=4", f"--bind=127.0.0.1:{port}", "app"],
        cwd=tmp_path,
        env={**os.environ, "EMULATOR": emulator.base_url, "PASSWORD": PASSWORD},
        stderr=subprocess.PIPE,
        text=True,
    )
    assert server.stderr is not None
    log = []
    try:
        while sum("Booting worker" in line for line in log) < 4:
            line = server.stderr.readline()
            assert line, "".join(log)
            log.append(line)

        def ask(path: str) -> tuple[str, str]:
            opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
            with opener.open(f"http://127.0.0.1:{port}{path}", timeout=30) as response:
                pid, token = response.read().decode().split()
                return pid, token

        answers = [ask("/") for _ in range(100)]
        assert len({token for _, token in answers}) == 1
        assert emulator.count("token.requests") == 1
        # Each worker can also fetch for itself.
        renewed = {pid: token for pid, token in (ask("/renew") for _ in range(20))}
        assert answers[0][1] not in renewed.values()
        assert emulator.count("token.requests") == 21
    finally:
        server.terminate()
        log += server.communicate(timeout=30)[1].splitlines(keepends=True)
    assert "Traceback" not in "".join(log) and "SIGKILL" not in "".join(log), "".join(log)


EXITS = {
    "at the end": "client.get_token()",
    "with a thread that waits": """
        threading.Thread(target=hang.get_token, daemon=True).start()
        client.get_token()
        ready()
    """,
    "with an event loop that waits": """
        async def main():
            # A busy machine is no news.
            asyncio.get_running_loop().slow_callback_duration = 60
            asyncio.ensure_future(hang.aget_token())
            await asyncio.to_thread(ready)
        asyncio.run(main())
    """,
    "by sys.exit in a thread's company": """
        threading.Thread(target=hang.get_token, daemon=True).start()
        ready()
        sys.exit(0)
    """,
    "with a client in a cycle": """
        client.get_token()
        client.me = client
        globals()["keep"] = [client, client.get_token]
    """,
}


@pytest.mark.parametrize("how", EXITS)
def test_the_interpreter_ends_silently_with_live_clients(how: str, emulator: Emulator) -> None:
    emulator.hold(path="/token/v2")
    emulator.release()
    with Emulator() as hanging:
        hanging.hold()
        script = """
            import asyncio, sys, threading, p21auth, urllib.request
            url, hanging, password = sys.argv[1:]
            client = p21auth.Client(base_url=url, username="demo", password=password)
            hang = p21auth.Client(base_url=hanging, username="demo", password=password)
            def ready():
                urllib.request.urlopen(hanging + "/_control/wait?held=1").read()
        """
        script = textwrap.dedent(script) + textwrap.dedent(EXITS[how])
        done = subprocess.run(
            [sys.executable, "-X", "dev", "-c", script, emulator.base_url, hanging.base_url, PASSWORD],
            capture_output=True,
            text=True,
            timeout=25,
            check=False,
        )
        hanging.release()
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
