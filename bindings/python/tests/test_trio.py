"""trio, and anyio on either: every method that begins with ``a``, cold and warm, shared and canceled."""

from __future__ import annotations

import threading
from collections.abc import Awaitable, Callable
from typing import Any

import httpx
import pytest

import p21auth
from p21auth import Client
from p21auth.httpx import P21Auth
from p21auth.testing import Emulator

trio = pytest.importorskip("trio")
anyio = pytest.importorskip("anyio")

TABLE = "/odataservice/odata/table/customer"
LOOPS: dict[str, Callable[[Callable[[], Awaitable[Any]]], Any]] = {
    "trio": trio.run,
    "anyio on trio": lambda main: anyio.run(main, backend="trio"),
    "anyio on asyncio": lambda main: anyio.run(main, backend="asyncio"),
}
pytestmark = pytest.mark.parametrize("loop", LOOPS)

CALLS: dict[str, Callable[[Client], Awaitable[Any]]] = {
    "aget_token": lambda client: client.aget_token(),
    "aget_headers": lambda client: client.aget_headers(),
    "asnapshot": lambda client: client.asnapshot(),
    "min_valid": lambda client: client.asnapshot(min_valid=60),
    "force_refresh": lambda client: client.asnapshot(force_refresh=True),
    "aui_url": lambda client: client.aui_url(),
}


async def held(emulator: Emulator, count: int = 1) -> None:
    await anyio.to_thread.run_sync(lambda: emulator.wait(held=count))


@pytest.mark.parametrize("call", CALLS)
def test_every_method_cold_and_warm(call: str, loop: str, emulator: Emulator, p21_client: Client) -> None:
    async def main() -> None:
        emulator.hold()
        results: list[Any] = []

        async def ask() -> None:
            results.append(await CALLS[call](p21_client))

        async with anyio.create_task_group() as group:
            for _ in range(50):
                group.start_soon(ask)
            # The loop goes on meanwhile.
            await held(emulator)
            emulator.release()
        assert len({str(result) for result in results}) == 1 and len(results) == 50
        await ask()
        await p21_client.asnapshot(cached_only=True)

    LOOPS[loop](main)
    # The last of the forced ones was held back by min_refresh_interval_s.
    assert emulator.count("token.requests") == 1


def test_areport_reads_what_must_be_awaited(loop: str, emulator: Emulator, p21_client: Client) -> None:
    async def main() -> None:
        headers = await p21_client.aget_headers()
        emulator.revoke()
        async with httpx.AsyncClient() as http, http.stream("GET", p21_client.url(TABLE), headers=headers) as answer:
            assert await p21_client.areport(answer) is p21auth.Verdict.RETRY

    LOOPS[loop](main)


def test_httpx_gets_its_header_and_its_second_try(loop: str, emulator: Emulator) -> None:
    async def main() -> None:
        async with emulator.client(min_refresh_interval_s=0) as client:
            async with httpx.AsyncClient(auth=P21Auth(client), base_url=client.base_url) as http:
                assert (await http.get(TABLE)).status_code == 200
                emulator.revoke()
                assert (await http.get(TABLE)).status_code == 200

    LOOPS[loop](main)
    assert emulator.count("token.requests") == 2


def test_a_cancelled_task_leaves_the_others(loop: str, emulator: Emulator, p21_client: Client) -> None:
    async def main() -> None:
        emulator.hold()
        tokens = []

        async def ask() -> None:
            tokens.append(await p21_client.aget_token())

        async with anyio.create_task_group() as group:
            for _ in range(5):
                group.start_soon(ask)
            with anyio.move_on_after(0.05) as scope:
                await ask()
            assert scope.cancelled_caught and not tokens
            emulator.release()
        assert len(tokens) == 5

    LOOPS[loop](main)
    assert emulator.count("token.requests") == 1


def test_errors_are_shared_but_not_their_tracebacks(loop: str, emulator: Emulator) -> None:
    async def main() -> None:
        client = emulator.client(password="wrong")
        errors = []

        async def ask() -> None:
            with pytest.raises(p21auth.BadCredentialsError) as caught:
                await client.aget_token()
            errors.append(caught.value)

        async with anyio.create_task_group() as group:
            for _ in range(50):
                group.start_soon(ask)
        assert len({id(error) for error in errors}) == 50

    LOOPS[loop](main)
    assert emulator.count("token.requests") == 1


def test_a_loop_that_ends_early_harms_no_one(loop: str, emulator: Emulator, p21_client: Client) -> None:
    async def main() -> None:
        emulator.hold()
        with anyio.move_on_after(0.05):
            await p21_client.aget_token()

    LOOPS[loop](main)
    emulator.release()
    assert p21_client.get_token()
    assert emulator.count("token.requests") == 1
    assert not [thread for thread in threading.enumerate() if "trio" in thread.name and not thread.daemon]
