"""Celery's pools: a soft time limit inside a call, and tasks that wait side by side. Run by ``make test-deep``."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from p21auth.testing import PASSWORD, Emulator

pytest.importorskip("celery")
# It leaves files and connections to the garbage collector.
pytestmark = [pytest.mark.deep, pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")]

TASKS = """
import os
from celery import Celery
from celery.exceptions import SoftTimeLimitExceeded
import p21auth
from p21auth._native import lib

folder = os.environ["FOLDER"]
app = Celery("tasks", broker="filesystem://", backend="file://" + folder + "/results")
app.conf.broker_transport_options = {
    "data_folder_in": folder + "/queue", "data_folder_out": folder + "/queue", "control_folder": folder + "/control",
    "polling_interval": 0.05,
}
app.conf.worker_prefetch_multiplier = 1
# Opened before the workers are forked, as most programs do.
client = p21auth.Client(base_url=os.environ["EMULATOR"], username="demo", password=os.environ["PASSWORD"])


@app.task(soft_time_limit=1)
def limited():
    try:
        return client.get_token()
    except SoftTimeLimitExceeded:
        return "too late"


@app.task
def token():
    return client.get_token()


@app.task
def objects():
    return os.getpid(), lib.p21_live_objects()
"""


@pytest.fixture
def celery(emulator: Emulator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    for name in ("queue", "control", "results"):
        (tmp_path / name).mkdir()
    (tmp_path / "tasks.py").write_text(TASKS)
    for name, value in {"FOLDER": str(tmp_path), "EMULATOR": emulator.base_url, "PASSWORD": PASSWORD}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("PYTHONWARNINGS", "ignore")
    monkeypatch.syspath_prepend(str(tmp_path))
    workers: list[subprocess.Popen[bytes]] = []

    def start(*options: str) -> Any:
        command = [sys.executable, "-m", "celery", "-A", "tasks", "worker", "--without-mingle", "--without-gossip", *options]
        with (tmp_path / "log").open("wb") as log:
            workers.append(subprocess.Popen(command, cwd=tmp_path, env=os.environ, stdout=log, stderr=log))
        sys.modules.pop("tasks", None)
        import tasks

        return tasks

    yield start
    for worker in workers:
        worker.terminate()
        worker.wait(timeout=60)
    # Tracebacks of tasks, crashes of workers.
    text = (tmp_path / "log").read_text()
    assert "Traceback" not in text and "exited prematurely" not in text, text


def test_a_soft_time_limit_leaves_nothing_behind(celery: Any, emulator: Emulator) -> None:
    emulator.hold()
    tasks = celery("--pool=prefork", "--concurrency=1")
    before = tasks.objects.delay().get(timeout=60)
    for _ in range(3):
        assert tasks.limited.delay().get(timeout=60) == "too late"
    assert tasks.objects.delay().get(timeout=60) == before
    emulator.release()
    token = tasks.token.delay().get(timeout=60)
    assert token == tasks.limited.delay().get(timeout=60) and len(token) > 20
    assert tasks.objects.delay().get(timeout=60) == before
    assert emulator.count("token.requests") == 1


@pytest.mark.parametrize("pool", ["gevent", "eventlet", "threads"])
def test_tasks_wait_side_by_side(pool: str, celery: Any, emulator: Emulator) -> None:
    emulator.hold()
    tasks = celery(f"--pool={pool}", "--concurrency=20")
    waiting = [tasks.token.delay() for _ in range(10)]
    emulator.wait(held=1, timeout=60)
    # Another task runs although ten wait.
    assert tasks.objects.delay().get(timeout=60)
    emulator.release()
    assert len({one.get(timeout=60) for one in waiting}) == 1
    assert emulator.count("token.requests") == 1
