"""What a user of the community guide wrote, with one import changed: it was `from p21_auth import ...`."""

import sys
import threading
import time

import httpx

from p21auth import (
    TokenManager,
    get_auth_headers,
    get_consumer_token,
    get_token_v2,
    get_ui_server_url,
)

BASE_URL, USERNAME, PASSWORD, CONSUMER_KEY = sys.argv[1:5]


def fetch_customers():
    token_data = get_token_v2(BASE_URL, USERNAME, PASSWORD)
    headers = get_auth_headers(token_data["AccessToken"])
    response = httpx.get(f"{BASE_URL}/odataservice/odata/table/customer", headers=headers)
    if response.status_code == 401:
        # token died: log in again and retry once
        token_data = get_token_v2(BASE_URL, USERNAME, PASSWORD)
        headers = get_auth_headers(token_data["AccessToken"])
        response = httpx.get(f"{BASE_URL}/odataservice/odata/table/customer", headers=headers)
    response.raise_for_status()
    return response.json()["value"]


class Refresher(threading.Thread):
    """Keeps a token in a variable, as many scripts do."""

    def __init__(self):
        super().__init__(daemon=True)
        self.ready = threading.Event()
        self.rounds = 0

    def run(self):
        while True:
            t = get_token_v2(BASE_URL, USERNAME, PASSWORD)
            self.token = t["AccessToken"]
            self.expires = time.time() + t["ExpiresInSeconds"]
            self.rounds += 1
            self.ready.set()
            time.sleep(t["ExpiresInSeconds"] - 300)


def login_or_explain(password):
    try:
        return get_token_v2(BASE_URL, USERNAME, password)["AccessToken"]
    except httpx.HTTPStatusError as e:
        print(f"Authentication failed: {e.response.status_code}")
        print(f"Response: {e.response.text[:200]}")
    except httpx.RequestError as e:
        print(f"Network: {e}")
    return None


def main():
    print("rows", len(fetch_customers()))
    refresher = Refresher()
    refresher.start()
    refresher.ready.wait(20)
    print("refresher", refresher.rounds, refresher.expires > time.time() + 300)
    manager = TokenManager(BASE_URL, USERNAME, PASSWORD)
    r = httpx.get(f"{BASE_URL}/odataservice/odata/table/customer", headers=manager.get_headers())
    r.raise_for_status()
    consumer = get_consumer_token(BASE_URL, CONSUMER_KEY, username=USERNAME)
    expires = consumer.get("ExpiresInSeconds", consumer.get("ExpiresIn", 0))
    print("consumer", consumer["UserName"], int(expires) > 300, repr(consumer["AppKey"]))
    print("ui", get_ui_server_url(BASE_URL, consumer["AccessToken"]) == f"{BASE_URL}/uiserver0")
    login_or_explain("wrong")


if __name__ == "__main__":
    main()
