"""A token that another program has fetched, such as one that your web front end hands on. No token request is ever made.

P21_BASE_URL=… P21_ACCESS_TOKEN=… python own_token.py
"""

from __future__ import annotations

import httpx

import p21auth


def main() -> None:
    with p21auth.Client.from_env() as client:
        try:
            headers = client.get_headers()
        except p21auth.TokenExpiredError as error:
            # client.update(access_token=…) supplies a new one; with access_token_file the library looks itself.
            print(error)
            return
        url = client.url("/odataservice/odata/table/customer")
        response = httpx.get(url, headers=headers, verify=client.ssl_context())
        print(response.status_code, client.ui_url().removeprefix(client.base_url))


if __name__ == "__main__":
    main()
