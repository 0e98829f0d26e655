"""What lies in memory or can be rewound is sent again, whole; the rest is not."""

from __future__ import annotations

import asyncio
import http.server
import io
import os
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import aiohttp
import httpx
import pytest
import requests

from p21auth import Verdict
from p21auth.aiohttp import p21_middleware
from p21auth.httpx import P21Auth as HttpxAuth
from p21auth.requests import P21Auth as RequestsAuth


class Api:
    """Rejects the first token, takes the second; keeps the bodies that came."""

    def __init__(self) -> None:
        self.bodies: list[bytes] = []
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            wbufsize = -1

            def log_message(self, *_: Any) -> None:
                pass

            def do_POST(self) -> None:
                outer.bodies.append(self.body())
                good = self.headers["Authorization"] == "Bearer second"
                self.send_response(200 if good else 401)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def body(self) -> bytes:
                if self.headers.get("Transfer-Encoding") != "chunked":
                    return self.rfile.read(int(self.headers.get("Content-Length") or 0))
                data = b""
                while size := int(self.rfile.readline(), 16):
                    data += self.rfile.read(size)
                    self.rfile.readline()
                self.rfile.readline()
                return data

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/"
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.01,))
        self.thread.start()


class Source:
    """A stand-in for a client."""

    base_url = "http://127.0.0.1"

    def __init__(self) -> None:
        self.tokens = iter(("first", "second"))
        self.reports: list[Any] = []

    def may_send_to(self, url: str) -> bool:
        return True

    def get_token(self) -> str:
        return next(self.tokens)

    async def aget_token(self) -> str:
        return next(self.tokens)

    def report(self, response: Any, body: Any = None, *, token: str | None = None) -> Verdict:
        self.reports.append((response, body, token))
        return Verdict.RETRY


@pytest.fixture
def api() -> Iterator[Api]:
    made = Api()
    yield made
    made.server.shutdown()
    made.server.server_close()
    made.thread.join()


def by_httpx(url: str, **body: Any) -> int:
    with httpx.Client(auth=HttpxAuth(Source())) as client:
        return client.post(url, **body).status_code


def by_httpx_async(url: str, **body: Any) -> int:
    async def send() -> int:
        async with httpx.AsyncClient(auth=HttpxAuth(Source())) as client:
            return (await client.post(url, **body)).status_code

    return asyncio.run(send())


def by_requests(url: str, **body: Any) -> int:
    return requests.post(url, auth=RequestsAuth(Source()), timeout=30, **body).status_code


def by_aiohttp(url: str, **body: Any) -> int:
    async def send() -> int:
        async with aiohttp.ClientSession(middlewares=[p21_middleware(Source())]) as session:
            data = body.pop("make_data", lambda: body)()
            async with session.post(url, **data) as response:
                return response.status

    return asyncio.run(send())


_opened: list[Any] = []


def file(tmp_path: Path, read: int = 0) -> Any:
    """A file, some of which has been read."""
    path = tmp_path / "file"
    path.write_bytes(b"0123456789")
    opened = path.open("rb")
    _opened.append(opened)
    opened.read(read)
    return opened


def form(value: Any) -> Any:
    def make() -> dict[str, Any]:
        data = aiohttp.FormData()
        data.add_field("name", "value")
        data.add_field("file", value, filename="a.bin")
        return {"data": data}

    return {"make_data": make}


SENT_AGAIN: list[tuple[Any, str, Any]] = [
    (by_httpx, "nothing", lambda _: {}),
    (by_httpx, "bytes", lambda _: {"content": b"0123"}),
    (by_httpx, "json", lambda _: {"json": {"a": 1}}),
    (by_httpx, "form", lambda _: {"data": {"a": "1"}}),
    (by_httpx, "multipart of bytes", lambda _: {"files": {"file": b"0123"}, "data": {"a": "1"}}),
    (by_httpx, "multipart of BytesIO", lambda _: {"files": {"file": io.BytesIO(b"0123")}}),
    (by_httpx, "multipart of a file", lambda path: {"files": {"file": file(path, 3)}}),
    (by_httpx, "BytesIO", lambda _: {"content": io.BytesIO(b"0123")}),
    (by_httpx, "a file", lambda path: {"content": file(path)}),
    (by_httpx, "a list", lambda _: {"content": [b"01", b"23"]}),
    (by_httpx_async, "bytes", lambda _: {"content": b"0123"}),
    (by_httpx_async, "multipart of bytes", lambda _: {"files": {"file": b"0123"}}),
    (by_httpx_async, "multipart of a file", lambda path: {"files": {"file": file(path, 3)}}),
    (by_requests, "bytes", lambda _: {"data": b"0123"}),
    (by_requests, "json", lambda _: {"json": {"a": 1}}),
    (by_requests, "multipart of bytes", lambda _: {"files": {"file": b"0123"}}),
    (by_requests, "multipart of a file", lambda path: {"files": {"file": file(path, 3)}}),
    (by_requests, "BytesIO", lambda _: {"data": io.BytesIO(b"0123")}),
    (by_requests, "a file", lambda path: {"data": file(path, 3)}),
    (by_aiohttp, "bytes", lambda _: {"data": b"0123"}),
    (by_aiohttp, "json", lambda _: {"json": {"a": 1}}),
    (by_aiohttp, "multipart of bytes", lambda _: form(b"0123")),
    (by_aiohttp, "multipart of BytesIO", lambda _: form(io.BytesIO(b"0123"))),
    (by_aiohttp, "multipart of a file", lambda path: form(file(path, 3))),
    (by_aiohttp, "BytesIO", lambda _: {"data": io.BytesIO(b"0123")}),
    (by_aiohttp, "a file", lambda path: {"data": file(path, 3)}),
]


@pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize(
    ("send", "body"), [pytest.param(send, body, id=f"{send.__name__[3:]}-{what}") for send, what, body in SENT_AGAIN]
)
def test_sent_again(send: Any, body: Any, api: Api, tmp_path: Path) -> None:
    assert send(api.url, **body(tmp_path)) == 200
    while _opened:
        _opened.pop().close()
    first, second = api.bodies
    assert first == second
    assert not first or b"0123456789"[-4:] in first or b"0123" in first or b"1" in first


class Pipe(io.RawIOBase):
    """A file that can't be rewound."""

    def __init__(self) -> None:
        self.reader, writer = os.pipe()
        os.write(writer, b"0123")
        os.close(writer)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        data = os.read(self.reader, len(buffer))
        buffer[: len(data)] = data
        return len(data)

    def close(self) -> None:
        if not self.closed:
            os.close(self.reader)
        super().close()


def chunks() -> Iterator[bytes]:
    yield b"01"
    yield b"23"


async def achunks() -> Any:
    yield b"01"
    yield b"23"


NOT_SENT_AGAIN: list[tuple[Any, str, Any]] = [
    (by_httpx, "a generator", lambda: {"content": chunks()}),
    (by_httpx, "an iterator", lambda: {"content": iter([b"01", b"23"])}),
    (by_httpx, "a pipe", lambda: {"content": Pipe()}),
    (by_httpx_async, "a generator", lambda: {"content": achunks()}),
    (by_requests, "a generator", lambda: {"data": chunks()}),
    (by_requests, "a pipe", lambda: {"data": Pipe()}),
    (by_aiohttp, "a generator", lambda: {"data": achunks()}),
]


@pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize(
    ("send", "body"), [pytest.param(send, body, id=f"{send.__name__[3:]}-{what}") for send, what, body in NOT_SENT_AGAIN]
)
def test_not_sent_again(send: Any, body: Any, api: Api) -> None:
    assert send(api.url, **body()) == 401
    assert api.bodies == [b"0123"]
