"""The client's trust in each HTTP library: its CA file, its pins, or no verification; and nothing else."""

from __future__ import annotations

import asyncio
from typing import Any

import aiohttp
import httpx
import pytest
import requests
import urllib3

from p21auth import Client
from p21auth.aiohttp import p21_middleware
from p21auth.httpx import P21Auth as HttpxAuth
from p21auth.requests import P21Adapter
from p21auth.requests import P21Auth as RequestsAuth
from p21auth.testing import Emulator

TABLE = "/odataservice/odata/table/customer"


def by_httpx(client: Client, url: str) -> int:
    with httpx.Client(auth=HttpxAuth(client), verify=client.ssl_context()) as http:
        return http.get(url).status_code


def by_httpx_async(client: Client, url: str) -> int:
    async def get() -> int:
        async with httpx.AsyncClient(auth=HttpxAuth(client), verify=client.ssl_context()) as http:
            return (await http.get(url)).status_code

    return asyncio.run(get())


def by_requests(client: Client, url: str) -> int:
    with requests.Session() as session:
        session.auth = RequestsAuth(client)
        session.mount("https://", P21Adapter(client))
        return session.get(url, timeout=30).status_code


def by_aiohttp(client: Client, url: str) -> int:
    async def get() -> int:
        connector = aiohttp.TCPConnector(ssl=client.ssl_context())
        async with aiohttp.ClientSession(connector=connector, middlewares=[p21_middleware(client)]) as session:
            async with session.get(url) as response:
                return response.status

    return asyncio.run(get())


pytestmark = pytest.mark.parametrize("get", [by_httpx, by_httpx_async, by_requests, by_aiohttp])
ERRORS = (httpx.ConnectError, requests.exceptions.SSLError, aiohttp.ClientConnectorCertificateError, aiohttp.ClientError)


def test_ca_file_and_pins(get: Any, tls_emulator: Emulator) -> None:
    pin = tls_emulator.tls_pin_sha256
    for trust in ({}, {"tls_pin_sha256": pin}, {"tls_pin_sha256": ["00" * 32, pin]}):
        with tls_emulator.client(**trust) as client:
            assert get(client, client.url(TABLE)) == 200


@pytest.mark.filterwarnings("ignore::urllib3.exceptions.InsecureRequestWarning")
def test_no_verification(get: Any, tls_emulator: Emulator) -> None:
    with tls_emulator.client(verify=False) as client:
        assert get(client, client.url(TABLE)) == 200


def test_another_server_is_not_trusted(get: Any, tls_emulator: Emulator) -> None:
    """Another emulator has a CA and a certificate of its own. An own token needs no server."""
    trusts: list[dict[str, Any]] = [{"ca_file": tls_emulator.ca_file}, {"tls_pin_sha256": tls_emulator.tls_pin_sha256}, {}]
    with Emulator(tls="good") as other:
        for trust in trusts:
            with Client(base_url=other.base_url, access_token="abc", **trust) as client, pytest.raises(ERRORS):
                get(client, client.url(TABLE))
        assert other.count("odata.requests") == 0


def test_what_the_session_says_of_trust_does_not_count(get: Any, tls_emulator: Emulator) -> None:
    if get is not by_requests:
        return
    with tls_emulator.client() as client, requests.Session() as session:
        session.auth, session.verify = RequestsAuth(client), "/does/not/exist.pem"
        session.mount("https://", P21Adapter(client))
        assert session.get(client.url(TABLE), timeout=30).status_code == 200
    with Emulator(tls="good") as other, requests.Session() as session:
        session.verify = False
        session.mount("https://", P21Adapter(client := tls_emulator.client()))
        with pytest.raises(requests.exceptions.SSLError):
            session.get(other.base_url, timeout=30)
        client.close()


def test_a_warning_tells_of_no_verification(get: Any, tls_emulator: Emulator) -> None:
    if get is by_requests:
        with tls_emulator.client(verify=False) as client, pytest.warns(urllib3.exceptions.InsecureRequestWarning):
            assert get(client, client.url(TABLE)) == 200
