"""What the package does, on one page: run by ``make demo``. Needs nothing but Python; ends with 1 if a figure is wrong."""

from __future__ import annotations

import asyncio
import concurrent.futures
import sys

import p21auth
from p21auth import testing

wrong = 0


def show(what: str, seen: object, expected: object) -> None:
    global wrong
    wrong += seen != expected
    print(f"  {what:<58} {seen}{'' if seen == expected else f'   EXPECTED {expected}'}")


with testing.Emulator(tls="good") as emulator:
    print(f"Python {sys.version.split()[0]} against an emulated P21 server at {emulator.base_url}")
    options = emulator.options(min_refresh_interval_s=0)
    client = p21auth.Client(**options)

    with concurrent.futures.ThreadPoolExecutor(50) as pool:
        tokens = set(pool.map(lambda _: client.get_token(), range(500)))
    show("500 calls from 50 threads over TLS, token requests", emulator.count("token.requests"), 1)
    show("different tokens", len(tokens), 1)

    async def tasks() -> int:
        return len(set(await asyncio.gather(*(client.aget_token() for _ in range(1000)))))

    show("1,000 asyncio tasks, different tokens", asyncio.run(tasks()), 1)
    data = p21auth.get_token_v2(**options)
    show("get_token_v2 of the community guide shares that token", data["AccessToken"] in tokens, True)
    show("UI server", p21auth.get_ui_server_url(emulator.base_url, data), f"{emulator.base_url}/uiserver0")

    emulator.revoke()
    verdict = client.report(401, "<TokenError>expired</TokenError>", token=client.get_token())
    show("a revoked token is reported; what to do", verdict.name, "RETRY")
    show("a new token comes", client.get_token() not in tokens, True)
    show("token requests now", emulator.count("token.requests"), 2)

    refused = emulator.client(password="wrong")
    for _ in range(20):
        try:
            refused.get_token()
        except p21auth.BadCredentialsError as error:
            said = str(error)
    show("20 calls with a wrong password, requests", emulator.count("token.refused"), 1)
    print(f"    {said}")

sys.exit(1 if wrong else 0)
