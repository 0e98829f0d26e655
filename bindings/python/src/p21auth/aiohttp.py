"""``aiohttp`` (3.12 or later) with a token that is always valid.

    import aiohttp
    from p21auth.aiohttp import p21_middleware

    connector = aiohttp.TCPConnector(ssl=client.ssl_context())
    async with aiohttp.ClientSession(connector=connector, middlewares=[p21_middleware(client)]) as session:
        async with session.get(client.url("/odataservice/odata/table/customer")) as response:
            rows = await response.json()

Pass it a snapshot instead of a client to keep one token, as an Interactive API session needs it.
"""

from __future__ import annotations

from typing import Any

import aiohttp
from aiohttp import MultipartWriter

from ._auth import REJECTIONS, Bearer, Source

__all__ = ["p21_middleware"]


def p21_middleware(source: Source) -> aiohttp.ClientMiddlewareType:
    """A client middleware: sets the header on each request; after a rejected token it asks for one more, once.

    Requests whose body is in memory or can be rewound are sent twice. A redirect to another origin ends in
    :class:`p21auth.HostNotAllowedError`, since aiohttp hands that request to its middlewares too.
    """
    bearer = Bearer(source)

    async def middleware(request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType) -> aiohttp.ClientResponse:
        url = str(request.url)
        sent = await bearer.aheader(url)
        request.headers["Authorization"] = sent
        response = await handler(request)
        if response.status not in REJECTIONS:
            return response
        body = await response.read()
        if not bearer.rejected(sent, url, response.status, body) or not _replayable(request.body):
            return response
        response.release()
        request.headers["Authorization"] = await bearer.aheader(url)
        return await handler(request)

    return middleware


def _replayable(body: Any) -> bool:
    """Whether it can be sent once more: aiohttp rewinds by itself what it can, and says what it has used up."""
    if isinstance(body, MultipartWriter):
        return all(_replayable(part) for part, *_ in body)
    return not body or isinstance(body, bytes) or not getattr(body, "consumed", True)
