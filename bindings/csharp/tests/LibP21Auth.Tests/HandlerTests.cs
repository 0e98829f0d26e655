using System;
using System.Collections.Generic;
using System.Net;
using System.Net.Http;
using System.Text;
using System.Threading;
using System.Threading.Tasks;
using LibP21Auth;
using NUnit.Framework;

namespace LibP21Auth.Tests
{
    [TestFixture]
    public class HandlerTests
    {
        private const string Table = "/odataservice/odata/table/customer";
        private const string Sessions = "/api/ui/interactive/sessions/";

        private static TokenManager Quick(Emulator p21)
        {
            return new TokenManager(new P21Options(p21.Options()) { MinRefreshInterval = TimeSpan.Zero });
        }

        [Test]
        public async Task TheTokenGoesWithEachRequest()
        {
            using (var p21 = new Emulator())
            using (var manager = p21.Open())
            using (var client = P21Auth.CreateAuthorizedClient(manager))
            {
                (await client.GetAsync(p21.BaseUrl + Table)).EnsureSuccessStatusCode();
                // Relative to the base URL.
                (await client.GetAsync("odataservice/odata/table/customer?$top=1")).EnsureSuccessStatusCode();
                Assert.That(p21.TokenRequests, Is.EqualTo(1));
            }
        }

        [Test]
        public async Task ADeadTokenIsReplacedOnce()
        {
            using (var p21 = new Emulator())
            using (var manager = Quick(p21))
            using (var client = P21Auth.CreateAuthorizedClient(manager))
            {
                manager.GetToken();
                p21.Revoke();
                (await client.GetAsync(p21.BaseUrl + Table)).EnsureSuccessStatusCode();
                Assert.That(p21.Count("odata.requests"), Is.EqualTo(2));
                Assert.That(p21.TokenRequests, Is.EqualTo(2));
            }
        }

        [Test]
        public async Task ABodyIsSentAgain()
        {
            using (var p21 = new Emulator())
            using (var manager = Quick(p21))
            using (var client = P21Auth.CreateAuthorizedClient(manager))
            {
                manager.GetToken();
                p21.Revoke();
                var content = new StringContent("{\"a\":1}", Encoding.UTF8, "application/json");
                (await client.PostAsync(p21.BaseUrl + Sessions, content)).EnsureSuccessStatusCode();
                Assert.That(p21.Count("interactive.requests"), Is.EqualTo(2));
                Assert.That(p21.LastRequests(), Does.Contain("\"body_bytes\":7"));
            }
        }

        [TestCase("unknown length", 100, 1)]
        [TestCase("four", 3, 1)]
        [TestCase("three", 5, 2)]
        public async Task OnlyAShortBodyOfKnownLengthIsSentAgain(string body, long limit, int requests)
        {
            var inner = new Answers(HttpStatusCode.Unauthorized, "<TokenError/>");
            using (var p21 = new Emulator())
            using (var manager = Quick(p21))
            using (var client = new HttpClient(new P21AuthHandler(manager, inner) { MaxBufferedBody = limit }))
            {
                var content = body == "unknown length" ? (HttpContent)new Unbounded() : new StringContent(body);
                var response = await client.PostAsync(p21.BaseUrl + "/x", content);
                Assert.That(response.StatusCode, Is.EqualTo(HttpStatusCode.Unauthorized));
                Assert.That(inner.Requests, Is.EqualTo(requests));
            }
        }

        [Test]
        public async Task APermissionIsExplainedAndNotRetried()
        {
            using (var p21 = new Emulator())
            using (var manager = new TokenManager(p21.BaseUrl, "readonly", "readonly-password"))
            using (var client = P21Auth.CreateAuthorizedClient(manager))
            {
                var response = await client.GetAsync(p21.BaseUrl + Table);
                Assert.That(p21.Count("odata.requests"), Is.EqualTo(1));
                Assert.That(p21.TokenRequests, Is.EqualTo(1));
                Assert.That(await response.Content.ReadAsStringAsync(), Does.Contain("not authorized"));
                var error = Assert.Throws<HttpRequestException>(() => response.EnsureSuccessStatusCode());
                Assert.That(error.Message, Does.Contain("Allow OData API Service"));
            }
        }

        [Test]
        public void TheTokenGoesToNoOtherHost()
        {
            using (var p21 = new Emulator())
            using (var other = new Emulator())
            using (var manager = p21.Open())
            using (var client = P21Auth.CreateAuthorizedClient(manager))
            {
                var error = Assert.ThrowsAsync<P21ConfigException>(() => client.GetAsync(other.BaseUrl + Table));
                Assert.That(error.Message, Does.Contain(other.BaseUrl).And.Contains("AllowedHosts"));
                Assert.That(other.Count("requests"), Is.EqualTo(0));
            }
        }

        [Test]
        public async Task AllowedHostsAndTheUiServerGetTheToken()
        {
            using (var p21 = new Emulator())
            using (var other = new Emulator())
            using (var ui = new Emulator())
            {
                p21.Configure("{\"ui_url\":\"" + ui.BaseUrl + "/uiserver0/\"}");
                var options = new P21Options(p21.Options()) { AllowedHosts = new[] { new Uri(other.BaseUrl).Authority } };
                using (var manager = new TokenManager(options))
                using (var client = P21Auth.CreateAuthorizedClient(manager))
                {
                    await client.GetAsync(other.BaseUrl + Table);
                    Assert.That(other.Count("api.token_rejected"), Is.GreaterThan(0));
                    string url = await manager.GetUiServerUrlAsync();
                    Assert.That(url, Does.StartWith(ui.BaseUrl));
                    await client.GetAsync(url + Sessions);
                    Assert.That(ui.Count("requests"), Is.GreaterThan(0));
                }
            }
        }

        [Test]
        public async Task TheRoutersRedirectKeepsTheHeader()
        {
            using (var p21 = new Emulator("--set router_redirect=true"))
            using (var manager = p21.Open())
            using (var client = P21Auth.CreateAuthorizedClient(manager))
            using (var guide = P21Auth.CreateAuthorizedClient(manager.GetToken()))
            {
                // Without the slash, as the guide has it.
                string url = p21.BaseUrl + "/api/ui/router/v1?urlType=external";
                (await client.GetAsync(url)).EnsureSuccessStatusCode();
                (await guide.GetAsync(url)).EnsureSuccessStatusCode();
                Assert.That(p21.Count("router.redirected"), Is.EqualTo(2));
                Assert.That(p21.Count("api.header_lost"), Is.EqualTo(0));
            }
        }

        [Test]
        public async Task AHeaderThatAnotherHandlerLostOnARedirectIsSentAgain()
        {
            using (var p21 = new Emulator("--set router_redirect=true"))
            using (var manager = p21.Open())
            // A handler that follows redirects by itself and drops the header: what IHttpClientFactory brings.
            using (var client = new HttpClient(new P21AuthHandler(manager, new HttpClientHandler())))
            {
                (await client.GetAsync(p21.BaseUrl + "/api/ui/router/v1?urlType=external")).EnsureSuccessStatusCode();
                Assert.That(p21.TokenRequests, Is.EqualTo(1));
            }
        }

        [Test]
        public void ARedirectToAnotherServerIsRefused()
        {
            using (var p21 = new Emulator())
            using (var other = new Emulator())
            using (var manager = p21.Open())
            using (var client = P21Auth.CreateAuthorizedClient(manager))
            {
                p21.Fault("{\"path\":\"/odata\",\"action\":{\"redirect\":{\"location\":\"" + other.BaseUrl + Table + "\"}}}");
                var error = Assert.ThrowsAsync<P21HttpException>(() => client.GetAsync(p21.BaseUrl + Table));
                Assert.That(error.Code, Is.EqualTo(P21ErrorCode.Redirect));
                Assert.That(error.Message, Does.Contain(other.BaseUrl));
                Assert.That(other.Count("requests"), Is.EqualTo(0));
            }
        }

        [Test]
        public async Task ASnapshotIsPinned()
        {
            using (var p21 = new Emulator())
            using (var manager = Quick(p21))
            {
                var snapshot = manager.Snapshot();
                using (var session = P21Auth.CreateAuthorizedClient(snapshot))
                {
                    (await session.PostAsync(p21.BaseUrl + Sessions, null)).EnsureSuccessStatusCode();
                    Assert.That(manager.GetToken(TokenFlags.ForceRefresh), Is.Not.EqualTo(snapshot.AccessToken));
                    (await session.DeleteAsync(p21.BaseUrl + Sessions)).EnsureSuccessStatusCode();
                    p21.Revoke();
                    Assert.That((await session.GetAsync(p21.BaseUrl + Sessions)).StatusCode, Is.EqualTo(HttpStatusCode.Unauthorized));
                    Assert.That(p21.Count("interactive.requests"), Is.EqualTo(3));
                    Assert.ThrowsAsync<P21ConfigException>(() => session.GetAsync("https://elsewhere.example/"));
                }
            }
        }

        [Test]
        public async Task AnOwnProviderIsEnough()
        {
            var inner = new Answers(HttpStatusCode.OK, "fine");
            using (var client = new HttpClient(new P21AuthHandler(new Provider(), new[] { "p21.example.com" }) { InnerHandler = inner }))
            {
                Assert.That(await client.GetStringAsync("https://p21.example.com/x"), Is.EqualTo("fine"));
                Assert.That(inner.Authorization, Is.EqualTo("Bearer from a mock"));
                Assert.ThrowsAsync<P21ConfigException>(() => client.GetStringAsync("https://elsewhere.example/x"));
            }
        }

        [Test]
        public async Task AReportLeavesTheBodyReadable()
        {
            string large = new string('x', 200000);
            using (var p21 = new Emulator())
            using (var manager = p21.Open())
            using (var client = new HttpClient(new P21AuthHandler(manager, new Answers(HttpStatusCode.Forbidden, large) { Streamed = true })))
            using (var response = await client.GetAsync(p21.BaseUrl + "/x", HttpCompletionOption.ResponseHeadersRead))
            {
                Assert.That(response.StatusCode, Is.EqualTo(HttpStatusCode.Forbidden));
                Assert.That(await response.Content.ReadAsStringAsync(), Is.EqualTo(large));
            }
        }

#if NET
        [Test]
        public void TheBlockingSendWorksToo()
        {
            using (var p21 = new Emulator("--set router_redirect=true"))
            using (var manager = Quick(p21))
            using (var client = P21Auth.CreateAuthorizedClient(manager))
            {
                manager.GetToken();
                p21.Revoke();
                using var response = client.Send(new HttpRequestMessage(HttpMethod.Get, p21.BaseUrl + Table));
                Assert.That(response.IsSuccessStatusCode);
                using var moved = client.Send(new HttpRequestMessage(HttpMethod.Get, p21.BaseUrl + "/api/ui/router/v1?urlType=external"));
                Assert.That(moved.IsSuccessStatusCode);
            }
        }

        [Test]
        public async Task JsonContentIsSentAgain()
        {
            using var p21 = new Emulator();
            using var manager = Quick(p21);
            using var client = P21Auth.CreateAuthorizedClient(manager);
            manager.GetToken();
            p21.Revoke();
            using var response = await System.Net.Http.Json.HttpClientJsonExtensions.PostAsJsonAsync(client, p21.BaseUrl + Sessions, new { a = 1 });
            Assert.That(response.IsSuccessStatusCode);
        }
#endif

        [Test]
        public async Task ThePrivateAuthorityOfTheManagerIsTrustedByItsClient()
        {
            using (var p21 = new Emulator("--tls"))
            {
                foreach (var options in new[]
                {
#if NET
                    // Mono cannot build a chain of the emulator's elliptic-curve certificates.
                    new P21Options { CaFile = p21.CaFile },
#endif
                    new P21Options { TlsPinSha256 = new[] { p21.Pin } }, new P21Options { TlsVerify = false },
                })
                {
                    using (var manager = new TokenManager(p21.BaseUrl, "demo", "demo-password", options))
                    using (var client = P21Auth.CreateAuthorizedClient(manager))
                    {
                        (await client.GetAsync(p21.BaseUrl + Table)).EnsureSuccessStatusCode();
                    }
                }
                using (var manager = new TokenManager(p21.BaseUrl, "demo", "demo-password", new P21Options { CaFile = p21.CaFile }))
                using (var plain = new HttpClient(new P21AuthHandler(manager, new HttpClientHandler())))
                {
                    Assert.CatchAsync<HttpRequestException>(() => plain.GetAsync(p21.BaseUrl + Table));
                }
            }
        }

        [Test]
        public void OtherCertificatesAreNotTrusted()
        {
            using (var p21 = new Emulator("--tls"))
            using (var other = new Emulator("--tls"))
            using (var own = new TokenManager(p21.BaseUrl, "demo", "demo-password", new P21Options { CaFile = p21.CaFile, AllowedHosts = new[] { "127.0.0.1" } }))
            using (var pinned = new TokenManager(p21.BaseUrl, "demo", "demo-password", new P21Options { TlsPinSha256 = new[] { p21.Pin }, AllowedHosts = new[] { "127.0.0.1" } }))
            using (var client = P21Auth.CreateAuthorizedClient(own))
            using (var pinnedClient = P21Auth.CreateAuthorizedClient(pinned))
            {
                Assert.CatchAsync<HttpRequestException>(() => client.GetAsync(other.BaseUrl + Table));
                Assert.CatchAsync<HttpRequestException>(() => pinnedClient.GetAsync(other.BaseUrl + Table));
            }
        }

        [Test]
        public async Task AFixedAddressIsUsedWhereHttpClientCan()
        {
            using (var p21 = new Emulator())
            {
                var url = new Uri(p21.BaseUrl);
                var options = new P21Options
                {
                    BaseUrl = "http://p21.test.invalid:" + url.Port, Username = "demo", Password = "demo-password", AllowHttp = true,
                    Resolve = new[] { "p21.test.invalid:" + url.Port + ":127.0.0.1" }, Proxy = "direct",
                };
                using (var manager = new TokenManager(options))
                {
                    Assert.That(manager.GetToken(), Is.Not.Empty);
#if NET
                    using var client = P21Auth.CreateAuthorizedClient(manager);
                    (await client.GetAsync(manager.Url(Table))).EnsureSuccessStatusCode();
#else
                    Assert.Throws<P21ConfigException>(() => P21Auth.CreateHttpHandler(manager));
                    await Task.FromResult(0);
#endif
                }
            }
        }

        [Test]
        public async Task TheManagersProxyIsUsed()
        {
            // Any HTTP server that gets a request line with an absolute URL is a proxy for this purpose.
            using (var p21 = new Emulator())
            using (var proxy = new Emulator())
            {
                var options = new P21Options(p21.Options()) { Proxy = proxy.BaseUrl };
                using (var manager = new TokenManager(options))
                using (var client = new HttpClient(P21Auth.CreateHttpHandler(manager)))
                {
                    await client.GetAsync("http://p21.test.invalid/x");
                    Assert.That(proxy.Count("requests"), Is.GreaterThan(0));
                }
                options.NoProxy = new[] { "127.0.0.1" };
                using (var manager = new TokenManager(options))
                using (var client = new HttpClient(P21Auth.CreateHttpHandler(manager)))
                {
                    await client.GetAsync(p21.BaseUrl + "/x");
                    Assert.That(p21.Count("requests"), Is.EqualTo(1));
                }
            }
        }

        private sealed class Answers : HttpMessageHandler
        {
            private readonly HttpStatusCode status;
            private readonly string body;

            internal Answers(HttpStatusCode status, string body)
            {
                this.status = status;
                this.body = body;
            }

            internal int Requests { get; private set; }

            internal string Authorization { get; private set; }

            internal bool Streamed { get; set; }

            protected override Task<HttpResponseMessage> SendAsync(HttpRequestMessage request, CancellationToken cancellationToken)
            {
                Requests++;
                Authorization = request.Headers.Authorization.ToString();
                return Task.FromResult(new HttpResponseMessage(status)
                {
                    RequestMessage = request,
                    Content = Streamed ? (HttpContent)new Forward(body) : new StringContent(body),
                });
            }
        }

        /// <summary>A body as it comes from the network: it can be read once.</summary>
        private sealed class Forward : StreamContent
        {
            internal Forward(string body) : base(new OnceStream(Encoding.UTF8.GetBytes(body)))
            {
            }

            private sealed class OnceStream : System.IO.MemoryStream
            {
                internal OnceStream(byte[] bytes) : base(bytes)
                {
                }

                public override bool CanSeek { get { return false; } }
            }
        }

        private sealed class Unbounded : HttpContent
        {
            protected override Task SerializeToStreamAsync(System.IO.Stream stream, TransportContext context)
            {
                return stream.WriteAsync(new byte[] { 1 }, 0, 1);
            }

            protected override bool TryComputeLength(out long length)
            {
                length = 0;
                return false;
            }
        }

        private sealed class Provider : IP21TokenProvider
        {
            public string GetToken() { return "from a mock"; }

            public Task<string> GetTokenAsync(CancellationToken cancellationToken) { return Task.FromResult("from a mock"); }

            public Task<string> GetUiServerUrlAsync(CancellationToken cancellationToken) { return Task.FromResult("https://p21.example.com/uiserver0"); }

            public Task<P21Verdict> ReportAsync(HttpResponseMessage response, CancellationToken cancellationToken) { return Task.FromResult(P21Verdict.GiveUp); }

            public void Invalidate(string token) { }
        }
    }
}
