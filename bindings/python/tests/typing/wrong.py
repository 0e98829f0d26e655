"""What type checkers must find before a program is run. Never run."""

import p21auth

p21auth.Client(base_ulr="https://p21.example.com")  # wrong
p21auth.Client(base_url=1)  # wrong
p21auth.Client(base_url="x", timeout="soon")  # wrong
p21auth.Client(base_url="x", allowed_hosts=[1])  # wrong
p21auth.Client.from_env(usrname="u")  # wrong
p21auth.Client.from_file(".env", tls_verfy=False)  # wrong
p21auth.Client(base_url="x").update(pasword="p")  # wrong
p21auth.TokenManager("x", "u", "p", verify_sll=False)  # wrong
p21auth.TokenManager.from_env("P21_", stoer="file")  # wrong
p21auth.get_token_v2("x", "u", "p", timeot=3)  # wrong
p21auth.get_token_v1("x", "u", "p", ca_fiel="x")  # wrong
p21auth.get_consumer_token("x", "key", usernam="u")  # wrong
p21auth.get_ui_server_url("x", "token", verfy_ssl=False)  # wrong
