"""The options as type checkers and editors know them. Written from the library's table; a test compares.

``P21AUTH_REFRESH=1 pytest tests/test_option_types.py`` writes it again.
"""

from __future__ import annotations

import os
from datetime import timedelta
from typing import Literal, TypedDict, Union

Text = Union[str, None]
Number = Union[int, str, None]
#: Of seconds or milliseconds, as the option's name says.
Time = Union[float, str, timedelta, None]
Switch = Union[bool, int, str, None]
Path = Union[str, os.PathLike[str], None]
List = Union[str, list[str], tuple[str, ...], set[str], frozenset[str], None]


class P21Common(TypedDict, total=False):
    """All but the server's address, credentials and ``verify_ssl``."""

    auth_mode: Union[Literal["v2_password", "v2_consumer", "v1_password", "v1_consumer", "v1_query", "token"], str, None]
    v1_consumer_headers: Union[Literal["client_secret", "consumer_key", "appkey"], str, None]
    allowed_hosts: List
    max_token_age_s: Time
    refresh_margin_s: Time
    min_refresh_interval_s: Time
    default_lifetime_s: Time
    bad_credentials_cooldown_s: Time
    timeout_ms: Time
    connect_timeout_ms: Time
    max_retries: Number
    max_response_bytes: Number
    allow_http: Switch
    tls_verify: Switch
    ca_file: Path
    tls_pin_sha256: List
    proxy: Text
    no_proxy: List
    resolve: List
    user_agent: Text
    store: Text
    store_required: Switch
    store_timeout_ms: Time
    store_key: Text
    store_key_file: Path
    store_key_from: Text
    verify: Union[bool, str, os.PathLike[str], None]
    timeout: Union[float, timedelta, None]


class P21Settings(P21Common, total=False):
    """All but the server's address and credentials."""

    verify_ssl: Switch


class P21Options(P21Settings, total=False):
    """What :class:`p21auth.Client` takes. None puts an option back to its default."""

    base_url: Text
    username: Text
    password: Text
    password_file: Path
    password_from: Text
    consumer_key: Text
    consumer_key_file: Path
    consumer_key_from: Text
    access_token: Text
    access_token_file: Path
    access_token_from: Text
