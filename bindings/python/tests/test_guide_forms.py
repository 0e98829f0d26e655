"""The guide's token code in each of its forms, re-created here in our own words: what changes is an import or a line."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from typing import Any

import httpx
import pytest

import p21auth
from p21auth import guide
from p21auth.testing import CONSUMER_KEY, PASSWORD, Emulator

TABLE = "odataservice/odata/table/customer"


@dataclass
class Config:
    """The configuration object of the guide's repository."""

    base_url: str
    username: str = ""
    password: str = ""
    consumer_key: str | None = None
    verify_ssl: bool = False


@pytest.fixture
def config(emulator: Emulator) -> Config:
    return Config(emulator.base_url, "demo", PASSWORD)


# --- what the values are


def test_a_consumer_keys_reply_has_the_guides_values(emulator: Emulator) -> None:
    raw = httpx.post(
        f"{emulator.base_url}/api/security/token/v2",
        json={"ClientSecret": CONSUMER_KEY, "GrantType": "client_credentials"},
        headers={"Accept": "application/json"},
    ).json()
    assert raw["RefreshToken"] == raw["UserName"] == "" and raw["AppKey"] is None
    for ours in (
        p21auth.get_consumer_token(emulator.base_url, CONSUMER_KEY),
        p21auth.get_consumer_token(emulator.base_url, CONSUMER_KEY, fresh=True),
        p21auth.parse_token_response(httpx.Response(200, json=raw)),
    ):
        assert len(ours["RefreshToken"]) == 0
        changing = {"AccessToken", "SessionId", "ExpiresIn", "ExpiresInSeconds"}
        assert {name: ours[name] for name in raw if name not in changing} == {
            name: value for name, value in raw.items() if name not in changing
        }
    client = emulator.client(consumer_key=CONSUMER_KEY)
    assert client.snapshot()["RefreshToken"] == "" and client.snapshot().get("UserName") == ""


def test_the_managers_attributes(emulator: Emulator) -> None:
    manager = p21auth.TokenManager(emulator.base_url, "demo", PASSWORD)
    assert (manager.base_url, manager.username, manager.password) == (emulator.base_url, "demo", PASSWORD)
    assert (manager.token_data, manager.token_time) == (None, 0)
    first = manager.get_token()
    fetched = manager.token_time
    assert abs(fetched - time.time()) < 20 and manager.token_time == fetched
    manager.token_time = fetched
    assert manager.get_token() == first and manager.token_time == fetched
    # As users of the guide ask for a new one.
    manager.token_time = 0
    assert manager.token_time == 0
    assert manager.get_token() != first
    manager.token_time = time.time() - 86400
    assert manager.token_data is None


# --- common/auth.py


def test_get_token_with_a_configuration(config: Config, emulator: Emulator) -> None:
    # from common.auth import get_token, get_auth_headers, get_ui_server_url
    from p21auth.guide import get_auth_headers, get_token, get_ui_server_url

    for _ in range(3):
        token_data = get_token(config)
        headers = get_auth_headers(token_data["AccessToken"])
        ui_server = get_ui_server_url(config.base_url, token_data["AccessToken"], config.verify_ssl)
    assert ui_server == f"{emulator.base_url}/uiserver0"
    with httpx.Client(verify=config.verify_ssl, follow_redirects=True) as http:
        assert http.get(f"{config.base_url}/{TABLE}", headers=headers).status_code == 200
    with pytest.raises(httpx.HTTPStatusError) as refused:
        get_token(config, password="wrong")
    assert refused.value.response.status_code == 401
    assert (emulator.count("token.requests"), emulator.count("router.requests")) == (2, 1)


def test_get_token_with_keys(config: Config, emulator: Emulator) -> None:
    assert guide.get_token(config, consumer_key=CONSUMER_KEY)["UserName"] == ""
    assert guide.get_token(config, username="demo", consumer_key=CONSUMER_KEY)["UserName"] == "demo"
    assert guide.get_token(config, username="demo", consumer_key=CONSUMER_KEY, use_v2=False)["AccessToken"]
    assert emulator.count("token.dialect.v1_consumer") == 1
    keyed = Config(emulator.base_url, "demo", consumer_key=CONSUMER_KEY)
    assert guide.get_token(keyed)["UserName"] == "demo"
    with pytest.raises(ValueError, match="V1 endpoint"):
        guide.get_token(config, use_v2=False)


def test_get_token_without_a_configuration(p21_environment: dict[str, str], emulator: Emulator) -> None:
    assert guide.get_token()["UserName"] == guide.get_token(username="demo")["UserName"] == "demo"
    assert asyncio.run(guide.aget_token())["AccessToken"] == guide.get_token()["AccessToken"]
    assert emulator.count("token.requests") == 1


def test_its_verification_is_the_configurations(tls_emulator: Emulator) -> None:
    config = Config(tls_emulator.base_url, "demo", PASSWORD)
    data = guide.get_token(config)
    assert guide.get_ui_server_url(config.base_url, data["AccessToken"], config.verify_ssl).endswith("/uiserver0")
    config.verify_ssl = True
    with pytest.raises(httpx.ConnectError):
        guide.get_token(config)
    assert guide.get_token(config, ca_file=tls_emulator.ca_file)["TokenType"] == "Bearer"


# --- the page's awaited function


def test_the_pages_awaited_function(emulator: Emulator) -> None:
    from p21auth.guide import aget_consumer_token as get_consumer_token

    async def main() -> set[str]:
        replies = await asyncio.gather(*(get_consumer_token(emulator.base_url, CONSUMER_KEY, "demo") for _ in range(50)))
        with pytest.raises(httpx.HTTPStatusError):
            await guide.aget_token_v2(emulator.base_url, "demo", "wrong")
        return {reply["AccessToken"] for reply in replies}

    assert len(asyncio.run(main())) == 1
    assert emulator.count("token.requests") == 2


# --- P21Client and AsyncP21Client


class Client:
    """A client as in the guide's repository: a login of its own, whose token stays in the headers."""

    def __init__(self, config: Config) -> None:
        self.config = config
        self._http: httpx.Client | None = None
        self._token: str | None = None
        self._token_expires = 0.0
        self._ui_server: str | None = None

    def _get_client(self) -> httpx.Client:
        if self._http is None:
            accept = {"Accept": "application/json"}
            self._http = httpx.Client(verify=self.config.verify_ssl, follow_redirects=True, headers=accept)
        return self._http

    def authenticate(self) -> str:
        login = {"username": self.config.username, "password": self.config.password}
        reply = self._get_client().post(f"{self.config.base_url}/api/security/token/v2", json=login).json()
        self._token = reply["AccessToken"]
        self._token_expires = time.time() + int(reply["ExpiresInSeconds"]) - 300
        self._get_client().headers["Authorization"] = f"Bearer {self._token}"
        return str(self._token)

    def _ensure_token(self) -> None:
        if self._token is None or time.time() >= self._token_expires:
            self.authenticate()

    def _resolve_ui_server(self) -> str:
        self._ensure_token()
        reply = self._get_client().get(f"{self.config.base_url}/api/ui/router/v1/?urlType=external")
        return str(reply.json()["Url"]).rstrip("/")

    def connect(self) -> Any:
        self.authenticate()
        self.ui_server = self._resolve_ui_server()
        return self

    def rows(self) -> Any:
        return self._get_client().get(f"{self.config.base_url}/{TABLE}").raise_for_status().json()["value"]

    def __enter__(self) -> Any:
        return self.connect()

    def __exit__(self, *_: object) -> None:
        self._get_client().close()


class AsyncClient:
    """The same for asyncio."""

    def __init__(self, config: Config) -> None:
        self.config = config
        self._http: httpx.AsyncClient | None = None
        self._token: str | None = None
        self._token_expires = 0.0
        self._ui_server: str | None = None

    def _get_client(self) -> httpx.AsyncClient:
        if self._http is None:
            accept = {"Accept": "application/json"}
            self._http = httpx.AsyncClient(verify=self.config.verify_ssl, follow_redirects=True, headers=accept)
        return self._http

    async def authenticate(self) -> str:
        login = {"username": self.config.username, "password": self.config.password}
        reply = (await self._get_client().post(f"{self.config.base_url}/api/security/token/v2", json=login)).json()
        self._token = reply["AccessToken"]
        self._token_expires = time.time() + int(reply["ExpiresInSeconds"]) - 300
        self._get_client().headers["Authorization"] = f"Bearer {self._token}"
        return str(self._token)

    async def _ensure_token(self) -> None:
        if self._token is None or time.time() >= self._token_expires:
            await self.authenticate()

    async def _resolve_ui_server(self) -> str:
        await self._ensure_token()
        reply = await self._get_client().get(f"{self.config.base_url}/api/ui/router/v1/?urlType=external")
        return str(reply.json()["Url"]).rstrip("/")

    async def __aenter__(self) -> Any:
        await self.authenticate()
        self.ui_server = await self._resolve_ui_server()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._get_client().aclose()

    async def rows(self) -> Any:
        return (await self._get_client().get(f"{self.config.base_url}/{TABLE}")).raise_for_status().json()["value"]


def work(make: Any, config: Config) -> None:
    for _ in range(3):
        with make(config) as client:
            assert len(client.rows()) == 25 and client.ui_server == f"{config.base_url}/uiserver0"
            assert client._token_expires > time.time()


def awork(make: Any, config: Config) -> None:
    async def one() -> None:
        async with make(config) as client:
            assert len(await client.rows()) == 25 and client.ui_server == f"{config.base_url}/uiserver0"
            assert client._token_expires > time.time()

    async def main() -> None:
        await asyncio.gather(*(one() for _ in range(3)))

    asyncio.run(main())


@pytest.mark.parametrize(("cls", "work"), [(Client, work), (AsyncClient, awork)], ids=["P21Client", "AsyncP21Client"])
def test_a_line_before_the_class(cls: Any, work: Any, config: Config, emulator: Emulator) -> None:
    work(cls, config)
    assert emulator.count("token.requests") == 3
    ours = guide.cached_tokens(type(cls.__name__, (cls,), {}))
    work(ours, config)
    assert (emulator.count("token.requests"), emulator.count("router.requests")) == (4, 4)
    # A key comes before a password there.
    work(ours, Config(emulator.base_url, "demo", PASSWORD, CONSUMER_KEY))
    assert emulator.count("token.dialect.v2_consumer") == 1
    with pytest.raises(httpx.HTTPStatusError):
        work(ours, Config(emulator.base_url, "demo", "wrong"))


def test_an_expired_token_is_replaced_as_there(config: Config, emulator: Emulator) -> None:
    ours = guide.cached_tokens(type("P21Client", (Client,), {}))
    with ours(config) as client:
        client._token_expires = 0
        client._ensure_token()
        assert client._token_expires > time.time() and client._get_client().headers["Accept"] == "application/json"
    assert emulator.count("token.requests") == 1
