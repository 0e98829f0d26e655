"""``requests`` with a token that is always valid, and with the client's trust.

>>> import requests
>>> from p21auth.requests import P21Adapter, P21Auth
>>> with requests.Session() as session:
...     session.auth = P21Auth(client)
...     session.mount("https://", P21Adapter(client))
...     session.get(client.url("/odataservice/odata/table/customer")).status_code
200

Pass ``P21Auth`` a snapshot instead of a client to keep one token, as an Interactive API session needs it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import requests
import requests.adapters
import requests.auth
import requests.utils
from urllib3.connection import HTTPSConnection
from urllib3.connectionpool import HTTPSConnectionPool

from ._auth import REJECTIONS, Bearer, Source, lost

if TYPE_CHECKING:
    from ._client import Client

__all__ = ["P21Adapter", "P21Auth"]


class P21Auth(requests.auth.AuthBase):
    """Sets the header on each request; after a rejected token it asks for one more and sends the request once more.

    Requests whose body is in memory or can be rewound are sent twice. Bodies of other responses than 401 and 403 are not
    touched, so streaming stays streaming.
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
        if not self._bearer.rejected(sent, url, response.status_code, body) or not _rewound(request):
            return response
        again = request.copy()
        again.headers["Authorization"] = self._bearer.header(url)
        response.close()
        second: requests.Response = response.connection.send(again, **keywords)
        second.history.append(response)
        second.request = again
        return second


def _rewound(request: requests.PreparedRequest) -> bool:
    """Whether the body can be sent once more."""
    if request.body is None or isinstance(request.body, (bytes, str)):
        return True
    try:
        # To where it was when the request was made, as for a redirect.
        requests.utils.rewind_body(request)
    except (requests.exceptions.UnrewindableBodyError, ValueError):
        return False
    return True


class P21Adapter(requests.adapters.HTTPAdapter):
    """Carries the client's trust: its CA file, its pins, or no verification. What ``verify`` says does not count.

    ``session.mount("https://", P21Adapter(client))``
    """

    def __init__(self, client: Client, **options: Any) -> None:
        self._context = client.ssl_context()
        super().__init__(**options)

    def init_poolmanager(self, *arguments: Any, **keywords: Any) -> None:
        super().init_poolmanager(*arguments, **keywords, ssl_context=self._context)
        self._judge(self.poolmanager)

    def proxy_manager_for(self, proxy: str, **keywords: Any) -> Any:
        return self._judge(super().proxy_manager_for(proxy, **keywords, ssl_context=self._context))

    def _judge(self, manager: Any) -> Any:
        if hasattr(self._context, "p21auth_pins"):
            manager.pool_classes_by_scheme = {**manager.pool_classes_by_scheme, "https": _PinnedPool}
        return manager

    def cert_verify(self, conn: Any, url: str, verify: Any, cert: Any) -> None:
        """Leaves the trust to the context."""
        super().cert_verify(conn, "http://", False, cert)
        conn.cert_reqs = None

    def build_connection_pool_key_attributes(
        self, request: requests.PreparedRequest, verify: Any, cert: Any = None
    ) -> tuple[Any, Any]:
        """Leaves the trust to the context."""
        host, pool = super().build_connection_pool_key_attributes(request, False, cert)
        pool.pop("cert_reqs", None)
        return host, {**pool, "ssl_context": self._context}


class _PinnedConnection(HTTPSConnection):
    """The context has looked at the certificate by itself, so there is nothing to warn of."""

    def connect(self) -> None:
        super().connect()
        self.is_verified = True


class _PinnedPool(HTTPSConnectionPool):
    ConnectionCls = _PinnedConnection  # pyright: ignore[reportAssignmentType]
