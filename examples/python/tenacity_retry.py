"""A nightly job that waits for P21 to come back, with tenacity.

What can't get better by itself (a wrong password, a wrong URL, a missing permission) fails at once; the rest is tried again
when ``retry_after`` says, and until the job's own time is up.

P21_BASE_URL=… P21_USERNAME=… P21_PASSWORD=… python tenacity_retry.py
"""

from __future__ import annotations

import sys

import httpx
import tenacity

import p21auth
from p21auth.httpx import P21Auth

LONGEST_WAIT, JOB_TIME = 60, 600


def can_get_better(error: BaseException) -> bool:
    return isinstance(error, p21auth.P21Error) and error.retryable


def as_it_says(state: tenacity.RetryCallState) -> float:
    """Until the library would try again; without such a word twice as long each time."""
    assert state.outcome is not None
    error = state.outcome.exception()
    if isinstance(error, p21auth.P21Error) and error.retry_after is not None:
        return min(error.retry_after, LONGEST_WAIT)
    return min(2**state.attempt_number, LONGEST_WAIT)


def say(state: tenacity.RetryCallState) -> None:
    assert state.outcome is not None
    error = state.outcome.exception()
    assert isinstance(error, p21auth.P21Error)
    print(f"try {state.attempt_number}: {error.name}, again in {state.upcoming_sleep:.1f} s", flush=True)


@tenacity.retry(
    retry=tenacity.retry_if_exception(can_get_better),
    wait=as_it_says,
    stop=tenacity.stop_after_delay(JOB_TIME),
    before_sleep=say,
    reraise=True,
)
def customers(http: httpx.Client) -> int:
    response = http.get("/odataservice/odata/table/customer")
    response.raise_for_status()
    return len(response.json()["value"])


def main() -> None:
    client = p21auth.default_client()
    with httpx.Client(auth=P21Auth(client), base_url=client.base_url, verify=client.ssl_context()) as http:
        try:
            print(f"{customers(http)} customers")
        except p21auth.P21Error as error:
            sys.exit(f"{error.message}\n{error.hint}")


if __name__ == "__main__":
    main()
