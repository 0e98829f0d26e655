"""The programs in ``examples/python`` do what they say."""

from __future__ import annotations

import asyncio
import importlib.util
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx
import pytest

from p21auth.testing import CONSUMER_KEY, Emulator

from .conftest import ROOT

EXAMPLES = ROOT / "examples" / "python"


def run(name: str, *arguments: str, **options: Any) -> list[str]:
    env = {f"P21_{option.upper()}": str(value) for option, value in options.items() if value is not None}
    done = subprocess.run(
        [sys.executable, str(EXAMPLES / name), *arguments],
        capture_output=True,
        text=True,
        timeout=60,
        env={**os.environ, **env},
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def test_odata_paging(tls_emulator: Emulator) -> None:
    tls_emulator.config(odata_page=10)
    assert run("odata_paging.py", "customer", **tls_emulator.options()) == ["25 rows"]
    assert tls_emulator.count("odata.requests") == 3
    assert tls_emulator.count("token.requests") == 1


def test_odata_paging_without_the_permission(emulator: Emulator) -> None:
    login = {"P21_BASE_URL": emulator.base_url, "P21_USERNAME": "readonly", "P21_PASSWORD": "readonly-password"}
    done = subprocess.run(
        [sys.executable, str(EXAMPLES / "odata_paging.py")],
        capture_output=True,
        text=True,
        timeout=60,
        env={**os.environ, **login},
        check=False,
    )
    assert done.returncode == 1
    assert "Allow OData API Service" in done.stderr


def test_long_job(tls_emulator: Emulator) -> None:
    said = run("long_job.py", **tls_emulator.options())
    assert said == ["others moved on: True, session still ours: True", "closed: True"]
    assert tls_emulator.count("sessions.open") == 0


def test_many_users(emulator: Emulator) -> None:
    options = emulator.options(consumer_key=CONSUMER_KEY)
    assert run("many_users.py", "demo", "readonly", **options) == [
        "demo: token of demo, True",
        "readonly: token of readonly, True",
        "2 tokens",
    ]


def test_own_token(tls_emulator: Emulator) -> None:
    token = tls_emulator.client().get_token()
    options = tls_emulator.options(access_token=token)
    assert run("own_token.py", **options) == ["200 /uiserver0"]
    assert tls_emulator.count("token.requests") == 1
    said = run("own_token.py", **{**options, "access_token": expired()})
    assert said[0].startswith("P21_E_TOKEN_EXPIRED: ")


def expired() -> str:
    import base64
    import json

    def part(value: Any) -> str:
        return base64.urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("=")

    return f"{part({'alg': 'HS256'})}.{part({'exp': 1_600_000_000})}.sig"


def test_fastapi_app(emulator: Emulator, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("fastapi")
    for name, value in emulator.options().items():
        monkeypatch.setenv(f"P21_{name.upper()}", value)
    spec = importlib.util.spec_from_file_location("fastapi_app", EXAMPLES / "fastapi_app.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)

    def visit(*paths: str) -> list[httpx.Response]:
        async def visits() -> list[httpx.Response]:
            transport = httpx.ASGITransport(app=module.app)
            async with module.lifespan(module.app), httpx.AsyncClient(transport=transport, base_url="http://app") as web:
                return [await web.get(path) for path in paths]

        return asyncio.run(visits())

    before, customers, after = visit("/health", "/customers?top=3", "/health")
    assert before.json()["token"] is None
    assert len(customers.json()) == 3
    assert after.json()["token"]["expires_in_s"] > 0
    emulator.config(users=[{"name": "demo", "odata": False}])
    (answer,) = visit("/customers")
    assert (answer.status_code, "Allow OData API Service" in answer.text) == (502, True)
    monkeypatch.setenv("P21_PASSWORD", "wrong")
    (answer,) = visit("/customers")
    assert (answer.status_code, answer.json()["error"]) == (503, "P21_E_UNAUTHORIZED")
    assert int(answer.headers["Retry-After"]) > 0


def test_tenacity_retry(tls_emulator: Emulator) -> None:
    pytest.importorskip("tenacity")
    tls_emulator.fault(path="/token", times=1, action={"answer": {"status": 503, "headers": {"Retry-After": "1"}}})
    assert run("tenacity_retry.py", **tls_emulator.options(max_retries=0)) == [
        "try 1: P21_E_SERVER, again in 1.0 s",
        "25 customers",
    ]
    # What can't get better fails at once.
    login = {f"P21_{name.upper()}": value for name, value in tls_emulator.options(password="wrong").items()}
    done = subprocess.run(
        [sys.executable, str(EXAMPLES / "tenacity_retry.py")],
        capture_output=True,
        text=True,
        timeout=60,
        env={**os.environ, **login},
        check=False,
    )
    assert (done.returncode, done.stdout) == (1, "") and "User Maintenance" in done.stderr


def test_sales_report(tls_emulator: Emulator) -> None:
    pytest.importorskip("pandas")
    tls_emulator.config(odata_page=10)
    said = run("sales_report.py", **tls_emulator.options())
    assert said[0].split() == ["count", "sum"] and said[1].split() == ["credit_status"]
    assert sum(int(line.split()[1]) for line in said[2:]) == 25
    assert tls_emulator.count("odata.requests") == 3 and tls_emulator.count("token.requests") == 1


def test_the_list_of_examples_is_complete() -> None:
    listed = (EXAMPLES / "README.md").read_text(encoding="utf-8")
    programs = [path.name for path in Path(EXAMPLES).glob("*.py")]
    assert len(programs) == 7
    assert all(f"`{name}`" in listed for name in programs)
