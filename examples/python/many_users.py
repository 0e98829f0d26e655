"""One consumer key, several P21 users: each gets a token of its own, so writes are audited as that user.

P21_BASE_URL=… P21_CONSUMER_KEY=… python many_users.py anna ben
"""

from __future__ import annotations

import sys
from functools import cache

import p21auth


@cache
def client_of(user: str) -> p21auth.Client:
    """The client of a user; a thousand of them cost little, and each asks the server only when it is used."""
    return p21auth.Client.from_env(username=user)


def main() -> None:
    users = sys.argv[1:] or ["demo", "readonly"]
    tokens = {user: client_of(user).snapshot() for user in users}
    for user, token in tokens.items():
        print(f"{user}: token of {token['UserName']}, {token.expires_in > 0}")
    print(f"{len({token.access_token for token in tokens.values()})} tokens")


if __name__ == "__main__":
    main()
