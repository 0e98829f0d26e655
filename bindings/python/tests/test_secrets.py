"""Where secrets are kept: variables and keyrings are Python's to read, all else is the library's."""

from __future__ import annotations

import sys
import types
from pathlib import Path

import pytest

import p21auth
from p21auth import Client
from p21auth.testing import PASSWORD, Emulator


def test_files_and_commands_are_read_by_the_library(emulator: Emulator, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text(PASSWORD + "\n")
    for source in (f"file:{secret}", f"command:cat {secret}"):
        with emulator.client(password=None, password_from=source) as client:
            assert client.get_token()
    with pytest.raises(p21auth.ConfigError, match="the command 'false' ended with status 1"):
        emulator.client(password=None, password_from="command:false")


def test_a_variable_that_python_has_set_is_read(emulator: Emulator, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(os_environ(), "MY_SECRET", PASSWORD)
    client = emulator.client(password=None, password_from="env:MY_SECRET")
    assert client.get_token()
    client.update(password_from=None, password=PASSWORD)
    monkeypatch.delitem(os_environ(), "MY_SECRET")
    with pytest.raises(p21auth.ConfigError, match="MY_SECRET, which is not set"):
        emulator.client(password=None, password_from="env:MY_SECRET")


def test_the_environment_names_sources(emulator: Emulator, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {
        "P21_BASE_URL": emulator.base_url,
        "P21_USERNAME": "demo",
        "P21_PASSWORD_FROM": f"command:echo {PASSWORD}",
        "P21_CA_FILE": getattr(emulator, "ca_file", None) or "",
    }.items():
        monkeypatch.setenv(name, value)
    with Client.from_env() as client:
        assert client.get_token()


def test_a_keyring_is_read_by_its_package(emulator: Emulator, monkeypatch: pytest.MonkeyPatch) -> None:
    keyring = types.ModuleType("keyring")
    kept = {("p21", "demo"): PASSWORD}
    keyring.get_password = lambda service, account: kept.get((service, account))  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "keyring", keyring)
    with emulator.client(password=None, password_from="keyring:p21/demo") as client:
        assert client.get_token()
    with pytest.raises(p21auth.ConfigError, match="has no p21/other"):
        emulator.client(password=None, password_from="keyring:p21/other")
    with pytest.raises(p21auth.ConfigError, match="names no entry"):
        emulator.client(password=None, password_from="keyring:p21")

    def locked(service: str, account: str) -> str:
        raise RuntimeError("hunter2")

    keyring.get_password = locked  # type: ignore[attr-defined]
    with pytest.raises(p21auth.ConfigError, match="RuntimeError") as caught:
        emulator.client(password=None, password_from="keyring:p21/demo")
    assert "hunter2" not in f"{caught.value} {caught.value.__cause__}"


def test_without_that_package_the_library_reads_the_keyring(
    emulator: Emulator, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setitem(sys.modules, "keyring", None)
    program = tmp_path / "secret-tool"
    program.write_text(f'#!/bin/sh\n[ "$*" = "lookup service p21 username demo" ] && echo {PASSWORD}\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    with emulator.client(password=None, password_from="keyring:p21/demo") as client:
        assert client.get_token()
    with pytest.raises(p21auth.ConfigError, match="keyring:p21/other is not there"):
        emulator.client(password=None, password_from="keyring:p21/other")


def os_environ() -> dict[str, str]:
    import os

    return os.environ  # type: ignore[return-value]


def test_a_profile_by_name_and_by_variable(emulator: Emulator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "p21auth"
    folder.mkdir()
    (folder / "profiles.toml").write_text(
        f"""[mine]
base_url = "{emulator.base_url}"
username = "demo"
password_from = "command:echo {PASSWORD}"
[other]
base_url = "{emulator.base_url}"
password = "hunter2"
"""
    )
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    monkeypatch.setenv("P21_CONSUMER_KEY", "not for this one")
    with Client.from_profile("mine") as client:
        assert client.get_token()
    with Client.from_profile("mine", password="wrong") as client, pytest.raises(p21auth.BadCredentialsError):
        client.get_token()
    with pytest.raises(p21auth.ConfigError, match="line 7: password is a secret") as caught:
        Client.from_profile("other")
    assert "hunter2" not in str(caught.value)
    with pytest.raises(p21auth.ConfigError, match="there is no profile 'none'"):
        Client.from_profile("none")
    monkeypatch.delenv("P21_CONSUMER_KEY")
    monkeypatch.setenv("P21_PROFILE", "mine")
    with Client.from_env() as client:
        assert client.get_token()
