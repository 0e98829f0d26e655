"""gevent and eventlet: a wait for the server lets the other greenlets run. Each program is a process of its own."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from typing import Any

import pytest

from p21auth.testing import PASSWORD, Emulator

KINDS = ("gevent", "eventlet")

PRELUDE = {
    "gevent": """
        from gevent import monkey; monkey.patch_all()
        import gevent
        spawn, sleep, Timeout = gevent.spawn, gevent.sleep, gevent.Timeout
        def outcome(greenlet): return greenlet.get()
        def kill(greenlet): greenlet.kill()
    """,
    "eventlet": """
        import warnings; warnings.simplefilter("ignore")
        import eventlet; eventlet.monkey_patch()
        spawn, sleep, Timeout = eventlet.spawn, eventlet.sleep, eventlet.Timeout
        def outcome(greenlet): return greenlet.wait()
        def kill(greenlet): greenlet.kill()
    """,
}
COMMON = """
    import os, sys, threading, p21auth
    url, password = sys.argv[1:]
    client = p21auth.Client(base_url=url, username="demo", password=password)

    def tell(*what): print(*what, flush=True)

    def beats():
        "Says so once other greenlets have had the time to run 20 times: that is while someone waits, if no one is kept."
        for _ in range(20): sleep(0.001)
        tell("beats")
"""


class Program:
    """A script under gevent or eventlet, told apart from its answers line by line."""

    def __init__(self, kind: str, script: str, emulator: Emulator, prelude: str | None = None) -> None:
        if importlib.util.find_spec(kind) is None:
            pytest.skip(f"{kind} is not installed")
        source = textwrap.dedent(PRELUDE[kind] if prelude is None else prelude) + textwrap.dedent(COMMON)
        self.process = subprocess.Popen(
            [sys.executable, "-c", source + textwrap.dedent(script), emulator.base_url, PASSWORD],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONFAULTHANDLER": "1"},
        )

    def says(self) -> str:
        assert self.process.stdout is not None
        return self.process.stdout.readline().strip()

    def ends(self) -> list[str]:
        out, err = self.process.communicate(timeout=60)
        assert (self.process.returncode, err) == (0, "")
        return out.splitlines()


@pytest.fixture
def start(emulator: Emulator) -> Iterator[Any]:
    running: list[Program] = []

    def make(kind: str, script: str, prelude: str | None = None) -> Program:
        running.append(Program(kind, script, emulator, prelude))
        return running[-1]

    yield make
    for program in running:
        # One that is stuck would wait until the emulator goes.
        program.process.kill()
        program.process.communicate()


CALLS = {
    "get_token": "client.get_token()",
    "get_headers": "client.get_headers()",
    "snapshot": "client.snapshot()",
    "snapshot with min_valid": "client.snapshot(min_valid=60)",
    "force_refresh": "client.snapshot(force_refresh=True)",
    "ui_url": "client.ui_url()",
    "get_token_v2": "p21auth.get_token_v2(url, 'demo', password)",
    "fresh": "p21auth.get_token_v2(url, 'demo', password, fresh=True)",
    "requests": "requests.get(client.url('/odataservice/odata/table/customer'), auth=RequestsAuth(client)).json()",
    "httpx": "httpx.get(client.url('/odataservice/odata/table/customer'), auth=HttpxAuth(client)).json()",
}


# httpcore imports trio where that is installed, and trio cannot be imported under eventlet.
@pytest.mark.parametrize(
    ("kind", "call"), [(kind, call) for kind in KINDS for call in CALLS if (kind, call) != ("eventlet", "httpx")]
)
def test_others_run_while_one_waits(kind: str, call: str, emulator: Emulator, start: Any) -> None:
    emulator.hold()
    imports = {
        "requests": "import requests; from p21auth.requests import P21Auth as RequestsAuth",
        "httpx": "import httpx; from p21auth.httpx import P21Auth as HttpxAuth",
    }
    program = start(
        kind,
        f"""
        {imports.get(call, "")}
        waiting = spawn(lambda: {CALLS[call]})
        beats()
        tell(bool(outcome(waiting)))
        """,
    )
    emulator.wait(held=1)
    assert program.says() == "beats"
    emulator.release()
    assert program.ends() == ["True"]
    assert emulator.count("token.requests") == 1


@pytest.mark.parametrize("kind", KINDS)
def test_a_thousand_greenlets_send_one_request_and_share_its_refusal(kind: str, emulator: Emulator, start: Any) -> None:
    emulator.hold()
    program = start(
        kind,
        """
        waiting = [spawn(client.get_token) for _ in range(1000)]
        beats()
        tell(len({outcome(one) for one in waiting}), client.stats()["counters"]["token_requests"])
        wrong = p21auth.Client(base_url=url, username="demo", password="wrong")
        def ask():
            try: wrong.get_token()
            except p21auth.BadCredentialsError as error: return error
        waiting = [spawn(ask) for _ in range(100)]
        errors = [outcome(one) for one in waiting]
        tell(len({str(error)[:60] for error in errors}), len({id(error) for error in errors}))
        """,
    )
    emulator.wait(held=1)
    assert program.says() == "beats"
    emulator.release()
    assert program.ends() == ["1 1", "1 100"]
    assert emulator.count("token.requests") == 2


@pytest.mark.parametrize("kind", KINDS)
def test_no_wait_stands_behind_forty_that_hang(kind: str, emulator: Emulator, start: Any) -> None:
    emulator.hold(path="/api/ui/router/v1/")
    program = start(
        kind,
        """
        clients = [p21auth.Client(base_url=url, username="demo", password=password, user_agent=str(n)) for n in range(40)]
        client.get_token()
        # forty ways to ask, so that none shares another's wait
        waiting = [spawn(one.ui_url) for one in clients]
        beats()
        other = p21auth.Client(base_url=url, consumer_key="00000000-0000-4000-8000-000000000001")
        tell(other.get_token() != client.get_token())
        tell(len({outcome(one) for one in waiting}))
        """,
    )
    assert [program.says(), program.says()] == ["beats", "True"]
    emulator.release()
    assert program.ends() == ["1"]


@pytest.mark.parametrize("kind", KINDS)
def test_a_timeout_and_a_kill_end_a_wait_and_harm_no_one(kind: str, emulator: Emulator, start: Any) -> None:
    emulator.hold()
    program = start(
        kind,
        """
        def impatient():
            with Timeout(0.05, False):
                return client.get_token()
            return "gave up"
        patient, killed = spawn(client.get_token), spawn(client.get_token)
        tell(impatient())
        kill(killed)
        tell(len(outcome(patient)) > 20)
        """,
    )
    assert program.says() == "gave up"
    emulator.release()
    assert program.ends() == ["True"]
    assert emulator.count("token.requests") == 1


@pytest.mark.parametrize("kind", KINDS)
def test_the_order_of_imports_does_not_matter(kind: str, emulator: Emulator, start: Any) -> None:
    """gunicorn with --preload imports the application, and patches in each worker."""
    emulator.hold()
    program = start(kind, "waiting = spawn(client.get_token); beats(); tell(len(outcome(waiting)) > 20)",
                    "import threading, p21auth\n" + textwrap.dedent(PRELUDE[kind]))  # fmt: skip
    emulator.wait(held=1)
    assert program.says() == "beats"
    emulator.release()
    assert program.ends() == ["True"]


@pytest.mark.parametrize("kind", KINDS)
def test_a_hit_and_a_token_at_hand_start_no_thread(kind: str, emulator: Emulator, start: Any) -> None:
    program = start(
        kind,
        """
        import _thread
        client.get_token()
        before = _thread._count()
        other = p21auth.Client(base_url=url, username="demo", password=password)
        tell(client.get_token() == other.get_token() == other.snapshot().access_token, _thread._count() - before)
        """,
    )
    assert program.ends() == ["True 0"]


@pytest.mark.parametrize("kind", KINDS)
def test_without_patching_nothing_changes(kind: str, emulator: Emulator, start: Any) -> None:
    program = start(
        kind,
        """
        from p21auth import _waits
        tell(client.get_token() == client.get_token(), _waits.green_sleep(), _waits._pool.threads)
        """,
        f"import warnings; warnings.simplefilter('ignore')\nimport {kind}"
        + ("; import gevent.monkey" if kind == "gevent" else "; import eventlet.patcher"),
    )
    assert program.ends() == ["True None 0"]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")
def test_a_forked_child_of_gevent_asks_for_itself(emulator: Emulator, start: Any) -> None:
    emulator.hold()
    program = start(
        "gevent",
        """
        waiting = spawn(client.get_token)
        beats()
        pid = os.fork()
        # The child has the greenlet, and not the thread that it waited for.
        token = outcome(waiting)
        tell(len(token) > 20)
        if pid == 0: os._exit(0)
        os.waitpid(pid, 0)
        """,
    )
    assert program.says() == "beats"
    emulator.wait(held=2)
    emulator.release()
    assert program.ends() == ["True", "True"]
