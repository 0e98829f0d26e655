"""httpx, requests and aiohttp: one retry, own hosts only, streaming untouched, pinned snapshots."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator
from typing import Any

import aiohttp
import httpx
import pytest
import requests

import p21auth
from p21auth import Client
from p21auth.aiohttp import p21_middleware
from p21auth.httpx import P21Auth as HttpxAuth
from p21auth.requests import P21Auth as RequestsAuth
from p21auth.testing import Emulator

TABLE = "/odataservice/odata/table/customer"


@pytest.fixture
def p21_client(emulator: Emulator) -> Iterator[Client]:
    """A client that may ask again at once after a rejection; by default it waits until five seconds have passed."""
    with emulator.client(min_refresh_interval_s=0) as client:
        yield client


class Answer:
    """What the four ways to send a request have in common."""

    def __init__(self, status: int, body: bytes) -> None:
        self.status = status
        self.body = body


def by_httpx(source: Any, method: str, url: str, **more: Any) -> Answer:
    with httpx.Client(auth=HttpxAuth(source), follow_redirects=True) as http:
        response = http.request(method, url, content=more.get("body"))
        return Answer(response.status_code, response.content)


def by_httpx_async(source: Any, method: str, url: str, **more: Any) -> Answer:
    async def send() -> Answer:
        async with httpx.AsyncClient(auth=HttpxAuth(source), follow_redirects=True) as http:
            response = await http.request(method, url, content=more.get("body"))
            return Answer(response.status_code, response.content)

    return asyncio.run(send())


def by_requests(source: Any, method: str, url: str, **more: Any) -> Answer:
    with requests.Session() as session:
        session.auth = RequestsAuth(source)
        response = session.request(method, url, data=more.get("body"), timeout=30)
        return Answer(response.status_code, response.content)


def by_aiohttp(source: Any, method: str, url: str, **more: Any) -> Answer:
    async def send() -> Answer:
        async with aiohttp.ClientSession(middlewares=[p21_middleware(source)]) as session:
            async with session.request(method, url, data=more.get("body")) as response:
                return Answer(response.status, await response.read())

    return asyncio.run(send())


WAYS = [by_httpx, by_httpx_async, by_requests, by_aiohttp]
pytestmark = pytest.mark.parametrize("send", WAYS)


def test_the_token_goes_along(send: Any, emulator: Emulator, p21_client: Client) -> None:
    for _ in range(3):
        assert send(p21_client, "GET", emulator.base_url + TABLE).status == 200
    assert emulator.count("token.requests") == 1


def test_a_dead_token_costs_one_retry(send: Any, emulator: Emulator, p21_client: Client) -> None:
    p21_client.get_token()
    emulator.revoke()
    assert send(p21_client, "GET", emulator.base_url + TABLE).status == 200
    assert (emulator.count("token.requests"), emulator.count("odata.requests")) == (2, 2)


def test_a_body_in_memory_is_sent_again(send: Any, emulator: Emulator, p21_client: Client) -> None:
    p21_client.get_token()
    emulator.revoke()
    url = emulator.base_url + "/api/ui/interactive/sessions/"
    assert send(p21_client, "POST", url, body=b"{}").status in (200, 201)
    assert emulator.count("interactive.requests") == 2


def test_a_body_that_streams_is_not(send: Any, emulator: Emulator, p21_client: Client) -> None:
    p21_client.get_token()
    emulator.revoke()

    def chunks() -> Iterator[bytes]:
        yield b"{}"

    async def achunks() -> Any:
        yield b"{}"

    body: Any = achunks() if send in (by_httpx_async, by_aiohttp) else chunks()
    url = emulator.base_url + "/api/ui/interactive/sessions/"
    assert send(p21_client, "POST", url, body=body).status == 401
    assert emulator.count("interactive.requests") == 1
    # The dead token is dropped all the same.
    assert send(p21_client, "GET", emulator.base_url + TABLE).status == 200


def test_at_most_one_retry(send: Any, emulator: Emulator, p21_client: Client) -> None:
    p21_client.get_token()
    emulator.fault(path=TABLE, times=0, action={"answer": {"status": 401, "body": "<TokenError>no</TokenError>"}})
    answer = send(p21_client, "GET", emulator.base_url + TABLE)
    assert (answer.status, answer.body) == (401, b"<TokenError>no</TokenError>")
    assert emulator.count("requests") - emulator.count("token.requests") == 2


def test_a_permission_is_no_reason_for_a_new_token(send: Any, emulator: Emulator, caplog: pytest.LogCaptureFixture) -> None:
    client = emulator.client(username="readonly", password="readonly-password")
    with caplog.at_level(logging.WARNING, "p21auth"):
        answer = send(client, "GET", emulator.base_url + TABLE + "?$top=1")
    assert answer.status == 401 and b"not authorized" in answer.body
    assert (emulator.count("token.requests"), emulator.count("odata.requests")) == (1, 1)
    assert "answered 401: " in caplog.text and "Allow OData API Service" in caplog.text and "$top" not in caplog.text


def test_a_snapshot_is_pinned(send: Any, emulator: Emulator, p21_client: Client) -> None:
    snapshot = p21_client.snapshot()
    p21_client.invalidate()
    p21_client.get_token()
    assert send(snapshot, "GET", emulator.base_url + TABLE).status == 200
    emulator.revoke(snapshot.access_token)
    assert send(snapshot, "GET", emulator.base_url + TABLE).status == 401
    assert emulator.count("token.requests") == 2
    with pytest.raises(p21auth.ConfigError, match="a Client, a Snapshot or another TokenSource"):
        send("token", "GET", emulator.base_url + TABLE)


def test_other_hosts_get_an_error(send: Any, emulator: Emulator) -> None:
    with Emulator() as other:
        client = emulator.client(min_refresh_interval_s=0)
        with pytest.raises(p21auth.HostNotAllowedError, match=r"the token is not sent to http://127\.0\.0\.1:\d+"):
            send(client, "GET", other.base_url + TABLE)
        with pytest.raises(p21auth.HostNotAllowedError):
            send(client.snapshot(), "GET", other.base_url + TABLE)
        assert other.count("requests") == 0
        client.update(allowed_hosts=["127.0.0.1"])
        assert send(client, "GET", other.base_url + TABLE).status == 401
        assert other.count("api.token_rejected") > 0


def test_the_ui_server_is_an_own_host(send: Any, emulator: Emulator) -> None:
    with Emulator() as other:
        emulator.config(ui_url=other.base_url + "/uiserver0")
        client = emulator.client()
        with pytest.raises(p21auth.HostNotAllowedError):
            send(client, "GET", other.base_url + "/uiserver0/x")
        assert client.ui_url() == other.base_url + "/uiserver0"
        assert send(client, "GET", client.ui_url() + "/x").status in (401, 404)


def test_a_redirect_to_another_origin_never_carries_the_token(
    send: Any, emulator: Emulator, p21_client: Client, caplog: pytest.LogCaptureFixture
) -> None:
    with Emulator() as other:
        for status in (302, 307):
            emulator.fault(path=TABLE, action={"redirect": {"location": other.base_url + TABLE, "status": status}})
            if send is by_aiohttp:
                with pytest.raises(p21auth.HostNotAllowedError):
                    send(p21_client, "GET", emulator.base_url + TABLE)
            else:
                assert send(p21_client, "GET", emulator.base_url + TABLE).status == 401
                assert "reached by a redirect to another origin" in caplog.text
        counters = other.counters()
        assert counters["api.token_rejected"] == 0
        assert counters["api.header_lost"] == counters["requests"]
        assert emulator.count("token.requests") == 1


def test_a_redirect_at_home_keeps_the_token(send: Any, emulator: Emulator, p21_client: Client) -> None:
    emulator.fault(path=TABLE, action={"redirect": {"location": TABLE + "?$top=1", "status": 307}})
    assert send(p21_client, "GET", emulator.base_url + TABLE).status == 200


def test_streaming_stays_streaming(send: Any, emulator: Emulator, p21_client: Client) -> None:
    """The headers are there while the body is still held back, so no one has read it."""
    url = emulator.base_url + TABLE
    emulator.fault(path=TABLE, action={"drip": {"bytes_per_s": 20}})

    async def httpx_async() -> None:
        async with httpx.AsyncClient(auth=HttpxAuth(p21_client)) as http, http.stream("GET", url) as response:
            assert response.status_code == 200 and not response.is_stream_consumed

    async def aiohttp_stream() -> None:
        async with aiohttp.ClientSession(middlewares=[p21_middleware(p21_client)]) as session:
            async with session.get(url) as response:
                assert response.status == 200 and not response.content.at_eof()

    if send is by_httpx:
        with httpx.Client(auth=HttpxAuth(p21_client)) as http, http.stream("GET", url) as response:
            assert response.status_code == 200 and not response.is_stream_consumed
    elif send is by_requests:
        with requests.get(url, auth=RequestsAuth(p21_client), stream=True, timeout=20) as streamed:
            assert streamed.status_code == 200 and not streamed._content_consumed  # type: ignore[attr-defined]
    else:
        asyncio.run(httpx_async() if send is by_httpx_async else aiohttp_stream())


def test_wrong_credentials_raise_the_packages_errors(send: Any, emulator: Emulator) -> None:
    client = emulator.client(password="wrong")
    with pytest.raises(p21auth.BadCredentialsError) as caught:
        send(client, "GET", emulator.base_url + TABLE)
    assert isinstance(caught.value, httpx.HTTPStatusError) == (send in (by_httpx, by_httpx_async))


def test_report_reads_their_responses(send: Any, emulator: Emulator, p21_client: Client) -> None:
    token = p21_client.get_token()
    headers, url = p21auth.get_auth_headers(token), emulator.base_url + TABLE
    emulator.revoke()

    async def asynchronously() -> p21auth.Verdict:
        if send is by_aiohttp:
            async with aiohttp.ClientSession() as session, session.get(url, headers=headers) as response:
                return await p21_client.areport(response)
        async with httpx.AsyncClient() as http, http.stream("GET", url, headers=headers) as streamed:
            return await p21_client.areport(streamed)

    if send is by_httpx:
        verdict = p21_client.report(httpx.get(url, headers=headers))
    elif send is by_requests:
        verdict = p21_client.report(requests.get(url, headers=headers, timeout=20))
    else:
        verdict = asyncio.run(asynchronously())
    assert verdict is p21auth.Verdict.RETRY
    assert p21_client.get_token() != token
