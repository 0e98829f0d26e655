"""The examination from inside the process."""

from __future__ import annotations

from . import _handle
from ._native import lib
from ._options import from_environment, from_keywords
from ._waits import interruptible

TYPE_CHECKING = False  # typing would be a tenth of the start
if TYPE_CHECKING:
    from typing import Any, Optional

    from typing_extensions import Unpack

    from ._option_types import P21Options

_USE_TOKEN = 16


def doctor(*, use_token: bool = False, wait: Optional[float] = None, **options: Unpack[P21Options]) -> dict[str, Any]:
    """Why it does not work, step by step, as this very process sees it: a service or a web worker has other variables,
    folders, proxies and trust than the person who runs ``p21auth doctor``.

    Options are those of :class:`Client`; without any, those of the ``P21_`` environment variables. ``use_token``: it may use
    the token that this process has, and request one if there is none. ``wait``: the longest that it may take, in seconds;
    the option ``timeout_ms`` if it is None. The report has ``schema``, ``ok``, ``token_requests`` and ``steps``; what does
    not work is a step of it, not an exception. No secret is in it.

    >>> report = doctor(base_url=emulator.base_url, username="demo", password="demo-password")
    >>> report["ok"], report["steps"][0]["id"]
    (True, 'configuration')
    """
    import json

    chosen = from_keywords(options) if options else from_environment("P21_")
    wait_ms = 0 if wait is None else min(max(int(wait * 1000), 1), 2**32 - 1)
    flags = _USE_TOKEN if use_token else 0
    report: dict[str, Any] = json.loads(
        interruptible(lambda: chosen.applied(lambda made: _handle.string(lib.p21_doctor, made, flags, wait_ms)))
    )
    return report
