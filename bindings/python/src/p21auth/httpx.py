"""``httpx`` with a token that is always valid.

>>> import httpx
>>> from p21auth.httpx import P21Auth
>>> with httpx.Client(auth=P21Auth(client), base_url=client.base_url) as http:
...     http.get("/odataservice/odata/table/customer").status_code
200

The same object serves ``httpx.AsyncClient``. Give it a snapshot instead of a client to keep one token, as an Interactive
API session needs it.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Generator

import httpx

from ._auth import REJECTIONS, Bearer, Source, lost
from ._errors import P21Error
from ._httpx_errors import mixed

__all__ = ["P21Auth"]


class P21Auth(httpx.Auth):
    """Sets the header on each request; after a rejected token it asks for one more and sends the request once more.

    Only requests whose body is in memory are sent twice. Bodies of other responses than 401 and 403 are not touched, so
    streaming stays streaming. Errors are p21auth's own and httpx's at the same time.
    """

    def __init__(self, source: Source) -> None:
        self._bearer = Bearer(source)

    def sync_auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        try:
            sent = self._bearer.header(str(request.url))
        except P21Error as error:
            raise mixed(error, None) from None
        request.headers["Authorization"] = sent
        response = yield request
        if response.status_code in REJECTIONS and not _lost(sent, response):
            body = response.read()
            if self._bearer.rejected(sent, str(request.url), response.status_code, body) and _replayable(request):
                try:
                    request.headers["Authorization"] = self._bearer.header(str(request.url))
                except P21Error as error:
                    raise mixed(error, None) from None
                yield request

    async def async_auth_flow(self, request: httpx.Request) -> AsyncGenerator[httpx.Request, httpx.Response]:
        try:
            sent = await self._bearer.aheader(str(request.url))
        except P21Error as error:
            raise mixed(error, None) from None
        request.headers["Authorization"] = sent
        response = yield request
        if response.status_code in REJECTIONS and not _lost(sent, response):
            body = await response.aread()
            if self._bearer.rejected(sent, str(request.url), response.status_code, body) and _replayable(request):
                try:
                    request.headers["Authorization"] = await self._bearer.aheader(str(request.url))
                except P21Error as error:
                    raise mixed(error, None) from None
                yield request


def _lost(sent: str, response: httpx.Response) -> bool:
    return lost(sent, response.request.headers.get("Authorization"), str(response.request.url))


def _replayable(request: httpx.Request) -> bool:
    try:
        request.content  # noqa: B018
    except httpx.RequestNotRead:
        return False
    return True
