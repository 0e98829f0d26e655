"""Event loops: one thread and one request for all tasks, whatever happens to some of them."""

from __future__ import annotations

import asyncio
import concurrent.futures
import threading

import pytest

import p21auth
from p21auth import Client
from p21auth.testing import Emulator


def waiting_threads() -> int:
    return sum(thread.name == "p21auth-wait" for thread in threading.enumerate())


async def held(emulator: Emulator, count: int = 1) -> None:
    await asyncio.get_running_loop().run_in_executor(None, lambda: emulator.wait(held=count))


def test_a_thousand_cold_tasks_use_one_thread_and_one_request(emulator: Emulator, p21_client: Client) -> None:
    async def main() -> set[str]:
        emulator.hold()
        tasks = [asyncio.ensure_future(p21_client.aget_token()) for _ in range(1000)]
        await held(emulator)
        assert waiting_threads() == 1
        emulator.release()
        return set(await asyncio.gather(*tasks))

    assert len(asyncio.run(main())) == 1
    assert emulator.count("token.requests") == 1
    assert p21_client.stats()["counters"]["shared_waits"] == 0


def test_a_hit_uses_no_thread(p21_client: Client) -> None:
    p21_client.get_token()
    p21_client.get_token()

    async def main() -> None:
        before = threading.active_count()
        assert await p21_client.aget_token() == p21_client.get_token()
        assert threading.active_count() == before

    asyncio.run(main())


def test_a_cancelled_task_leaves_the_others(emulator: Emulator, p21_client: Client) -> None:
    async def main() -> None:
        emulator.hold()
        tasks = [asyncio.ensure_future(p21_client.aget_token()) for _ in range(10)]
        await held(emulator)
        for task in tasks[:5]:
            task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await tasks[0]
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(p21_client.aget_token(), 0.05)
        emulator.release()
        assert len(set(await asyncio.gather(*tasks[5:]))) == 1
        assert all(task.cancelled() for task in tasks[:5])

    asyncio.run(main())
    assert emulator.count("token.requests") == 1


def test_loops_in_several_threads_share_one_request(emulator: Emulator, p21_client: Client) -> None:
    async def ask() -> set[str]:
        return set(await asyncio.gather(*(p21_client.aget_token() for _ in range(20))))

    emulator.hold()
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        results = [pool.submit(lambda: asyncio.run(ask())) for _ in range(4)]
        emulator.wait(held=1)
        emulator.release()
        assert len(set().union(*(result.result() for result in results))) == 1
    assert emulator.count("token.requests") == 1


def test_a_loop_that_ends_early_harms_nobody(emulator: Emulator, p21_client: Client) -> None:
    async def give_up() -> None:
        emulator.hold()
        asyncio.ensure_future(p21_client.aget_token())  # noqa: RUF006
        await held(emulator)

    asyncio.run(give_up())
    emulator.release()
    assert asyncio.run(p21_client.aget_token()) == p21_client.get_token()
    assert emulator.count("token.requests") == 1


def test_errors_are_shared_but_not_their_tracebacks(emulator: Emulator) -> None:
    async def main() -> list[BaseException]:
        client = emulator.client(password="wrong")
        return await asyncio.gather(*(client.aget_token() for _ in range(50)), return_exceptions=True)  # type: ignore[return-value]

    errors = asyncio.run(main())
    assert {type(error) for error in errors} == {p21auth.BadCredentialsError}
    assert len({id(error) for error in errors}) == 50
    assert emulator.count("token.requests") == 1


def test_the_other_calls(emulator: Emulator) -> None:
    async def main() -> None:
        async with emulator.client() as client:
            headers, held_token, url = await asyncio.gather(
                client.aget_headers(), client.asnapshot(min_valid=60), client.aui_url()
            )
            assert headers == held_token.get_headers() and url == emulator.base_url + "/uiserver0"
            verdict = await client.areport(401, "<TokenError/>", token=held_token.access_token)
            assert verdict is p21auth.Verdict.RETRY
            with pytest.raises(p21auth.NoCachedTokenError):
                await client.asnapshot(cached_only=True)
        with pytest.raises(p21auth.ClosedError):
            await client.aget_token()

    asyncio.run(main())


def test_different_calls_take_turns_on_one_thread(emulator: Emulator, p21_client: Client) -> None:
    async def main() -> None:
        emulator.hold()
        tasks = [
            asyncio.ensure_future(call)
            for call in (p21_client.aget_token(), p21_client.asnapshot(), p21_client.aui_url(), p21_client.aget_token())
        ]
        await held(emulator)
        assert waiting_threads() == 1
        emulator.release()
        await asyncio.gather(*tasks)

    asyncio.run(main())
    assert (emulator.count("token.requests"), emulator.count("router.requests")) == (1, 1)


def test_without_a_thread_nobody_waits_for_ever(
    emulator: Emulator, p21_client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_more(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    async def main() -> None:
        with monkeypatch.context() as patch:
            patch.setattr(threading.Thread, "start", no_more)
            with pytest.raises(RuntimeError, match="can't start new thread"):
                await p21_client.aget_token()
        assert await p21_client.aget_token()

    asyncio.run(main())
    assert emulator.count("token.requests") == 1
