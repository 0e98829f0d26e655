"""Measures the package beside its peers, in one run, and writes the rows "Python" of ``benches/RESULTS.md``.

    bindings/python/bench.sh

Peers get the same server: it answers each token request after 50 ms. The guide's functions are written here after its pages,
not copied. Figures are ratios of one machine and one run; never a test.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import datetime
import http.server
import importlib.metadata
import json
import resource
import statistics
import subprocess
import sys
import threading
import time
import timeit
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx

import p21auth
from p21auth.testing import PASSWORD, Emulator

ROOT = Path(__file__).resolve().parents[2]
LATENCY_S = 0.05
THREADS, SHORT_CALLS, SHORT_LIFE_S = 50, 20, 60
Ask = Callable[[], Any]


class Server:
    """A token endpoint in the words of P21 and of OAuth, that counts."""

    def __init__(self) -> None:
        self.requests, self.life, self.refuse = 0, 86400, False
        lock = threading.Lock()
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            wbufsize = -1  # one packet for an answer

            def log_message(self, *_: Any) -> None:
                pass

            def do_POST(self) -> None:
                self.rfile.read(int(self.headers.get("Content-Length") or 0))
                with lock:
                    outer.requests += 1
                    number = outer.requests
                time.sleep(LATENCY_S)
                token = f"token-{number}-" + "x" * 880
                body: dict[str, Any] = {"error": "invalid_client"}
                if not outer.refuse:
                    body = {"AccessToken": token, "ExpiresInSeconds": outer.life, "TokenType": "Bearer"}
                    body |= {"access_token": token, "expires_in": outer.life, "token_type": "Bearer"}
                data = json.dumps(body).encode()
                self.send_response(401 if outer.refuse else 200)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

        class Backlogged(http.server.ThreadingHTTPServer):
            request_queue_size = 512

        self.server = Backlogged(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def reset(self, *, life: int = 86400, refuse: bool = False) -> None:
        self.requests, self.life, self.refuse = 0, life, refuse


# --- the peers: each function makes one that is cold, and answers how a caller gets a token or header


def guide(server: Server) -> Ask:
    class TokenManager:
        """After the community guide's page: the dict, the time it came, five minutes of margin."""

        def __init__(self) -> None:
            self.data: dict[str, Any] | None = None
            self.acquired = 0.0

        def valid(self) -> bool:
            if self.data is None:
                return False
            try:
                life = int(self.data.get("ExpiresInSeconds", self.data.get("ExpiresIn", 0)))
            except (TypeError, ValueError):
                life = 3600
            return time.time() - self.acquired < life - 300

        def get_token(self) -> str:
            if not self.valid():
                login = {"username": "demo", "password": PASSWORD}
                response = httpx.post(f"{server.url}/api/security/token/v2", json=login)
                response.raise_for_status()
                self.data, self.acquired = response.json(), time.time()
            assert self.data is not None
            return str(self.data["AccessToken"])

    return TokenManager().get_token


_fresh = iter(range(1_000_000))


def identity() -> dict[str, Any]:
    """Another user each time, so that every run starts cold."""
    return {"username": f"user{next(_fresh)}", "password": PASSWORD}


def our_manager(server: Server) -> Ask:
    return p21auth.TokenManager(server.url, **identity()).get_token


def our_function(server: Server) -> Ask:
    who = identity()
    return lambda: p21auth.get_token_v2(server.url, **who)


def msal_client(server: Server) -> Ask:
    import msal

    class Response:
        def __init__(self, status: int, body: Any) -> None:
            self.status_code, self.text, self.headers = status, json.dumps(body), {}

        def raise_for_status(self) -> None:
            pass

    class Http:
        def get(self, *_: Any, **__: Any) -> Response:
            base = "https://login.microsoftonline.com/tenant/oauth2/v2.0"
            return Response(200, {"authorization_endpoint": f"{base}/authorize", "token_endpoint": f"{base}/token",
                                  "issuer": "https://login.microsoftonline.com/tenant/v2.0"})  # fmt: skip

        def post(self, *_: Any, **__: Any) -> Response:
            answer = httpx.post(server.url)
            return Response(answer.status_code, answer.json())

        def close(self) -> None:
            pass

    application = msal.ConfidentialClientApplication(
        "id",
        client_credential="secret",
        authority="https://login.microsoftonline.com/tenant",
        http_client=Http(),
        instance_discovery=False,
    )
    return lambda: application.acquire_token_for_client(["https://api/.default"])["access_token"]


def azure_core(server: Server) -> Ask:
    from azure.core.credentials import AccessToken
    from azure.core.pipeline import PipelineContext, PipelineRequest
    from azure.core.pipeline.policies import BearerTokenCredentialPolicy
    from azure.core.rest import HttpRequest

    class Credential:
        def get_token(self, *_: str, **__: Any) -> AccessToken:
            response = httpx.post(server.url)
            response.raise_for_status()
            body = response.json()
            return AccessToken(body["access_token"], int(time.time()) + body["expires_in"])

    policy = BearerTokenCredentialPolicy(Credential(), "scope")
    request = HttpRequest("GET", "https://api.example/")

    def ask() -> None:
        policy.on_request(PipelineRequest(request, PipelineContext(None)))

    return ask


def google_auth(server: Server) -> Ask:
    import google.auth.transport.requests
    from google.oauth2.credentials import Credentials

    credentials = Credentials(None, refresh_token="r", token_uri=server.url, client_id="id", client_secret="secret")
    transport = google.auth.transport.requests.Request()
    return lambda: credentials.before_request(transport, "GET", "https://api.example/", {})


def botocore_credentials(server: Server) -> Ask:
    from botocore.credentials import DeferredRefreshableCredentials

    def refresh() -> dict[str, str]:
        response = httpx.post(server.url)
        response.raise_for_status()
        body = response.json()
        expires = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(seconds=body["expires_in"])
        token = body["access_token"]
        return {"access_key": "a", "secret_key": "s", "token": token, "expiry_time": expires.isoformat()}

    credentials = DeferredRefreshableCredentials(refresh, "bench")
    return lambda: credentials.get_frozen_credentials().token


def authlib_session(server: Server) -> Ask:
    from authlib.integrations.requests_client import OAuth2Session

    session = OAuth2Session("id", "secret", token_endpoint=server.url, grant_type="client_credentials", leeway=300)
    session.metadata["grant_type"] = "client_credentials"

    def ask() -> Any:
        if not session.token:
            session.fetch_token()
        session.ensure_active_token(session.token)
        return session.token["access_token"]

    return ask


PEERS: list[tuple[str, str, Callable[[Server], Ask]]] = [
    ("**p21auth** `TokenManager.get_token`", "p21auth", our_manager),
    ("**p21auth** `get_token_v2` (a dict)", "p21auth", our_function),
    ("the guide's `TokenManager`, pure Python", "httpx", guide),
    ("authlib `OAuth2Session.ensure_active_token`", "authlib", authlib_session),
    ("azure-core `BearerTokenCredentialPolicy`", "azure-core", azure_core),
    ("google-auth `before_request`", "google-auth", google_auth),
    ("botocore `get_frozen_credentials`", "botocore", botocore_credentials),
    ("MSAL Python `acquire_token_for_client`", "msal", msal_client),
]


# --- what is measured


#: Nanoseconds a call, by the wall clock and of the processor.
Cost = tuple[float, float]
#: Makes this many calls.
Calls = Callable[[int], Any]


def calls_of(ask: Ask) -> Calls:
    return timeit.Timer(ask).timeit


def awaits_of(ask: Callable[[], Any]) -> Calls:
    """In one task of one event loop."""

    async def many(number: int) -> None:
        for _ in range(number):
            await ask()

    loop = asyncio.new_event_loop()
    return lambda number: loop.run_until_complete(many(number))


def costs(subjects: list[Calls]) -> list[Cost]:
    """Medians of rounds by turns, so that a busy machine is unfair to all alike."""
    rounds: list[list[Cost]] = [[] for _ in subjects]
    numbers = []
    for make in subjects:
        make(3)
        began = time.perf_counter()
        make(200)
        numbers.append(max(500, int(0.02 / ((time.perf_counter() - began) / 200))))
    for _ in range(25):
        for make, number, times in zip(subjects, numbers, rounds):
            wall, processor = time.perf_counter(), time.thread_time()
            make(number)
            processor, wall = time.thread_time() - processor, time.perf_counter() - wall
            times.append((wall / number * 1e9, processor / number * 1e9))
    return [
        (statistics.median(wall for wall, _ in times), statistics.median(processor for _, processor in times))
        for times in rounds
    ]


def requests_of_cold_threads(server: Server, ask: Ask) -> int:
    server_gate = threading.Barrier(THREADS)

    def one() -> None:
        server_gate.wait()
        with contextlib.suppress(Exception):
            ask()

    with concurrent.futures.ThreadPoolExecutor(THREADS) as pool:
        for done in [pool.submit(one) for _ in range(THREADS)]:
            done.result()
    return server.requests


def requests_on_a_short_token(server: Server, ask: Ask) -> int:
    """Those that come after the first token is there."""
    ask()
    before = server.requests
    for _ in range(SHORT_CALLS):
        ask()
    return server.requests - before


GUIDE_START = """
import sys, ssl, httpx
url, ca, password = sys.argv[1:]
r = httpx.post(f"{url}/api/security/token/v2", json={"username": "demo", "password": password},
               headers={"Accept": "application/json"}, verify=ssl.create_default_context(cafile=ca))
r.raise_for_status()
assert r.json()["AccessToken"]
"""
OUR_START = """
import sys, p21auth
url, ca, password = sys.argv[1:]
assert p21auth.get_token_v2(url, "demo", password, ca_file=ca)["AccessToken"]
"""
EMPTY_START = "import ctypes, json"


#: Median and best, in milliseconds.
Start = tuple[float, float]


def starts(emulator: Emulator) -> dict[str, tuple[Start, Start]]:
    """From the start of a process to its end with a token, by the wall clock and of the processor; runs by turns."""
    walls: dict[str, list[float]] = {"guide": [], "ours": [], "empty": []}
    processors: dict[str, list[float]] = {"guide": [], "ours": [], "empty": []}
    scripts = {"guide": GUIDE_START, "ours": OUR_START, "empty": EMPTY_START}
    for _ in range(21):
        for name, script in scripts.items():
            before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
            subprocess.run([sys.executable, "-c", script, emulator.base_url, str(emulator.ca_file), PASSWORD], check=True)
            walls[name].append((time.perf_counter() - began) * 1000)
            after = resource.getrusage(resource.RUSAGE_CHILDREN)
            used = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
            processors[name].append(used * 1000)

    def of(times: list[float]) -> Start:
        return statistics.median(times), min(times)

    return {name: (of(walls[name]), of(processors[name])) for name in scripts}


def accessors(server: Server) -> Iterator[tuple[str, Calls]]:
    """What programs call for every request, and what an event loop awaits."""
    client = p21auth.Client(base_url=server.url, **identity())
    client.get_token()
    target = f"{server.url}/odataservice/odata/table/customer"
    yield "`client.get_token()`", calls_of(client.get_token)
    yield "`client.base_url`", calls_of(lambda: client.base_url)
    yield "`client.url(path)`", calls_of(lambda: client.url("/odataservice/odata/table/customer"))
    yield "`client.may_send_to(url)`", calls_of(lambda: client.may_send_to(target))
    yield "`await client.aget_token()`", awaits_of(client.aget_token)
    yield "`await client.asnapshot(cached_only=True)`", awaits_of(lambda: client.asnapshot(cached_only=True))


def row(what: str, measured: str, processor: str = "", beside: str = "") -> str:
    return f"| Python | {what} | {measured} | {processor} | {beside} |"


def nanoseconds(cost: Cost) -> tuple[str, str]:
    return f"{cost[0]:,.0f} ns", f"{cost[1]:,.0f} ns"


def rows() -> Iterator[str]:
    server = Server()
    more = list(accessors(server))
    measured = costs([calls_of(make(server)) for _, _, make in PEERS] + [calls for _, calls in more])
    hit = measured[len(PEERS)]
    for (title, package, make), cost in zip(PEERS, measured):
        server.reset()
        good = requests_of_cold_threads(server, make(server))
        server.reset(refuse=True)
        refused = requests_of_cold_threads(server, make(server))
        server.reset(life=SHORT_LIFE_S)
        short = requests_on_a_short_token(server, make(server))
        version = importlib.metadata.version(package) if package not in ("p21auth", "httpx") else ""
        requests = f"requests: {good} for 50 cold threads, {refused} if refused, {short} for 20 calls on a 60 s token"
        yield row(f"hit: {' '.join((title, version)).strip()}", *nanoseconds(cost), requests)
    for (title, _), cost in zip(more, measured[len(PEERS) :]):
        wall, processor = nanoseconds(cost)
        if title == "`client.get_token()`":
            yield row(title, wall, processor)
            continue
        limit = "" if title.startswith("`await") else "at most 3"
        ratios = cost[0] / hit[0], cost[1] / hit[1]
        yield row(title, f"{wall}: {ratios[0]:.2f} of a hit", f"{processor}: {ratios[1]:.2f}", limit)


def main() -> None:
    lines = list(rows())
    with Emulator(tls="good") as emulator:
        start = starts(emulator)
    walls = {name: f"{wall[0]:.0f} ms, best {wall[1]:.0f}" for name, (wall, _) in start.items()}
    processors = {name: f"{processor[0]:.0f} ms, best {processor[1]:.0f}" for name, (_, processor) in start.items()}
    (ours, ours_used), (theirs, theirs_used) = start["ours"], start["guide"]
    ratio = f"{ours[0] / theirs[0]:.2f} by the wall clock, {ours_used[0] / theirs_used[0]:.2f} by the processor's"
    lines += [
        row("process start to first token over TLS, `get_token_v2`", walls["ours"], processors["ours"],
            f"ours in the guide's: {ratio}; at most 0.33"),
        row("the same, the guide's httpx function", walls["guide"], processors["guide"]),
        row("an interpreter that imports ctypes and json", walls["empty"], processors["empty"]),
    ]  # fmt: skip
    text = "\n".join(lines) + "\n"
    print(text)
    record = [sys.executable, str(ROOT / "tools/record.py"), str(ROOT / "benches/RESULTS.md"), "2", "--all"]
    subprocess.run(record, input=text, text=True, check=True, cwd=ROOT)


if __name__ == "__main__":
    main()
