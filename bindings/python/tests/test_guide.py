"""Code written after the community guide, with its import changed."""

from __future__ import annotations

import concurrent.futures
import gc
import time
from collections.abc import Callable
from typing import Any

import httpx
import pytest
import requests

import p21auth
from p21auth import _guide, get_auth_headers, get_consumer_token, get_token_v1, get_token_v2, get_ui_server_url
from p21auth._native import lib
from p21auth.testing import CONSUMER_KEY, PASSWORD, Emulator

KEYS = {
    "AccessToken",
    "RefreshToken",
    "ExpiresInSeconds",
    "ExpiresIn",
    "TokenType",
    "UserName",
    "Scope",
    "SessionId",
    "ConsumerUid",
    "AppKey",
}


def test_a_thousand_calls_send_one_request(emulator: Emulator) -> None:
    with concurrent.futures.ThreadPoolExecutor(20) as pool:
        results = list(pool.map(lambda _: get_token_v2(emulator.base_url, "demo", PASSWORD), range(1000)))
    assert len({result["AccessToken"] for result in results}) == 1
    assert len({id(result) for result in results}) == 1000
    assert emulator.count("token.requests") == emulator.count("token.dialect.v2_password") == 1


def test_results_have_every_key(emulator: Emulator) -> None:
    for result in (
        get_token_v2(emulator.base_url, "demo", PASSWORD),
        get_token_v2(emulator.base_url, "demo", PASSWORD, fresh=True),
        get_token_v1(emulator.base_url, "demo", PASSWORD),
        get_consumer_token(emulator.base_url, CONSUMER_KEY),
        get_consumer_token(emulator.base_url, CONSUMER_KEY, "demo"),
        p21auth.parse_token_response(b'{"AccessToken":"a","ExpiresIn":"60"}'),
    ):
        assert set(result) >= KEYS
        assert isinstance(result["AccessToken"], str) and result["TokenType"] == "Bearer"
        assert type(result["ExpiresInSeconds"]) is int and result["ExpiresInSeconds"] == result["ExpiresIn"]
        result["AccessToken"] = "changed by the caller"
        result.get("Claims", {}).clear()
    again = get_token_v2(emulator.base_url, "demo", PASSWORD)
    assert again["AccessToken"] != "changed by the caller"
    assert again["Claims"]["sub"] == "demo"


def test_dialects(emulator: Emulator) -> None:
    get_token_v1(emulator.base_url, "demo", PASSWORD)
    assert get_consumer_token(emulator.base_url, CONSUMER_KEY)["UserName"] in ("", None)
    assert get_consumer_token(emulator.base_url, CONSUMER_KEY, username="demo")["UserName"] == "demo"
    assert get_consumer_token(emulator.base_url, CONSUMER_KEY)["Scope"] == "/api;/p21sdk"
    counters = emulator.counters()
    assert (counters["token.dialect.v1_password"], counters["token.dialect.v2_consumer"]) == (1, 2)


def test_fresh_goes_past_the_cache(emulator: Emulator) -> None:
    cached = get_token_v2(emulator.base_url, "demo", PASSWORD)
    fresh = get_token_v2(emulator.base_url, "demo", PASSWORD, fresh=True)
    assert fresh["AccessToken"] != cached["AccessToken"]
    assert get_token_v2(emulator.base_url, "demo", PASSWORD)["AccessToken"] == cached["AccessToken"]


def test_the_refresher_loop_of_the_guide_never_spins(emulator: Emulator) -> None:
    """``sleep(t["ExpiresInSeconds"] - 300)`` is always more than nothing; here with a margin of 1 s instead of 300."""
    emulator.config(lifetime_s=6)
    first = get_token_v2(emulator.base_url, "demo", PASSWORD, refresh_margin_s=1)
    assert first["ExpiresInSeconds"] - 1 > 0
    time.sleep(first["ExpiresInSeconds"] - 1)
    second = get_token_v2(emulator.base_url, "demo", PASSWORD, refresh_margin_s=1)
    assert second["ExpiresInSeconds"] - 1 > 0
    assert second["AccessToken"] != first["AccessToken"]


def test_a_short_lived_token_is_given_all_the_same(emulator: Emulator) -> None:
    emulator.config(lifetime_s=60)
    tokens = {get_token_v2(emulator.base_url, "demo", PASSWORD)["AccessToken"] for _ in range(20)}
    assert len(tokens) == emulator.count("token.requests") == 1


def test_a_401_is_healed_by_calling_again(emulator: Emulator) -> None:
    """Callers never report. So a token's age is capped (900 s; 2 s here), and calling again brings another."""

    def token() -> Any:
        return get_token_v2(emulator.base_url, "demo", PASSWORD, max_token_age_s=2)["AccessToken"]

    def call(text: Any) -> int:
        url = f"{emulator.base_url}/odataservice/odata/table/customer"
        return httpx.get(url, headers=get_auth_headers(text)).status_code

    first = token()
    assert call(first) == 200
    emulator.revoke(first)
    assert call(first) == 401
    deadline = time.monotonic() + 30
    while call(token()) == 401:
        assert time.monotonic() < deadline
    assert emulator.count("token.requests") == 2


def test_the_cap_on_age_is_900_seconds_unless_said_otherwise(emulator: Emulator) -> None:
    get_token_v2(emulator.base_url, "demo", PASSWORD)
    get_token_v2(emulator.base_url, "demo", PASSWORD, max_token_age_s=7)
    caps = {client._options.get("max_token_age_s") for client in _guide._clients._by_arguments.values()}
    assert {"900", "7"} <= caps


def test_code_that_can_report_does(emulator: Emulator) -> None:
    data = get_token_v2(emulator.base_url, "demo", PASSWORD)
    emulator.revoke()
    url = f"{emulator.base_url}/odataservice/odata/table/customer"
    response = httpx.get(url, headers=get_auth_headers(data))
    assert p21auth.report(data, response) is p21auth.Verdict.RETRY
    again = get_token_v2(emulator.base_url, "demo", PASSWORD)
    assert requests.get(url, headers=get_auth_headers(again), timeout=20).status_code == 200
    # A late report of the old token drops nothing.
    assert p21auth.report(data["AccessToken"], response) is p21auth.Verdict.RETRY
    assert get_token_v2(emulator.base_url, "demo", PASSWORD)["AccessToken"] == again["AccessToken"]
    with pytest.raises(p21auth.ConfigError, match="did not come from"):
        p21auth.report("unknown", response)


def test_errors_are_httpx_errors_too(emulator: Emulator) -> None:
    with pytest.raises(httpx.HTTPStatusError) as refused:
        get_token_v2(emulator.base_url, "demo", "wrong")
    assert isinstance(refused.value, p21auth.BadCredentialsError)
    assert refused.value.response.status_code == 401
    assert refused.value.response.json()["ErrorType"] == "P21_E_UNAUTHORIZED"
    assert refused.value.request.url == f"{emulator.base_url}/api/security/token/v2"
    with pytest.raises(httpx.HTTPStatusError) as replayed:
        get_token_v2(emulator.base_url, "demo", "wrong", fresh=True)
    assert int(replayed.value.response.headers["Retry-After"]) > 0
    with pytest.raises(httpx.ConnectError) as down:
        get_token_v2("http://127.0.0.1:1", "demo", PASSWORD, max_retries=0)
    assert isinstance(down.value, p21auth.NetworkError) and isinstance(down.value, ConnectionError)
    emulator.hold()
    with pytest.raises(httpx.TimeoutException) as late:
        get_token_v2(emulator.base_url, "readonly", "readonly-password", timeout=0.3)
    assert isinstance(late.value, TimeoutError)
    emulator.release()


def test_parse_errors_are_value_errors(emulator: Emulator) -> None:
    emulator.fault(path="/token", action="html")
    with pytest.raises(ValueError, match="P21_E_") as page:
        get_token_v2(emulator.base_url, "demo", PASSWORD)
    assert isinstance(page.value, p21auth.ParseError) and not isinstance(page.value, httpx.HTTPError)
    with pytest.raises(ValueError, match="P21_E_NO_ACCESS_TOKEN"):
        p21auth.parse_token_response(b'{"ErrorMessage":"no"}')
    with pytest.raises(ValueError, match="is not a response"):
        p21auth.parse_token_response(42)


def test_without_httpx_errors_are_plain(python: Callable[..., Any]) -> None:
    done = python(
        """
        import sys, p21auth
        try:
            p21auth.get_token_v2("http://127.0.0.1:1", "u", "p", max_retries=0)
        except p21auth.NetworkError as error:
            print(type(error).__mro__[1].__name__, "httpx" in sys.modules, "logging" in sys.modules)
        """
    )
    assert done.stdout.split() == ["P21Error", "False", "False"], done.stderr


def test_replies_are_parsed_no_matter_what_carries_them(emulator: Emulator) -> None:
    for reply in ("json", "xml", "token_response"):
        emulator.config(reply=reply)
        url, login = f"{emulator.base_url}/api/security/token/v2", {"username": "demo", "password": PASSWORD}
        for response in (httpx.post(url, json=login), requests.post(url, json=login, timeout=20)):
            for given in (response, response.content, response.text, bytearray(response.content)):
                data = p21auth.parse_token_response(given)
                assert data["ExpiresInSeconds"] == 86400 and data["AccessToken"]


def test_the_ui_server(emulator: Emulator, tls_emulator: Emulator) -> None:
    data = get_token_v2(emulator.base_url, "demo", PASSWORD)
    for _ in range(3):
        assert get_ui_server_url(emulator.base_url, data["AccessToken"]) == f"{emulator.base_url}/uiserver0"
    assert emulator.count("router.requests") == 1
    # A token from elsewhere, and trust of its own.
    login = {"username": "demo", "password": PASSWORD}
    raw = httpx.post(f"{tls_emulator.base_url}/api/security/token/v2", json=login, verify=False)
    text = p21auth.parse_token_response(raw)["AccessToken"]
    for _ in range(2):
        url = get_ui_server_url(tls_emulator.base_url, text, verify_ssl=False)
        assert url == f"{tls_emulator.base_url}/uiserver0"
    assert tls_emulator.count("router.requests") == 1
    with pytest.raises(httpx.ConnectError):
        get_ui_server_url(tls_emulator.base_url, text)
    # The token's own settings are used where none are given.
    mine = get_token_v2(tls_emulator.base_url, "demo", PASSWORD, ca_file=tls_emulator.ca_file)
    assert get_ui_server_url(tls_emulator.base_url, mine) == f"{tls_emulator.base_url}/uiserver0"
    with pytest.raises(p21auth.ConfigError, match="no access token"):
        get_ui_server_url(emulator.base_url, {})


def test_the_token_manager(emulator: Emulator) -> None:
    manager = p21auth.TokenManager(base_url=emulator.base_url, username="demo", password=PASSWORD)
    assert manager.token_data is None and manager.username == "demo"
    token = manager.get_token()
    assert manager.get_headers()["Authorization"] == f"Bearer {token}"
    assert manager.token_data is not None
    assert manager.token_data["AccessToken"] == token and set(manager.token_data) >= KEYS
    manager.token_data = None
    assert manager.token_data is None
    assert manager.get_token() != token
    with pytest.raises(p21auth.ConfigError, match="None"):
        manager.token_data = {}  # type: ignore[assignment]
    with pytest.raises(httpx.HTTPStatusError):
        p21auth.TokenManager(emulator.base_url, "demo", "wrong").get_token()


def test_clients_behind_the_functions_are_few_and_freed(emulator: Emulator, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_guide, "_clients", _guide._Clients())
    monkeypatch.setattr(_guide, "_KEPT", 3)
    gc.collect()
    before = lib.p21_live_objects()
    for number in range(10):
        get_token_v2(emulator.base_url, "demo", PASSWORD, user_agent=f"test/{number}")
    gc.collect()
    assert lib.p21_live_objects() - before == 3
    assert emulator.count("token.requests") == 1
