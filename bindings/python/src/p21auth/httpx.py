"""``httpx`` with a token that is always valid.

>>> import httpx
>>> from p21auth.httpx import P21Auth
>>> with httpx.Client(auth=P21Auth(client), base_url=client.base_url, verify=client.ssl_context()) as http:
...     http.get("/odataservice/odata/table/customer").status_code
200

The same object serves ``httpx.AsyncClient``. Pass it a snapshot instead of a client to keep one token, as an Interactive
API session needs it.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Generator
from typing import Any

import httpx

from ._auth import REJECTIONS, Bearer, Source, lost
from ._errors import P21Error
from ._httpx_errors import mixed

__all__ = ["P21Auth"]


class P21Auth(httpx.Auth):
    """Sets the header on each request; after a rejected token it asks for one more and sends the request once more.

    Requests whose body is in memory or can be rewound are sent twice. Bodies of other responses than 401 and 403 are not
    touched, so streaming stays streaming. Errors are p21auth's own and httpx's at the same time.
    """

    def __init__(self, source: Source) -> None:
        self._bearer = Bearer(source)

    def sync_auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        url, body = str(request.url), _Body(request)
        try:
            sent = request.headers["Authorization"] = self._bearer.header(url)
            response = yield request
            status = response.status_code
            if status not in REJECTIONS or _lost(sent, response):
                return
            if self._bearer.rejected(sent, url, status, response.read()) and body.rewound():
                request.headers["Authorization"] = self._bearer.header(url)
                yield request
        except P21Error as error:
            raise mixed(error, None) from None

    async def async_auth_flow(self, request: httpx.Request) -> AsyncGenerator[httpx.Request, httpx.Response]:
        url, body = str(request.url), _Body(request)
        try:
            sent = request.headers["Authorization"] = await self._bearer.aheader(url)
            response = yield request
            status = response.status_code
            if status not in REJECTIONS or _lost(sent, response):
                return
            if self._bearer.rejected(sent, url, status, await response.aread()) and body.rewound():
                request.headers["Authorization"] = await self._bearer.aheader(url)
                yield request
        except P21Error as error:
            raise mixed(error, None) from None


def _lost(sent: str, response: httpx.Response) -> bool:
    return lost(sent, response.request.headers.get("Authorization"), str(response.request.url))


class _Body:
    """A request's body, and where it began if it is a file."""

    def __init__(self, request: httpx.Request) -> None:
        self._request = request
        # httpx keeps what it was given in there; if it ever does otherwise, files are not sent again.
        given: Any = getattr(request.stream, "_stream", None)
        self._given = given
        try:
            self._began = given.tell() if given.seekable() else None
        except (AttributeError, OSError, ValueError):
            self._began = None

    def rewound(self) -> bool:
        """Whether it can be sent once more."""
        try:
            self._request.content  # noqa: B018
        except httpx.RequestNotRead:
            fields = getattr(self._request.stream, "fields", None)
            if fields is not None:
                # httpx rewinds the files of a form by itself.
                return all(_is_whole(getattr(field, "file", b"")) for field in fields)
            if self._began is None:
                return isinstance(self._given, (list, tuple))
            self._given.seek(self._began)
        return True


def _is_whole(value: Any) -> bool:
    try:
        return isinstance(value, (str, bytes)) or bool(value.seekable())
    except (AttributeError, ValueError):
        return False
