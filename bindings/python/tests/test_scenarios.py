"""The language-neutral scenarios of ``tests/scenarios`` that need no steps of time, against the emulator."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

import p21auth
from p21auth import Client, Verdict
from p21auth.testing import Emulator

from .conftest import ROOT

pytestmark = pytest.mark.slow
BODIES = {
    "token_error": "<TokenError>bad</TokenError>",
    "permission": '{"Message":"You are not authorized to access API"}',
    "header_lost": json.dumps(
        {
            "Error": "invalid_request",
            "Description": "Authorization header was not present or 'Bearer' was missing.",
            "Uri": "",
        }
    ),
    "unknown": "?",
}


#: Answers that lead to a backoff of random length.
TRANSIENT = ("status", "html", "empty", "unreachable")


def timeless(scenario: dict[str, Any]) -> bool:
    """No step of time, no answer that takes any, nothing that says how long a backoff is."""
    return not any(step["do"].startswith("advance") for step in scenario["steps"]) and not any(
        "takes" in answer for answer in scenario["server"]
    )


def load() -> list[Any]:
    files = sorted((ROOT / "tests" / "scenarios").glob("*.json"))
    every = [(file.stem, scenario) for file in files for scenario in json.loads(file.read_text(encoding="utf-8"))]
    return [
        pytest.param(scenario, id=re.sub(r"\W+", "-", f"{stem} {scenario['name']}"))
        for stem, scenario in every
        if timeless(scenario)
    ]


def fault(answer: dict[str, Any], number: int) -> dict[str, Any]:
    """The emulator's fault that returns this response."""
    path = "/router" if answer.get("router") else "/token"
    kind = answer["answer"]
    if kind in ("html", "empty"):
        return {"path": path, "action": kind}
    if kind == "unreachable":
        return {"path": path, "action": "close"}
    headers = {"Content-Type": "application/json"}
    if "retry_after" in answer:
        headers["Retry-After"] = str(answer["retry_after"])
    status, body = {
        "token": (200, json.dumps({"AccessToken": f"token-{number}", "ExpiresInSeconds": answer.get("lifetime")})),
        "refused": (401, '{"error":"invalid_grant"}'),
        "status": (answer.get("status"), ""),
        "url": (200, json.dumps({"Url": answer.get("url")})),
        "dead": (401, "<TokenError>expired</TokenError>"),
    }[kind]
    return {"path": path, "action": {"answer": {"status": status, "headers": headers, "body": body}}}


def address(emulator: Emulator, written: str) -> str:
    """The emulator's address in the scenario's spelling; another host is the same emulator by its other name."""
    host = emulator.base_url.replace("https://", "")
    written = re.sub(r"p21\.example\.com(:443)?", host, written, flags=re.IGNORECASE)
    return re.sub(r"play\.example\.com", host.replace("127.0.0.1", "localhost"), written)


def options(emulator: Emulator, changes: dict[str, Any]) -> dict[str, Any]:
    base = {"username": "user", "password": "secret", "max_retries": 0, "ca_file": emulator.ca_file}
    wanted = {**base, **changes, "base_url": address(emulator, changes.get("base_url", "https://p21.example.com"))}
    return {name: value for name, value in wanted.items() if value is not None}


def outcome(work: Any) -> Any:
    try:
        text = work()
    except p21auth.P21Error as error:
        told: dict[str, Any] = {"error": error.name.replace("P21_E_", "")}
        if error.retry_after is not None:
            told["retry_after_s"] = error.retry_after
        return told
    return int(text[6:]) if text.startswith("token-") else text


def agrees(expected: Any, got: Any) -> bool:
    if not isinstance(expected, dict):
        return bool(expected == got)
    if not isinstance(got, dict) or got["error"] != expected["error"]:
        return False
    # The clock runs here and chance is not fixed: a backoff is at most what the file says.
    most = expected.get("retry_after_s")
    return most is None or got.get("retry_after_s", most + 1) <= most + 0.01


@pytest.mark.parametrize("scenario", load())
def test_scenario(scenario: dict[str, Any]) -> None:
    # Chance is not fixed here: a backoff may be drawn next to nothing and be over before the next step.
    draws = 3 if any(answer["answer"] in TRANSIENT for answer in scenario["server"]) else 1
    for left in reversed(range(draws)):
        with Emulator(tls="good") as emulator:
            try:
                return run(scenario, emulator)
            except AssertionError:
                if not left:
                    raise


def run(scenario: dict[str, Any], emulator: Emulator) -> None:
    issued = 0
    for answer in scenario["server"]:
        issued += answer["answer"] == "token"
        emulator.fault(**fault(answer, issued))
    clients = [Client(**options(emulator, scenario.get("options", {})))]
    for number, step in enumerate(scenario["steps"], 1):
        client = clients[step.get("client", 0)]
        token = f"token-{step['token']}" if "token" in step else None
        flags = {flag.lower(): True for flag in step.get("flags", [])}
        timeout = step["wait_ms"] / 1000 if step.get("wait_ms") else None
        do, got = step["do"], None
        if do == "token":
            min_valid = step.get("min_valid_s", 0)
            got = outcome(lambda c=client, m=min_valid, t=timeout, f=flags: c.snapshot(m, timeout=t, **f).access_token)
        elif do == "ui_url":
            got = outcome(lambda c=client, t=timeout, f=flags: c.ui_url(timeout=t, **f))
        elif do == "report":
            body = BODIES.get(step["body"], step["body"])
            verdict: Verdict = client.report(step.get("status", 401), body, token=token or "?")
            got = verdict.name
        elif do == "invalidate":
            client.invalidate(token)
        elif do == "open":
            clients.append(Client(**options(emulator, step.get("options", {}))))
        elif do == "update":
            given = options(emulator, step.get("options", {}))
            client.update(**{**dict.fromkeys(scenario.get("options", {})), **given})
        elif do == "close":
            client.close()
        else:
            pytest.fail(f"nothing called {do}")
        place = f"step {number}: {step}"
        if "expect" in step:
            assert agrees(step["expect"], got), f"{place}\n got {got}"
        for counter, name in (("token.requests", "requests"), ("router.requests", "router_requests")):
            if name in step:
                assert emulator.count(counter) == step[name], f"{place}: {counter}"
    assert emulator.count("faults.pending") == 0
