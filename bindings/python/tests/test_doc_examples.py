"""The examples in the docstrings run, against the emulator."""

from __future__ import annotations

import doctest
import importlib
from typing import Any

import pytest

import p21auth
from p21auth.testing import PASSWORD, Emulator

MODULES = ("p21auth", "p21auth._client", "p21auth._doctor", "p21auth._guide", "p21auth.httpx", "p21auth.requests")


@pytest.mark.parametrize("name", MODULES)
def test_docstrings(name: str, emulator: Emulator) -> None:
    module = importlib.import_module(name)
    with emulator.client() as client:
        names: dict[str, Any] = {
            "emulator": emulator,
            "client": client,
            "token_data": p21auth.get_token_v2(emulator.base_url, "demo", PASSWORD),
        }
        result = doctest.testmod(module, extraglobs=names, raise_on_error=False)
    assert result.attempted > 0
    assert result.failed == 0
