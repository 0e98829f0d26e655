"""redis_costs.py: what a Redis server needs for each thing that a fleet asks of it, in microseconds of its processor's time:
the constants of src/cache/shared/simulation/store.rs. The scripts are those of src/store/redis/scripts.rs."""

import re
import socket
import subprocess
import sys
import tempfile
import time

source = open("src/store/redis/scripts.rs", encoding="utf-8").read()
prelude = re.search(r'concat!\(\s*"(.*?)",\s*\$text', source, re.S).group(1)
scripts = {
    name: (prelude + text).encode()
    for name, text in re.findall(r'const (\w+): &str = script!\(\s*"(.*?)"\s*\);', source, re.S)
}


def command(*parts: object) -> bytes:
    encoded = [part if isinstance(part, bytes) else str(part).encode() for part in parts]
    return b"*%d\r\n" % len(encoded) + b"".join(b"$%d\r\n%s\r\n" % (len(part), part) for part in encoded)


class Connection:
    def __init__(self, port: int) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port))
        self.file = self.socket.makefile("rb")

    def send(self, data: bytes) -> None:
        self.socket.sendall(data)

    def reply(self) -> object:
        line = self.file.readline()[:-2]
        kind, rest = line[:1], line[1:]
        if kind == b"-":
            raise RuntimeError(rest.decode())
        if kind in b"+:":
            return rest
        if kind == b"$":
            return None if rest == b"-1" else self.file.read(int(rest) + 2)[:-2]
        return None if rest == b"-1" else [self.reply() for _ in range(int(rest))]

    def ask(self, *parts: object) -> object:
        self.send(command(*parts))
        return self.reply()

    def cpu(self) -> float:
        info = self.ask("INFO", "cpu").decode()
        return sum(float(re.search(rf"used_cpu_{kind}_main_thread:([\d.]+)", info).group(1)) for kind in ("user", "sys"))


def keys(*kinds: str) -> list:
    return ["p21auth:1:salt" if kind == "salt" else "p21auth:1:{0123456789abcdef}:" + kind for kind in kinds]


def main() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    program = sys.argv[1] if len(sys.argv) > 1 else "redis-server"
    options = ["--port", str(port), "--bind", "127.0.0.1", "--save", "", "--maxclients", "4000"]
    with tempfile.TemporaryDirectory() as folder:
        server = subprocess.Popen([program, *options, "--dir", folder], stdout=subprocess.DEVNULL)
        try:
            measure(port)
        finally:
            server.kill()
            server.wait()


def measure(port: int) -> None:
    while True:
        try:
            connection = Connection(port)
            break
        except ConnectionRefusedError:
            time.sleep(0.05)
    look = keys("salt", "fence", "lease", "token", "denied", "failed")
    acquire = keys("lease", "fence", "wake", "next")
    publish = keys("lease", "fence", "wake", "next", "token", "denied", "failed")
    seen = {}

    def each(name: str, count: int, make) -> None:
        before = connection.cpu()
        for _ in range(count):
            make()
        seen[name] = (connection.cpu() - before) * 1e6 / count

    def publishes() -> None:
        fence = connection.ask("EVAL", scripts["ACQUIRE"], 4, *acquire, "me", 6000, 604800000, 60000)[0]
        connection.ask(
            "EVAL", scripts["PUBLISH"], 7, *publish, "wme", fence, b"x" * 1200, 86400000, "", 0, "", 0
        )

    each("acquire and publish", 3000, publishes)
    each("look", 10000, lambda: connection.ask("EVAL", scripts["LOOK"], 6, *look, 1048576))
    connection.ask("EVAL", scripts["ACQUIRE"], 4, *acquire, "me", 600000, 604800000, 60000)
    each("acquire in vain", 10000, lambda: connection.ask("EVAL", scripts["ACQUIRE"], 4, *acquire, "other", 6000, 604800000, 600000))

    count = 1000
    before = connection.cpu()
    waiting = [Connection(port) for _ in range(count)]
    for one in waiting:
        one.ask("PING")
    seen["accept, with a PING"] = (connection.cpu() - before) * 1e6 / count
    before = connection.cpu()
    stream = keys("wake")[0]
    for one in waiting:
        one.send(command("XREAD", "BLOCK", 60000, "STREAMS", stream, "99999999999999999-0"))
    while b"blocked_clients:%d" % count not in connection.ask("INFO", "clients"):
        pass
    seen["blocking read, with some of the waiting"] = (connection.cpu() - before) * 1e6 / count
    before = connection.cpu()
    connection.ask("DEL", stream)
    connection.ask("XADD", stream, "99999999999999999-1", "to", "*")
    for one in waiting:
        one.reply()
    seen["wake"] = (connection.cpu() - before) * 1e6 / count
    for name, cost in seen.items():
        print(f"== seen: {name}: {cost:.1f} us")


main()
