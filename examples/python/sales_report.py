"""A report with pandas, in cells as notebooks and editors have them (``# %%``). It works as a script too.

A notebook's kernel lives for days. The client renews its token behind the scenes, so a cell that worked in the morning
works in the evening; with asyncio, ``await client.aget_token()`` may stand in a cell by itself.

P21_BASE_URL=… P21_USERNAME=… P21_PASSWORD=… python sales_report.py
"""

from __future__ import annotations

# %% one client for the life of the kernel
from collections.abc import Iterator
from typing import Any

import httpx
import pandas as pd

import p21auth
from p21auth.httpx import P21Auth

p21 = p21auth.default_client()
http = httpx.Client(auth=P21Auth(p21), base_url=p21.base_url, verify=p21.ssl_context(), timeout=60)


# %% a table as a frame, page by page
def rows(table: str, **query: str) -> Iterator[dict[str, Any]]:
    url, parameters = f"/odataservice/odata/table/{table}", {f"${name}": value for name, value in query.items()} or None
    while url:
        page = http.get(url, params=parameters).raise_for_status().json()
        yield from page["value"]
        url, parameters = page.get("@odata.nextLink", ""), None


customers = pd.DataFrame(rows("customer", select="customer_id,credit_status,credit_limit"))

# %% what it says
report = customers.groupby("credit_status")["credit_limit"].agg(["count", "sum"]).sort_index()
print(report)

# %% at the end
http.close()
