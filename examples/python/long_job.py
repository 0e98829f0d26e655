"""A job that holds an Interactive API session for longer than other parts of the program keep a token.

An Interactive session belongs to the token that opened it: another token cannot use or close it. So the job pins one.
"""

from __future__ import annotations

import httpx

import p21auth
from p21auth.httpx import P21Auth

HOURS = 3600


def main() -> None:
    client = p21auth.default_client()
    # With a consumer key set P21_CONSUMER_USERNAME too: the Interactive API needs a P21 user.
    snapshot = client.snapshot(min_valid=2 * HOURS)
    if snapshot.expires_in < 2 * HOURS:
        print(f"tokens of this server live {snapshot.expires_in} s only; the job must end before that")
    with httpx.Client(auth=P21Auth(snapshot), base_url=client.ui_url(), verify=client.ssl_context()) as ui:
        ui.post("/api/ui/interactive/sessions/", json={}).raise_for_status()
        try:
            # Here the work goes on for hours. Meanwhile the program's other calls moved on to a newer token:
            client.invalidate()
            moved_on = client.get_token() != snapshot.access_token
            sessions = ui.get("/api/ui/interactive/sessions/")
            sessions.raise_for_status()
            print(f"others moved on: {moved_on}, session still ours: {sessions.status_code == 200}")
        finally:
            closed = ui.delete("/api/ui/interactive/sessions/")
    print(f"closed: {closed.is_success}")


if __name__ == "__main__":
    main()
