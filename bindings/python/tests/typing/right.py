"""What a right program writes passes ``mypy --strict`` and pyright. Never run."""

import os
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import p21auth

if TYPE_CHECKING:
    from p21auth import P21Options

client = p21auth.Client(base_url="https://p21.example.com", username="u", password="p", verify=False)
client = p21auth.Client(base_url=os.environ["X"], consumer_key_file=Path("key"), timeout=timedelta(seconds=3))
client = p21auth.Client(base_url="x", access_token="t", allowed_hosts=["a", "b"], tls_pin_sha256="ab", verify_ssl="False")
client = p21auth.Client(base_url="x", auth_mode=os.environ["MODE"], refresh_margin_s=timedelta(minutes=5), max_retries=0)
client = p21auth.Client.from_env("P21_PLAY_", timeout=3.5, ca_file=None)
client = p21auth.Client.from_file(Path(".env"), verify="/etc/ca.pem", allow_http=True)
client.update(password="other", timeout=None)

manager: p21auth.TokenManager = p21auth.TokenManager("https://p21.example.com", "u", "p", verify_ssl=False)
manager = p21auth.TokenManager.from_env(store="file")

token: dict[str, Any] = p21auth.get_token_v2("x", "u", "p", fresh=True, ca_file="ca.pem")
token = p21auth.get_token_v1("x", "u", "p", timeout=5)
token = p21auth.get_consumer_token("x", "key", username="u", proxy="direct")
url: str = p21auth.get_ui_server_url("x", token, False, timeout=5)


def settings() -> "P21Options":
    return {"base_url": "x", "username": "u", "password": "p"}


def untyped() -> dict[str, Any]:
    return {"base_url": "x"}


client = p21auth.Client(**settings())
client = p21auth.Client(**untyped())
