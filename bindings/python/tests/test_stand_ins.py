"""Users' tests: mocks and fakes in the place of a client, and a default client that each test has for itself."""

from __future__ import annotations

import asyncio
import copy
from typing import Any
from unittest.mock import MagicMock, create_autospec

import aiohttp
import httpx
import pytest
import requests

import p21auth
from p21auth import Client
from p21auth.aiohttp import p21_middleware
from p21auth.httpx import P21Auth as HttpxAuth
from p21auth.requests import P21Auth as RequestsAuth
from p21auth.testing import Emulator, reset_default_client

TABLE = "/odataservice/odata/table/customer"


class Fake:
    """As a user writes one after the README."""

    base_url = "https://p21.example.com"

    def __init__(self) -> None:
        self.reported: list[Any] = []

    def may_send_to(self, url: str) -> bool:
        return url.startswith(self.base_url)

    def get_token(self) -> str:
        return "fake"

    async def aget_token(self) -> str:
        return "fake"

    def ui_url(self) -> str:
        return self.base_url + "/uiserver0"

    def report(self, response: Any, body: Any = None, *, token: str | None = None) -> p21auth.Verdict:
        self.reported.append((response, body, token))
        return p21auth.Verdict.PERMISSION

    def invalidate(self, token: str | None = None) -> None:
        pass


def mock() -> Any:
    made = MagicMock(spec=Client)
    made.get_token.return_value = made.aget_token.return_value = "fake"
    return made


def autospec() -> Any:
    made = create_autospec(Client, instance=True)
    made.get_token.return_value = made.aget_token.return_value = "fake"
    return made


def answer(status: int) -> httpx.MockTransport:
    def handler(request: httpx.Request) -> httpx.Response:
        return httpx.Response(status, text=request.headers["Authorization"])

    return httpx.MockTransport(handler)


@pytest.mark.parametrize("source", [Fake, mock, autospec])
def test_a_stand_in_serves_every_integration(source: Any, emulator: Emulator) -> None:
    made = source()
    with httpx.Client(auth=HttpxAuth(made), transport=answer(200)) as http:
        assert http.get("https://p21.example.com/x").text == "Bearer fake"

    async def asynchronously() -> tuple[str, int]:
        async with httpx.AsyncClient(auth=HttpxAuth(made), transport=answer(200)) as http:
            text = (await http.get("https://p21.example.com/x")).text
        made.base_url = emulator.base_url
        async with aiohttp.ClientSession(middlewares=[p21_middleware(made)]) as session:
            async with session.get(emulator.base_url + TABLE) as response:
                return text, response.status

    assert asyncio.run(asynchronously()) == ("Bearer fake", 401)
    assert requests.get(emulator.base_url + TABLE, auth=RequestsAuth(made), timeout=30).status_code == 401
    assert emulator.count("api.token_rejected") == 2


def test_a_fakes_verdict_counts() -> None:
    fake = Fake()
    with httpx.Client(auth=HttpxAuth(fake), transport=answer(403)) as http:
        assert http.get("https://p21.example.com/x").status_code == 403
        with pytest.raises(p21auth.HostNotAllowedError):
            http.get("https://elsewhere.example.com/x")
    assert fake.reported == [(403, b"Bearer fake", "Bearer fake")]


@pytest.mark.parametrize(
    ("source", "says"),
    [
        (lambda: "token", "a str lacks get_token and may_send_to"),
        (lambda: MagicMock(spec=["get_token"]), "a MagicMock lacks may_send_to"),
    ],
)
def test_what_is_no_source_is_told_what_it_lacks(source: Any, says: str) -> None:
    for make in (HttpxAuth, RequestsAuth, p21_middleware):
        with pytest.raises(p21auth.ConfigError, match=says):
            make(source())


def test_a_mock_without_a_token_says_what_to_set() -> None:
    with httpx.Client(auth=HttpxAuth(MagicMock(spec=Client)), transport=answer(200)) as http:
        with pytest.raises(p21auth.ConfigError, match=r"returned a MagicMock instead of a token.*get_token\.return_value"):
            http.get("https://p21.example.com/x")


def test_a_client_is_a_source_and_says_where_its_token_may_go(emulator: Emulator) -> None:
    with emulator.client(allowed_hosts="files.example.com,reports.example.com:8443") as client:
        for url, may in [
            (emulator.base_url + "/x", True),
            (emulator.base_url, True),
            (emulator.base_url.upper(), True),
            (emulator.base_url + "@evil.example.com/", False),
            (emulator.base_url + ".evil.example.com/", False),
            (emulator.base_url.replace("http", "https"), False),
            ("https://files.example.com/x", True),
            ("https://FILES.example.com:9443/x", True),
            ("https://files.example.com.evil.example.net/", False),
            ("https://user@evil.example.net/?files.example.com", False),
            ("https://reports.example.com:8443/x", True),
            ("https://reports.example.com/x", False),
            ("", False),
            ("/relative", False),
        ]:
            assert client.may_send_to(url) is may, url
        assert client.snapshot().may_send_to(emulator.base_url + "/x")


def test_deep_copies_share_the_client(p21_client: Client) -> None:
    snapshot = p21_client.snapshot()
    assert copy.copy(p21_client) is copy.deepcopy(p21_client) is p21_client
    assert copy.copy(snapshot) is copy.deepcopy(snapshot) is snapshot
    for auth in (HttpxAuth(p21_client), RequestsAuth(p21_client)):
        settings = copy.deepcopy({"auth": auth, "timeout": 3})
        with httpx.Client(auth=settings["auth"]) if isinstance(auth, httpx.Auth) else requests.Session() as http:  # type: ignore[union-attr]
            if isinstance(http, requests.Session):
                http.auth = settings["auth"]
            assert http.get(p21_client.url(TABLE)).status_code == 200


def test_each_test_has_its_own_default_client(pytester: pytest.Pytester) -> None:
    """Otherwise the second one would find the client of the first, whose emulator is gone."""
    pytester.makepyfile(
        """
        import os
        import pytest
        import p21auth
        from p21auth import _default

        seen = []

        @pytest.mark.parametrize("number", [1, 2])
        def test_by_the_fixture(number, p21_environment, p21_emulator):
            client = p21auth.default_client()
            assert client not in seen
            seen.append(client)
            assert client.get_token() and client.base_url == p21_emulator.base_url == os.environ["P21_BASE_URL"]
            assert p21_environment["P21_USERNAME"] == os.environ["P21_USERNAME"] == "demo"

        def test_nothing_of_it_is_left():
            assert len(seen) == 2
            assert _default._default is None and "P21_BASE_URL" not in os.environ
        """
    )
    pytester.runpytest_subprocess("-p", "p21auth.testing").assert_outcomes(passed=3)


def test_the_default_client_is_opened_again_by_hand(monkeypatch: pytest.MonkeyPatch) -> None:
    reset_default_client()
    monkeypatch.setenv("P21_BASE_URL", "https://p21.example.com")
    monkeypatch.setenv("P21_ACCESS_TOKEN", "abc")
    assert p21auth.default_client().get_token() == "abc"
    monkeypatch.setenv("P21_ACCESS_TOKEN", "def")
    assert p21auth.default_client().get_token() == "abc"
    reset_default_client()
    assert p21auth.default_client().get_token() == "def"
    reset_default_client()
    reset_default_client()


def test_other_settings_of_the_machine_do_not_disturb(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("P21_CONSUMER_KEY", "of another program")
    pytester.makepyfile(
        """
        import p21auth
        def test_it(p21_environment):
            assert p21auth.default_client().get_token()
        """
    )
    pytester.runpytest_subprocess("-p", "p21auth.testing").assert_outcomes(passed=1)
