"""The client: tokens, settings, rejections, and what it never shows."""

from __future__ import annotations

import concurrent.futures
import gc
import logging
import pickle
import threading
import time
from datetime import timedelta
from pathlib import Path

import pytest

import p21auth
from p21auth import Client, TokenManager, Verdict, _log
from p21auth._native import lib
from p21auth.testing import CONSUMER_KEY, PASSWORD, Emulator, reset_default_client


def test_a_token_is_fetched_once_and_then_hit(emulator: Emulator, p21_client: Client) -> None:
    token = p21_client.get_token()
    assert all(p21_client.get_token() == token for _ in range(1000))
    assert p21_client.get_headers() == {
        "Authorization": f"Bearer {token}",
        "Content-Type": "application/json",
        "Accept": "application/json",
    }
    assert emulator.count("token.requests") == 1


def test_a_hit_does_not_cross_into_the_library(p21_client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    # The first call sees the word change under it, as it must; the second one learns its new value.
    token = p21_client.get_token() and p21_client.get_token()
    monkeypatch.setattr(p21_client, "_ask_token", lambda *_: pytest.fail("crossed"))
    assert p21_client.get_token() == token


def test_fifty_cold_threads_send_one_request(emulator: Emulator, p21_client: Client) -> None:
    emulator.hold()
    with concurrent.futures.ThreadPoolExecutor(50) as pool:
        tokens = [pool.submit(p21_client.get_token) for _ in range(50)]
        emulator.wait(held=1)
        emulator.release()
        assert len({token.result() for token in tokens}) == 1
    assert emulator.count("token.requests") == 1


def test_fifty_cold_threads_share_one_refusal(emulator: Emulator) -> None:
    client = emulator.client(password="wrong")

    def ask() -> p21auth.P21Error:
        with pytest.raises(p21auth.BadCredentialsError) as caught:
            client.get_token()
        return caught.value

    with concurrent.futures.ThreadPoolExecutor(50) as pool:
        errors = list(pool.map(lambda _: ask(), range(50)))
    assert {error.name for error in errors} == {"P21_E_UNAUTHORIZED"}
    assert len({id(error) for error in errors}) == 50
    assert emulator.count("token.requests") == 1
    again = ask()
    assert again.retry_after is not None and 0 < again.retry_after <= 60
    assert "next" in str(again)
    assert emulator.count("token.requests") == 1


def test_clients_of_one_identity_share_a_token_and_others_do_not(emulator: Emulator) -> None:
    first, second = emulator.client(), emulator.client(timeout=5)
    other = emulator.client(consumer_key=CONSUMER_KEY)
    assert first.get_token() == second.get_token() != other.get_token()
    assert emulator.count("token.requests") == 2


def test_a_rejected_token_is_replaced_once(emulator: Emulator, p21_client: Client) -> None:
    token = p21_client.get_token()
    verdicts = [
        p21_client.report(401, b"<TokenError>expired</TokenError>", token=token),
        p21_client.report(401, "<TokenError>expired</TokenError>", token="Bearer " + token),
    ]
    assert verdicts == [Verdict.RETRY, Verdict.RETRY]
    assert p21_client.get_token() != token
    assert emulator.count("token.requests") == 2


def test_other_rejections_keep_the_token(emulator: Emulator, p21_client: Client) -> None:
    token = p21_client.get_token()
    for status, body, verdict in [
        (401, '"You are not authorized to access API"', Verdict.PERMISSION),
        (403, "", Verdict.PERMISSION),
        (
            401,
            '{"Error":"invalid_request","Description":"Authorization header was not present or \'Bearer\' was missing."}',
            Verdict.HEADER_LOST,
        ),
        (500, "", Verdict.GIVE_UP),
    ]:
        assert p21_client.report(status, body, token=token) is verdict
    assert p21_client.get_token() == token
    assert "Allow OData API Service" in Verdict.PERMISSION.hint


def test_report_wants_a_response_with_a_token(p21_client: Client) -> None:
    with pytest.raises(p21auth.ConfigError, match="shows no token"):
        p21_client.report(401, b"")
    with pytest.raises(p21auth.ConfigError, match="a str is not a response"):
        p21_client.report("401")
    with pytest.raises(p21auth.ConfigError, match="999"):
        p21_client.report(999, b"", token="x")


def test_invalidate_drops_the_token_and_lifts_a_cool_down(emulator: Emulator, p21_client: Client) -> None:
    first = p21_client.get_token()
    p21_client.invalidate("another")
    assert p21_client.get_token() == first
    p21_client.invalidate()
    assert p21_client.get_token() != first
    wrong = emulator.client(username="late", password="late-password")
    with pytest.raises(p21auth.BadCredentialsError):
        wrong.get_token()
    emulator.config(users=[{"name": "late", "password": "late-password"}])
    with pytest.raises(p21auth.BadCredentialsError):
        wrong.get_token()
    wrong.invalidate()
    assert wrong.get_token()


def test_a_snapshot_stays_as_it_is(emulator: Emulator, p21_client: Client) -> None:
    held = p21_client.snapshot()
    assert held.access_token == held.get_token() == held["AccessToken"] == p21_client.get_token()
    assert held.get("UserName") == "demo" and held.get("Nothing", 1) == 1
    assert held.claims["sub"] == "demo"
    assert 86390 < held.expires_in <= 86400 and held.expires_at > 1_700_000_000
    assert held.get_headers()["Authorization"] == "Bearer " + held.access_token
    kept = held.access_token
    p21_client.invalidate()
    newer = p21_client.snapshot()
    assert held.access_token == kept != newer.access_token
    assert newer.generation > held.generation
    first, second = held.as_dict(), held.as_dict()
    assert first == second and first is not second
    assert kept not in repr(held)


def test_snapshot_options(emulator: Emulator, p21_client: Client) -> None:
    with pytest.raises(p21auth.NoCachedTokenError):
        p21_client.snapshot(cached_only=True)
    emulator.hold()
    with pytest.raises(p21auth.PendingError):
        p21_client.snapshot(no_wait=True)
    with pytest.raises(p21auth.P21TimeoutError) as caught:
        p21_client.snapshot(timeout=0.6)
    assert caught.value.retry_after == 0 and caught.value.retryable
    emulator.release()
    first = p21_client.snapshot()
    assert p21_client.snapshot(cached_only=True).access_token == first.access_token
    assert p21_client.snapshot(min_valid=0.5).access_token == first.access_token
    assert emulator.count("token.requests") == 1
    with pytest.raises(p21auth.ConfigError, match="exclude each other"):
        p21_client.snapshot(cached_only=True, no_wait=True)
    with pytest.raises(p21auth.ConfigError, match="min_valid"):
        p21_client.snapshot(min_valid=-1)


def test_force_refresh_brings_a_new_token(emulator: Emulator) -> None:
    client = emulator.client(min_refresh_interval_s=0)
    first = client.get_token()
    assert client.snapshot(force_refresh=True).access_token == client.get_token() != first


def test_an_update_changes_the_credentials_of_a_client_in_use(emulator: Emulator, p21_client: Client) -> None:
    first = p21_client.get_token()
    emulator.config(users=[{"name": "demo", "password": "changed"}])
    p21_client.update(password="changed")
    assert p21_client.get_token() != first
    with pytest.raises(p21auth.ConfigError):
        p21_client.update(timeout_ms="soon")
    # A failed update changes nothing, and the next one isn't spoilt by it.
    p21_client.update(timeout=timedelta(seconds=7))
    assert p21_client.stats()["options"]["timeout_ms"] == 7000
    p21_client.update(timeout=None)
    assert p21_client.stats()["options"]["timeout_ms"] == 30000


def test_addresses(emulator: Emulator) -> None:
    client = emulator.client(base_url=emulator.base_url + "/api/")
    assert client.base_url == emulator.base_url
    assert client.url("/odataservice/x") == client.url("odataservice/x") == emulator.base_url + "/odataservice/x"
    assert client.url("https://elsewhere.example/x") == "https://elsewhere.example/x"
    assert client.ui_url() == client.ui_url() == emulator.base_url + "/uiserver0"
    assert emulator.count("router.requests") == 1
    assert emulator.count("router.redirected") == 0


def test_options_as_users_of_httpx_write_them(tls_emulator: Emulator) -> None:
    login = {"base_url": tls_emulator.base_url, "username": "demo", "password": PASSWORD}
    assert tls_emulator.ca_file is not None
    for trust in (
        {"verify": False},
        {"verify_ssl": False},
        {"verify_ssl": "False"},
        {"verify": tls_emulator.ca_file},
        {"verify": Path(tls_emulator.ca_file)},
        {"ca_file": Path(tls_emulator.ca_file)},
        {"tls_pin_sha256": [tls_emulator.tls_pin_sha256, "00" * 32]},
    ):
        with Client(**login, **trust, timeout=10.5) as client:
            assert client.get_token()
            assert client.stats()["options"]["timeout_ms"] == 10500
    with Client(**login) as client, pytest.raises(p21auth.NetworkError, match="P21_E_TLS"):
        client.get_token()


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"pasword": "x"}, "Did you mean password"),
        ({"client_secret": "x"}, "Did you mean consumer_key"),
        ({"verify": object()}, "verify must be True, False or the path"),
        ({"verify_ssl": 1.5}, "verify_ssl must be True, False"),
        ({"timeout": "30"}, "timeout must be a number of seconds"),
        ({"verify": True, "tls_verify": True}, "tls_verify is given twice"),
        ({"username": "a\0b"}, "username contains a NUL character"),
        ({"password": "a\udc80b"}, "password is not valid Unicode text"),
        ({"username": object()}, "username cannot be a object"),
        ({"timeout_ms": 0}, "timeout_ms must be a whole number"),
        ({"refresh_margin_s": 1.5}, "refresh_margin_s must be a whole number"),
        ({"password": None}, "not configured: password"),
        ({"consumer_key": "k"}, "password and consumer_key are both set"),
    ],
)
def test_bad_options_say_what_to_do(options: dict[str, object], says: str) -> None:
    base: dict[str, object] = {"base_url": "https://p21.example.com", "username": "u", "password": "p"}
    with pytest.raises(p21auth.ConfigError) as caught:
        Client(**{**base, **options})
    assert says in str(caught.value)
    assert isinstance(caught.value, ValueError)


def test_the_environment_is_pythons(emulator: Emulator, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("P21_PLAY_BASE_URL", emulator.base_url)
    monkeypatch.setenv("P21_PLAY_CONSUMER_KEY", CONSUMER_KEY)
    monkeypatch.setenv("P21_PLAY_USERNAME", "someone")
    monkeypatch.setenv("P21_PLAY_CONSUMER_USERNAME", "demo")
    monkeypatch.setenv("P21_PLAY_VERIFY_SSL", "False")
    monkeypatch.setenv("P21_PLAY_PROXY", "")
    monkeypatch.setenv("P21_PLAY_SOMETHING_ELSE", "x")
    with Client.from_env("P21_PLAY_", timeout=3) as client:
        stats = client.stats()
        assert (stats["tls_verify"], stats["options"]["timeout_ms"]) == (False, 3000)
        assert client.snapshot()["UserName"] == "demo"
    monkeypatch.setenv("P21_PLAY_AUTH_MODE", "v2_password")
    monkeypatch.setenv("P21_PLAY_PASSWORD", "x")
    with TokenManager.from_env("P21_PLAY_") as manager:
        assert manager.username == "someone"
    with pytest.raises(p21auth.ConfigError, match="P21_BASE_URL"):
        Client.from_env()
    with pytest.raises(p21auth.ConfigError, match="P21_TEST_BASE_URL and either P21_TEST_USERNAME and"):
        Client.from_env("P21_TEST_")


def test_a_file_configures_a_client(emulator: Emulator, tmp_path: Path) -> None:
    file = tmp_path / ".env"
    file.write_text(
        f"P21_BASE_URL={emulator.base_url}\nP21_USERNAME=demo\nP21_PASSWORD='{PASSWORD}'\n"
        "P21_TIMEOUT_MS=4000\nP21_ALLOWED_HOSTS=other.example.com\n",
        encoding="utf-8",
    )
    with Client.from_file(file) as client:
        assert client.get_token()
        assert client._timeout() == 4.0
        client.update(timeout=2)
        assert client.get_token() and client._timeout() == 2.0
    with pytest.raises(p21auth.ConfigError, match="cannot be read"):
        Client.from_file(tmp_path / "missing.env")


def test_the_default_client_comes_from_the_environment(emulator: Emulator, monkeypatch: pytest.MonkeyPatch) -> None:
    reset_default_client()
    with pytest.raises(p21auth.ConfigError, match="P21_BASE_URL"):
        p21auth.default_client()
    for name, value in emulator.options().items():
        monkeypatch.setenv(f"P21_{name.upper()}", value)
    client = p21auth.default_client()
    assert client is p21auth.default_client()
    assert client.get_token()
    client.close()
    with p21auth.default_client() as another:
        assert another is not client and another.get_token()
    reset_default_client()


def test_a_closed_client_says_so(emulator: Emulator) -> None:
    client = emulator.client()
    client.get_token()
    client.close()
    client.close()
    for call in (client.get_token, client.snapshot, client.ui_url, client.stats, client.invalidate, client.update):
        with pytest.raises(p21auth.ClosedError):
            call()
    assert "closed" in repr(client)


def test_closing_ends_the_calls_that_wait(emulator: Emulator) -> None:
    emulator.hold()
    client = emulator.client()
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(client.get_token)
        emulator.wait(held=1)
        client.close()
        with pytest.raises(p21auth.ClosedError):
            waiting.result(timeout=20)
    emulator.release()


def test_nothing_native_is_left_behind(emulator: Emulator) -> None:
    gc.collect()
    before = lib.p21_live_objects()
    client = emulator.client()
    client.get_token()
    client.snapshot()
    client.ui_url()
    client.stats()
    with pytest.raises(p21auth.ConfigError):
        emulator.client(pasword="x")
    with pytest.raises(p21auth.BadCredentialsError):
        emulator.client(password="x").get_token()
    p21auth.parse_token_response(b'{"AccessToken":"abc"}')
    del client
    gc.collect()
    assert lib.p21_live_objects() == before


def test_clients_and_snapshots_are_not_pickled(p21_client: Client) -> None:
    for thing, says in [
        (p21_client, "a p21auth Client cannot be pickled: it belongs to this process. Open one in each process"),
        (p21_client.snapshot(), "a p21auth Snapshot cannot be pickled: it holds a secret"),
    ]:
        with pytest.raises(TypeError, match=says):
            pickle.dumps(thing)


def test_errors_travel_between_processes(emulator: Emulator) -> None:
    with pytest.raises(p21auth.BadCredentialsError) as caught:
        emulator.client(password="wrong").get_token()
    copy = pickle.loads(pickle.dumps(caught.value))
    assert type(copy) is p21auth.BadCredentialsError
    assert (str(copy), copy.code, copy.http_status, copy.hint) == (
        str(caught.value),
        151,
        401,
        caught.value.hint,
    )


def test_no_secret_shows(emulator: Emulator, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(1)
    password = "planted-pass-word-1"
    client = emulator.client(password=password)
    with pytest.raises(p21auth.BadCredentialsError) as caught:
        client.get_token()
    good = emulator.client()
    token = good.get_token()
    good.report(401, f"<TokenError>{token}</TokenError>", token=token)
    shown = " ".join(
        [repr(client), repr(client._options), str(client.stats()), repr(caught.value), caplog.text]
        + [repr(good), str(good.stats()), str(vars(good)["_options"])]
    )
    assert password not in shown and token not in shown and PASSWORD not in shown
    assert "token.failed" in caplog.text


def test_events_go_through_logging(emulator: Emulator, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "p21auth")
    client = emulator.client()
    token = client.get_token()
    client.report(401, "<TokenError/>", token=token)
    wanted = {("p21auth", "INFO", "token.refreshed"), ("p21auth", "INFO", "token.rejected")}
    deadline = time.monotonic() + 20
    while wanted - {(record.name, record.levelname, record.p21_event) for record in caplog.records}:  # type: ignore[attr-defined]
        # The library writes the first of them just after it has let the waiters go.
        assert time.monotonic() < deadline, caplog.text
        _log.drain()
    caplog.clear()
    caplog.set_level(logging.CRITICAL, "p21auth")
    client.get_token()
    assert not caplog.records


def test_a_log_handler_may_fetch_a_token(emulator: Emulator) -> None:
    client = emulator.client()

    class Reporting(logging.Handler):
        seen = 0

        def emit(self, record: logging.LogRecord) -> None:
            Reporting.seen += 1
            client.snapshot()

    logger, handler = logging.getLogger("p21auth"), Reporting()
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    try:
        assert client.get_token()
    finally:
        logger.removeHandler(handler)
        logger.setLevel(logging.NOTSET)
    assert Reporting.seen


def test_an_own_token_needs_no_server() -> None:
    with Client(base_url="https://p21.example.com", access_token="Bearer abc") as client:
        assert client.get_token() == "abc"
        held = client.snapshot()
        assert held.expires_in > 1_000_000 and held["AccessToken"] == "abc"
        assert client.report(401, "<TokenError/>", token="abc") is Verdict.GIVE_UP


def test_the_ssl_context_has_the_clients_trust(tls_emulator: Emulator) -> None:
    import ssl
    import urllib.request

    def fetch(context: ssl.SSLContext) -> int:
        opener = urllib.request.build_opener(urllib.request.HTTPSHandler(context=context))
        with opener.open(tls_emulator.base_url + "/", timeout=20) as response:
            return int(response.status)

    assert fetch(tls_emulator.client().ssl_context()) == 200
    assert fetch(tls_emulator.client(verify=False).ssl_context()) == 200
    assert fetch(tls_emulator.client(tls_pin_sha256=tls_emulator.tls_pin_sha256).ssl_context()) == 200
    for wrong in ({"tls_pin_sha256": "ab" * 32}, {"verify": True}):
        with pytest.raises(OSError, match=r"pin|CERTIFICATE_VERIFY_FAILED"):
            fetch(tls_emulator.client(**wrong).ssl_context())


def test_threads_that_wait_see_an_update(emulator: Emulator) -> None:
    emulator.hold()
    client = emulator.client(password="old")
    got: list[str] = []
    waiting = threading.Thread(target=lambda: got.append(client.get_token()))
    waiting.start()
    emulator.wait(held=1)
    client.update(password=PASSWORD)
    emulator.wait(held=2)
    emulator.release()
    waiting.join(timeout=20)
    assert got == [client.get_token()]


def test_the_examination_uses_the_token_of_this_process(emulator: Emulator, p21_client: Client) -> None:
    token = p21_client.get_token()
    options = {"base_url": emulator.base_url, "username": "demo", "password": PASSWORD}
    report = p21auth.doctor(use_token=True, **options)
    assert report["ok"] and report["token_requests"] == 0 and token not in str(report)
    assert {"configuration", "token", "odata"} <= {step["id"] for step in report["steps"]}
    assert emulator.count("token.requests") == 1 and p21_client.get_token() == token


def test_what_does_not_work_is_a_step_of_the_examination() -> None:
    steps = p21auth.doctor(base_url="http://127.0.0.1:9", username="u", password="p", wait=20)["steps"]
    assert next(step["code"] for step in steps if step["outcome"] == "fail") == "P21_E_CONNECT"
    steps = p21auth.doctor(base_url="http://127.0.0.1:9", pasword="p")["steps"]  # type: ignore[call-arg]
    assert steps[0]["outcome"] == "fail" and "password" in str(steps[0]["do"])
