"""``requests`` with a token that is always valid.

>>> import requests
>>> from p21auth.requests import P21Auth
>>> with requests.Session() as session:
...     session.auth = P21Auth(client)
...     session.get(client.url("/odataservice/odata/table/customer")).status_code
200

Give it a snapshot instead of a client to keep one token, as an Interactive API session needs it.
"""

from __future__ import annotations

from typing import Any

import requests
import requests.auth

from ._auth import REJECTIONS, Bearer, Source, lost

__all__ = ["P21Auth"]


class P21Auth(requests.auth.AuthBase):
    """Sets the header on each request; after a rejected token it asks for one more and sends the request once more.

    Only requests whose body is in memory are sent twice. Bodies of other responses than 401 and 403 are not touched, so
    streaming stays streaming.
    """

    def __init__(self, source: Source) -> None:
        self._bearer = Bearer(source)

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        sent = self._bearer.header(request.url or "")
        request.headers["Authorization"] = sent

        def answered(response: requests.Response, **keywords: Any) -> requests.Response:
            return self._answered(sent, response, **keywords)

        request.register_hook("response", answered)
        return request

    def _answered(self, sent: str, response: requests.Response, **keywords: Any) -> requests.Response:
        request = response.request
        url = request.url or ""
        arrived = request.headers.get("Authorization")
        if response.status_code not in REJECTIONS or lost(sent, arrived, url):
            return response
        body = response.content
        if not self._bearer.rejected(sent, url, response.status_code, body) or not _replayable(request):
            return response
        again = request.copy()
        again.headers["Authorization"] = self._bearer.header(url)
        response.close()
        second: requests.Response = response.connection.send(again, **keywords)
        second.history.append(response)
        second.request = again
        return second


def _replayable(request: requests.PreparedRequest) -> bool:
    return request.body is None or isinstance(request.body, (bytes, str))
