"""Reads an OData table page by page.

P21_BASE_URL=… P21_USERNAME=… P21_PASSWORD=… python odata_paging.py customer
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import Any

import httpx

import p21auth
from p21auth.httpx import P21Auth


def rows(http: httpx.Client, url: str) -> Iterator[dict[str, Any]]:
    """All rows, following ``@odata.nextLink``."""
    while url:
        response = http.get(url)
        response.raise_for_status()
        page = response.json()
        yield from page["value"]
        url = page.get("@odata.nextLink", "")


def main() -> None:
    table = sys.argv[1] if len(sys.argv) > 1 else "customer"
    client = p21auth.default_client()
    with httpx.Client(auth=P21Auth(client), base_url=client.base_url, verify=client.ssl_context()) as http:
        try:
            count = sum(1 for _ in rows(http, f"/odataservice/odata/table/{table}?$count=true"))
        except httpx.HTTPStatusError as error:
            if error.response.status_code in (401, 403):
                sys.exit(client.report(error.response).hint)
            raise
    print(f"{count} rows")


if __name__ == "__main__":
    main()
