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

        private static HttpContent Multipart(params HttpContent[] parts)
        {
            var all = new MultipartFormDataContent();
            foreach (var part in parts)
            {
                all.Add(part, "part");
            }
            return all;
        }

        /// <summary>Bodies, and whether they are sent a second time when at most 100 bytes are put into memory.</summary>
        private static readonly object[] Bodies =
        {
            new object[] { "a text", new Func<HttpContent>(() => new StringContent(new string('x', 101))), true },
            new object[] { "two megabytes", new Func<HttpContent>(() => new ByteArrayContent(new byte[2 << 20])), true },
            new object[] { "a form", new Func<HttpContent>(() => new FormUrlEncodedContent(new Dictionary<string, string> { { "a", new string('x', 200) } })), true },
            new object[] { "a stream that can seek", new Func<HttpContent>(() => new StreamContent(new System.IO.MemoryStream(new byte[2 << 20]))), true },
            new object[]
            {
                "texts and a stream in parts",
                new Func<HttpContent>(() => Multipart(new StringContent("a"), new StreamContent(new System.IO.MemoryStream(new byte[1000])))), true,
            },
            new object[] { "a stream of unknown length", new Func<HttpContent>(() => new Forward("abc")), false },
            new object[] { "the same in a part", new Func<HttpContent>(() => Multipart(new StringContent("a"), new Forward("abc"))), false },
            new object[] { "a short one of another kind", new Func<HttpContent>(() => new Once(100)), true },
            new object[] { "a long one of another kind", new Func<HttpContent>(() => new Once(101)), false },
            new object[] { "one of another kind and of unknown length", new Func<HttpContent>(() => new Once(-1)), false },
#if NET
            new object[] { "memory", new Func<HttpContent>(() => new ReadOnlyMemoryContent(new byte[101])), true },
            new object[] { "JSON", new Func<HttpContent>(() => System.Net.Http.Json.JsonContent.Create(new string('x', 101))), true },
#endif
        };

        [TestCaseSource(nameof(Bodies))]
        public async Task ABodyIsSentAgainIfItCanBeReadAgain(string what, Func<HttpContent> body, bool again)
        {
            var inner = new Answers(HttpStatusCode.Unauthorized, "<TokenError/>");
            using (var p21 = new Emulator())
            using (var manager = Quick(p21))
            using (var client = new HttpClient(new P21AuthHandler(manager) { InnerHandler = inner, MaxBufferedBody = 100 }))
            {
                var response = await client.PostAsync(p21.BaseUrl + "/x", body());
                Assert.That(response.StatusCode, Is.EqualTo(HttpStatusCode.Unauthorized), what);
                Assert.That(inner.Bodies.Count, Is.EqualTo(again ? 2 : 1));
                Assert.That(inner.Bodies[0], Is.GreaterThan(0));
                Assert.That(inner.Bodies[inner.Bodies.Count - 1], Is.EqualTo(inner.Bodies[0]));
            }
        }

        [Test]
        public async Task ABodyThatIsNotPutIntoMemoryArrivesWholeTheSecondTime()
        {
            using (var p21 = new Emulator())
            using (var manager = Quick(p21))
            using (var client = new HttpClient(new P21AuthHandler(manager) { MaxBufferedBody = 1, InnerHandler = P21Auth.CreateHttpHandler(manager) }))
            {
                manager.GetToken();
                p21.Revoke();
                var response = await client.PostAsync(p21.BaseUrl + Sessions, new StreamContent(new System.IO.MemoryStream(new byte[500000])));
                response.EnsureSuccessStatusCode();
                Assert.That(p21.LastRequests(), Does.Contain("\"body_bytes\":500000"));
            }
        }

        [Test]
        public void ATimeoutKeepsItsTextThroughHttpClient()
        {
            using (var p21 = new Emulator())
            using (var manager = new TokenManager(new P21Options(p21.Options()) { Timeout = TimeSpan.FromMilliseconds(50) }))
            using (var client = P21Auth.CreateAuthorizedClient(manager))
            using (var cancel = new CancellationTokenSource())
            {
                p21.Hold();
                foreach (var get in new Func<Task>[] { () => client.GetAsync(p21.BaseUrl + Table), () => client.GetStringAsync(p21.BaseUrl + Table) })
                {
                    var error = Assert.Throws<AggregateException>(() => get().Wait()).InnerException;
                    Assert.That(error, Is.InstanceOf<P21HttpException>());
                    Assert.That(error.Message, Does.StartWith("P21_E_TIMEOUT: ").And.Contains("Hint: "));
                    Assert.That(((P21HttpException)error).Code, Is.EqualTo(P21ErrorCode.Timeout));
                    Assert.That(error.InnerException, Is.InstanceOf<P21TimeoutException>());
                }
#if NET
                var blocking = Assert.Throws<P21HttpException>(() => client.Send(new HttpRequestMessage(HttpMethod.Get, p21.BaseUrl + Table)));
                Assert.That(blocking.InnerException, Is.InstanceOf<P21TimeoutException>());
#endif
                // The caller's own cancellation stays one.
                using (var patient = new TokenManager(p21.BaseUrl, "readonly", "readonly-password"))
                using (var other = P21Auth.CreateAuthorizedClient(patient))
                {
                    var mine = other.GetAsync(p21.BaseUrl + Table, cancel.Token);
                    cancel.Cancel();
                    Assert.CatchAsync<OperationCanceledException>(() => mine);
                }
                p21.Release();
            }
        }

        [TestCase("\"html\"", P21ErrorCode.Parse)]
        [TestCase("\"empty\"", P21ErrorCode.NoAccessToken)]
        [TestCase("{\"answer\":{\"status\":503}}", P21ErrorCode.Server)]
        [TestCase("\"reset\"", P21ErrorCode.Io)]
        public void EverythingBadFromTheTokenServerIsAnHttpRequestException(string action, P21ErrorCode code)
        {
            using (var p21 = new Emulator())
            using (var manager = new TokenManager(new P21Options(p21.Options()) { MaxRetries = 0 }))
            using (var client = P21Auth.CreateAuthorizedClient(manager))
            {
                p21.Fault("{\"path\":\"/token\",\"times\":0,\"action\":" + action + "}");
                var error = Assert.CatchAsync<HttpRequestException>(() => client.GetAsync(p21.BaseUrl + Table));
                Assert.That(((IP21Error)error).Code, Is.EqualTo(code), error.Message);
                Assert.That(((IP21Error)error).Hint, Is.Not.Empty);
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
                var options = new P21Options(p21.Options()) { AllowedHosts = new[] { new Uri(other.BaseUrl).Authority }, MinRefreshInterval = TimeSpan.Zero };
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
            using (var client = new HttpClient(new P21AuthHandler(manager) { InnerHandler = new HttpClientHandler() }))
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
        public async Task AReportLeavesTheBodyReadable()
        {
            string large = new string('x', 200000);
            using (var p21 = new Emulator())
            using (var manager = p21.Open())
            using (var client = new HttpClient(new P21AuthHandler(manager) { InnerHandler = new Answers(HttpStatusCode.Forbidden, large) { Streamed = true } }))
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
                using (var plain = new HttpClient(new P21AuthHandler(manager) { InnerHandler = new HttpClientHandler() }))
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
                var options = new P21Options(p21.Options()) { Proxy = proxy.BaseUrl, AllowHttp = true };
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

            /// <summary>The length of each request's body, read as an HTTP client does.</summary>
            internal List<long> Bodies { get; } = new List<long>();

            internal bool Streamed { get; set; }

            protected override async Task<HttpResponseMessage> SendAsync(HttpRequestMessage request, CancellationToken cancellationToken)
            {
                var read = new System.IO.MemoryStream();
                if (request.Content != null)
                {
                    await request.Content.CopyToAsync(read);
                }
                Bodies.Add(read.Length);
                return new HttpResponseMessage(status)
                {
                    RequestMessage = request,
                    Content = Streamed ? (HttpContent)new Forward(body) : new StringContent(body),
                };
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

        /// <summary>A content of one's own that can be written out once; -1: of unknown length.</summary>
        private sealed class Once : HttpContent
        {
            private readonly int size;
            private bool used;

            internal Once(int size) { this.size = size; }

            protected override Task SerializeToStreamAsync(System.IO.Stream stream, TransportContext context)
            {
                Assert.That(used, Is.False);
                used = true;
                return stream.WriteAsync(new byte[Math.Max(size, 1)], 0, Math.Max(size, 1));
            }

            protected override bool TryComputeLength(out long length)
            {
                length = size;
                return size >= 0;
            }
        }
    }
}
