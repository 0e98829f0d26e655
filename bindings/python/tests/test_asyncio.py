"""Event loops: one thread and one request for all tasks, no matter what happens to some of them."""

from __future__ import annotations

import _thread
import asyncio
import concurrent.futures
import threading
import time

import pytest

import p21auth
from p21auth import Client, _waits
from p21auth.testing import CONSUMER_KEY, PASSWORD, Emulator


def waiting_threads() -> int:
    return _waits._pool.threads


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
    # One call of the library's, in slices.
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


def test_a_loop_that_ends_early_harms_no_one(emulator: Emulator, p21_client: Client) -> None:
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


def test_different_calls_are_shared_too(emulator: Emulator, p21_client: Client) -> None:
    async def main() -> None:
        emulator.hold()
        tasks = [
            asyncio.ensure_future(call())
            for call in (p21_client.aget_token, p21_client.asnapshot, p21_client.aui_url)
            for _ in range(10)
        ]
        await held(emulator)
        assert waiting_threads() <= 3
        emulator.release()
        await asyncio.gather(*tasks)

    asyncio.run(main())
    assert (emulator.count("token.requests"), emulator.count("router.requests")) == (1, 1)


@pytest.fixture
def hung_router(emulator: Emulator, p21_client: Client) -> Client:
    """A client with a token, whose server holds back what it is asked about the UI server."""
    p21_client.get_token()
    emulator.hold(path="/api/ui/router/v1/")
    return p21_client


AT_HAND = {
    "cached_only": lambda client: client.asnapshot(cached_only=True),
    "no_wait": lambda client: client.asnapshot(no_wait=True),
    "asnapshot": lambda client: client.asnapshot(),
    "min_valid": lambda client: client.asnapshot(min_valid=600),
    "aget_token": lambda client: client.aget_token(),
    "aget_headers": lambda client: client.aget_headers(),
    "areport": lambda client: client.areport(403, "", token="x"),
}


@pytest.mark.parametrize("call", AT_HAND)
def test_what_is_at_hand_waits_for_no_one(call: str, emulator: Emulator, hung_router: Client) -> None:
    """Not even for a thread: the task that asks is done before any other task has run."""

    async def main() -> None:
        url = asyncio.ensure_future(hung_router.aui_url())
        await held(emulator)
        hung_router._hit = (0, float("-inf"), "")  # as after a minute
        others = []
        asyncio.get_running_loop().call_soon(others.append, True)
        assert await AT_HAND[call](hung_router)
        assert not others and not url.done()
        emulator.release()
        await url

    asyncio.run(main())


def test_a_cold_token_stands_behind_no_hung_wait(emulator: Emulator, hung_router: Client) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        clients = [emulator.client(user_agent=str(number)) for number in range(40)]
        hung = [asyncio.ensure_future(client.aui_url()) for client in clients]
        await held(emulator)
        cold = emulator.client(consumer_key=CONSUMER_KEY)
        began = loop.time()
        tokens = await asyncio.gather(*(cold.aget_token() for _ in range(10)))
        assert len(set(tokens)) == 1 and not any(url.done() for url in hung)
        # A second or so on a busy machine; what hangs would hang for 30.
        assert loop.time() - began < 10
        assert waiting_threads() <= 16
        emulator.release()
        assert len(set(await asyncio.gather(*hung))) == 1

    asyncio.run(main())


def test_first_tokens_of_500_users_cost_few_threads(emulator: Emulator, monkeypatch: pytest.MonkeyPatch) -> None:
    # Its threads are counted, not those of an earlier test.
    monkeypatch.setattr(_waits, "_pool", _waits._Pool())
    users = [{"name": f"user{number}", "password": PASSWORD} for number in range(500)]
    emulator.config(users=users)
    clients = [emulator.client(username=user["name"]) for user in users]

    async def main() -> None:
        emulator.hold()
        before = _thread._count()
        tasks = [asyncio.ensure_future(client.aget_token()) for client in clients for _ in range(2)]
        started = _thread._count()
        await held(emulator, 500)
        # But for the one that has just counted.
        assert _thread._count() - before <= 17 and started - before <= 17
        emulator.release()
        assert len(set(await asyncio.gather(*tasks))) == 500

    asyncio.run(main())
    assert emulator.count("token.requests") == 500
    deadline = time.monotonic() + 20
    while waiting_threads():
        assert time.monotonic() < deadline


def test_a_forced_refresh_is_one_request_however_long_it_takes(emulator: Emulator) -> None:
    client = emulator.client(min_refresh_interval_s=0)
    first = client.get_token()
    emulator.config(latency_ms=600)

    async def main() -> set[str]:
        taken = await asyncio.gather(*(client.asnapshot(force_refresh=True) for _ in range(10)))
        return {snapshot.access_token for snapshot in taken}

    (token,) = asyncio.run(main())
    assert token != first
    assert emulator.count("token.requests") == 2
    assert client.snapshot(force_refresh=True).access_token != token
    assert emulator.count("token.requests") == 3


def test_each_task_waits_as_long_as_it_said(emulator: Emulator, p21_client: Client) -> None:
    """Though they share the wait: the patient one outlives the time of the one that began it."""

    async def main() -> None:
        emulator.hold()
        impatient = asyncio.ensure_future(p21_client.asnapshot(timeout=0.3))
        patient = asyncio.ensure_future(p21_client.asnapshot(timeout=30))
        with pytest.raises(p21auth.P21TimeoutError):
            await impatient
        emulator.release()
        assert (await patient).access_token

    asyncio.run(main())
    assert emulator.count("token.requests") == 1


@pytest.mark.parametrize("asynchronous", [False, True])
@pytest.mark.parametrize(
    ("lifetime_s", "options", "min_valid"), [(6, {}, 60), (1000, {"max_token_age_s": 2}, 0)], ids=["too short", "too old"]
)
def test_a_slow_server_does_not_shorten_what_was_asked_for(
    lifetime_s: int, options: dict[str, int], min_valid: int, asynchronous: bool, emulator: Emulator
) -> None:
    """The library falls back on an older token when its time is up; a slice is not the time of the call."""
    emulator.config(lifetime_s=lifetime_s)
    client = emulator.client(**options)
    first = client.get_token()
    emulator.config(lifetime_s=1000, latency_ms=700)
    # Half its lifetime, before which the clock asks for no other; and its greatest age.
    time.sleep(3.2 if min_valid else 2.1)
    snapshot = asyncio.run(client.asnapshot(min_valid)) if asynchronous else client.snapshot(min_valid)
    assert snapshot.access_token != first
    assert emulator.count("token.requests") == 2


def test_without_a_thread_no_one_waits_endlessly(
    emulator: Emulator, p21_client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_more(*_: object) -> None:
        raise RuntimeError("can't start new thread")

    async def main() -> None:
        with monkeypatch.context() as patch:
            # Threads of an earlier test would serve this one.
            patch.setattr(_waits, "_pool", _waits._Pool())
            patch.setattr(_thread, "start_new_thread", no_more)
            with pytest.raises(RuntimeError, match="can't start new thread"):
                await p21_client.aget_token()
        assert await p21_client.aget_token()

    asyncio.run(main())
    assert emulator.count("token.requests") == 1
