using System;
using System.Collections.Generic;
using System.Linq;
using System.Net;
using System.Net.Http;
using System.Text;
using System.Threading.Tasks;
using LibP21Auth;
using NUnit.Framework;

namespace LibP21Auth.Tests
{
    /// <summary>Code as users write it after the community guide, with one <c>using</c> changed.</summary>
    [TestFixture]
    public class GuideTests
    {
        [Test]
        public async Task TokensAreFetchedAndUsedAsInTheGuide()
        {
            using (var p21 = new Emulator())
            {
                string baseUrl = p21.BaseUrl;
                var tokenData = await P21Auth.GetTokenV2Async(baseUrl, "demo", "demo-password");
                var token = tokenData["AccessToken"].ToString();
                int expires = tokenData["ExpiresInSeconds"]?.Value<int>() ?? 0;
                Assert.That(expires, Is.GreaterThan(86000));
                Assert.That((string)tokenData["TokenType"], Is.EqualTo("Bearer"));
                Assert.That((int)tokenData["ExpiresIn"], Is.EqualTo(expires));
                Assert.That(tokenData.Value<string>("UserName"), Is.EqualTo(tokenData.UserName ?? ""));
                Assert.That(tokenData["NoSuchField"], Is.Null);
                using (var client = P21Auth.CreateAuthorizedClient(token))
                {
                    Assert.That(client.DefaultRequestHeaders.Authorization.Parameter, Is.EqualTo(token));
                    var response = await client.GetAsync($"{baseUrl}/odataservice/odata/table/customer");
                    response.EnsureSuccessStatusCode();
                    Assert.That(await response.Content.ReadAsStringAsync(), Does.Contain("customer_id"));
                }
                string uiServer = await P21Auth.GetUiServerUrlAsync(baseUrl, token);
                Assert.That(uiServer, Is.EqualTo(baseUrl + "/uiserver0"));
            }
        }

#if NET
        [Test]
        public async Task TokensAreFetchedAndUsedInTodaysLanguage()
        {
            using var p21 = new Emulator();
            var tokenData = await P21Auth.GetTokenV2Async(p21.BaseUrl, "demo", "demo-password");
            var token = tokenData["AccessToken"]!.ToString();
            using var client = P21Auth.CreateAuthorizedClient(token);
            using var response = await client.GetAsync($"{p21.BaseUrl}/odataservice/odata/table/customer?$top=3");
            Assert.That(response.IsSuccessStatusCode);
            Assert.That(tokenData is { ExpiresInSeconds: > 86000, TokenType: "Bearer" });
        }
#endif

        /// <summary>As the guide writes it since 2026: with a client of the caller's, and values read like those of JsonElement.</summary>
        [Test]
        public async Task TheNewestFormWorks()
        {
            using (var p21 = new Emulator())
            using (var client = new HttpClient())
            {
                var tokenData = await P21Auth.GetTokenV2Async(client, p21.BaseUrl, "demo", "demo-password");
                Assert.That(tokenData.GetProperty("TokenType").GetString(), Is.EqualTo("Bearer"));
                Assert.That(tokenData.GetProperty("ExpiresInSeconds").GetInt64(), Is.GreaterThan(86000L));
                Assert.That(tokenData.GetProperty("ExpiresInSeconds").GetInt32(), Is.GreaterThan(86000));
                var accessToken = tokenData.GetProperty("AccessToken").GetString() ?? "";
                Assert.That(accessToken, Is.Not.Empty);
                Assert.That(tokenData.TryGetProperty("ExpiresIn", out var expires) ? expires.GetInt64() : 0, Is.GreaterThan(86000L));
                Assert.That(tokenData.TryGetProperty("NoSuchField", out var none), Is.False);
                Assert.Throws<KeyNotFoundException>(() => tokenData.GetProperty("NoSuchField"));
                Assert.Throws<InvalidOperationException>(() => tokenData.GetProperty("ExpiresIn").GetString());
                Assert.Throws<InvalidOperationException>(() => tokenData.GetProperty("AccessToken").GetInt64());
                Assert.Throws<InvalidOperationException>(() => tokenData.GetProperty("AccessToken").GetBoolean());
                // The guide's function leaves this behind, and later requests of its callers rely on it.
                Assert.That(client.DefaultRequestHeaders.Accept.ToString(), Is.EqualTo("application/json"));

                var key = await P21Auth.GetConsumerTokenAsync(client, p21.BaseUrl, Emulator.Key);
                Assert.That(key.GetProperty("ExpiresIn").GetInt64(), Is.GreaterThan(0));
                // What the server sends empty stays empty, and is not null.
                Assert.That(key.GetProperty("UserName").GetString(), Is.EqualTo(""));
                Assert.That(key.GetProperty("RefreshToken").GetString(), Is.EqualTo(""));
                Assert.That(key.GetProperty("AppKey").GetString(), Is.Null);
                Assert.That(key.GetProperty("Claims").GetProperty("iss").GetString(), Is.EqualTo("P21.Soa"));
                Assert.That((await P21Auth.GetConsumerTokenAsync(client, p21.BaseUrl, Emulator.Key, "demo")).GetProperty("UserName").GetString(), Is.EqualTo("demo"));
                Assert.That(client.DefaultRequestHeaders.Accept.Count, Is.EqualTo(1));
                Assert.That(p21.TokenRequests, Is.EqualTo(3));
            }
        }

        [Test]
        public async Task AManagerPutsItsTokenOnARequest()
        {
            using (var p21 = new Emulator())
            using (var client = new HttpClient { BaseAddress = new Uri(p21.BaseUrl) })
            {
                var manager = new TokenManager(p21.BaseUrl, "demo", "demo-password");
                foreach (var url in new[] { p21.BaseUrl + "/odataservice/odata/table/customer", "/odataservice/odata/table/customer" })
                {
                    var request = new HttpRequestMessage(HttpMethod.Get, url);
                    await manager.ApplyAuthAsync(request);
                    (await client.SendAsync(request)).EnsureSuccessStatusCode();
                    Assert.That(request.Headers.Accept.ToString(), Is.EqualTo("application/json"));
                }
                var xml = new HttpRequestMessage(HttpMethod.Get, "/x");
                xml.Headers.Add("Accept", "text/xml");
                await manager.ApplyAuthAsync(xml);
                Assert.That(xml.Headers.Accept.ToString(), Is.EqualTo("text/xml"));
                var elsewhere = new HttpRequestMessage(HttpMethod.Get, "https://elsewhere.example/");
                Assert.ThrowsAsync<P21ConfigException>(() => manager.ApplyAuthAsync(elsewhere));
                Assert.ThrowsAsync<P21ConfigException>(() => manager.ApplyAuthAsync(null));
                Assert.That(elsewhere.Headers.Authorization, Is.Null);
                Assert.That(p21.TokenRequests, Is.EqualTo(1));
                manager.Dispose();
            }
        }

#if NET
        private sealed class OwnManagerOfToday
        {
            private System.Text.Json.JsonElement? data;
            private DateTime since = DateTime.MinValue;

            internal async Task<string> GetTokenAsync(HttpClient client, string baseUrl)
            {
                long lives = data is { } known && known.TryGetProperty("ExpiresInSeconds", out var seconds) ? seconds.GetInt64() : 0;
                if ((DateTime.UtcNow - since).TotalSeconds >= lives - 300)
                {
                    data = await P21Auth.GetTokenV2Async(client, baseUrl, "demo", "demo-password");
                    since = DateTime.UtcNow;
                }
                return data!.Value.GetProperty("AccessToken").GetString();
            }
        }

        [Test]
        public async Task CodeThatDeclaresJsonElementCompiles()
        {
            using var p21 = new Emulator();
            using var client = new HttpClient();
            System.Text.Json.JsonElement tokenData = await P21Auth.GetConsumerTokenAsync(client, p21.BaseUrl, Emulator.Key);
            Assert.That(tokenData.GetProperty("UserName").GetString(), Is.EqualTo(""));
            Assert.That(tokenData.GetProperty("AppKey").ValueKind, Is.EqualTo(System.Text.Json.JsonValueKind.Null));
            Assert.That(tokenData.GetProperty("Claims").GetProperty("iss").GetString(), Is.EqualTo("P21.Soa"));
            var manager = new OwnManagerOfToday();
            string token = await manager.GetTokenAsync(client, p21.BaseUrl);
            Assert.That(await manager.GetTokenAsync(client, p21.BaseUrl), Is.EqualTo(token));
            System.Text.Json.JsonElement parsed = P21Auth.ParseTokenResponse(new HttpResponseMessage { Content = new StringContent("{\"AccessToken\":\"t\"}") });
            Assert.That(parsed.GetProperty("AccessToken").GetString(), Is.EqualTo("t"));
            Assert.That(p21.TokenRequests, Is.EqualTo(2));
        }
#endif

        [Test]
        public async Task ATokenManagerOfTheGuideWorks()
        {
            using (var p21 = new Emulator())
            {
                var manager = new TokenManager(p21.BaseUrl, "demo", "demo-password");
                string first = await manager.GetTokenAsync();
                Assert.That(await manager.GetTokenAsync(), Is.EqualTo(first));
                Assert.That(p21.TokenRequests, Is.EqualTo(1));
            }
        }

        /// <summary>The guide's own manager, over our functions: a user's class that was never thrown away.</summary>
        private sealed class OwnManager
        {
            private readonly string baseUrl;
            private TokenResponse data;
            private DateTime fetched = DateTime.MinValue;

            internal OwnManager(string baseUrl) { this.baseUrl = baseUrl; }

            internal async Task<string> GetTokenAsync()
            {
                var expires = data?["ExpiresInSeconds"]?.Value<int>() ?? 0;
                if (data == null || (DateTime.UtcNow - fetched).TotalSeconds > expires - 300)
                {
                    data = await P21Auth.GetTokenV2Async(baseUrl, "demo", "demo-password");
                    fetched = DateTime.UtcNow;
                }
                return data["AccessToken"].ToString();
            }
        }

        [Test]
        public async Task AnOwnManagerThatSubtractsFiveMinutesWorks()
        {
            using (var p21 = new Emulator("--lifetime 3600"))
            {
                var manager = new OwnManager(p21.BaseUrl);
                string first = await manager.GetTokenAsync();
                Assert.That(await manager.GetTokenAsync(), Is.EqualTo(first));
                var data = await P21Auth.GetTokenV2Async(p21.BaseUrl, "demo", "demo-password");
                Assert.That(data.ExpiresInSeconds - 300, Is.GreaterThan(0));
                Assert.That(p21.TokenRequests, Is.EqualTo(1));
            }
        }

        [Test]
        public async Task AThousandCallsSendOneRequestAndEachGetsItsOwnObject()
        {
            using (var p21 = new Emulator())
            {
                var calls = await Task.WhenAll(Enumerable.Range(0, 1000).Select(i => P21Auth.GetTokenV2Async(p21.BaseUrl, "demo", "demo-password")));
                Assert.That(calls.Select(c => c.AccessToken).Distinct().Count(), Is.EqualTo(1));
                Assert.That(calls.Distinct().Count(), Is.EqualTo(1000));
                Assert.That(p21.TokenRequests, Is.EqualTo(1));
            }
        }

        [Test]
        public async Task EveryDialectGivesEveryField()
        {
            var names = new[]
            {
                "AccessToken", "TokenType", "RefreshToken", "ExpiresInSeconds", "ExpiresIn", "UserName", "Scope", "SessionId", "ConsumerUid", "AppKey",
            };
            using (var p21 = new Emulator())
            {
                var replies = new[]
                {
                    await P21Auth.GetTokenV2Async(p21.BaseUrl, "demo", "demo-password"),
                    await P21Auth.GetTokenV1Async(p21.BaseUrl, "demo", "demo-password"),
                    await P21Auth.GetConsumerTokenAsync(p21.BaseUrl, Emulator.Key),
                    await P21Auth.GetConsumerTokenAsync(p21.BaseUrl, Emulator.Key, "demo"),
                    await P21Auth.RequestTokenAsync(p21.Options()),
                };
                foreach (var reply in replies)
                {
                    Assert.That(names.All(reply.ContainsKey), Is.True);
                    Assert.That(reply.ToDictionary().Keys, Is.SupersetOf(names));
                    Assert.That(reply.AccessToken, Is.Not.Empty);
                }
                Assert.That(replies.Select(r => r.AccessToken).Distinct().Count(), Is.EqualTo(replies.Length));
                Assert.That(replies[2].ConsumerUid, Is.EqualTo("1"));
                Assert.That(replies[2].Scope, Is.EqualTo("/api;/p21sdk"));
                Assert.That(replies[3].Claims["sub"].ToString(), Is.EqualTo("demo"));
                Assert.That(p21.Count("token.dialect.v1_password"), Is.EqualTo(1));
            }
        }

        [Test]
        public async Task CallingAgainHealsATokenThatDied()
        {
            using (var p21 = new Emulator())
            {
                // 15 minutes by default.
                var options = new P21Options { MaxTokenAge = TimeSpan.FromSeconds(1), MinRefreshInterval = TimeSpan.Zero };
                string dead = (await P21Auth.GetTokenV2Async(p21.BaseUrl, "demo", "demo-password", options)).AccessToken;
                p21.Revoke();
                string token;
                do
                {
                    await Task.Delay(20);
                    token = (await P21Auth.GetTokenV2Async(p21.BaseUrl, "demo", "demo-password", options)).AccessToken;
                }
                while (token == dead);
                using (var client = P21Auth.CreateAuthorizedClient(token))
                {
                    (await client.GetAsync(p21.BaseUrl + "/odataservice/odata/table/customer")).EnsureSuccessStatusCode();
                }
            }
        }

        [Test]
        public async Task AReportHealsAtOnce()
        {
            using (var p21 = new Emulator())
            {
                var options = new P21Options { MinRefreshInterval = TimeSpan.Zero };
                var data = await P21Auth.GetTokenV2Async(p21.BaseUrl, "demo", "demo-password", options);
                p21.Revoke();
                using (var client = P21Auth.CreateAuthorizedClient(data.AccessToken))
                {
                    var response = await client.GetAsync(p21.BaseUrl + "/odataservice/odata/table/customer");
                    Assert.That(response.StatusCode, Is.EqualTo(HttpStatusCode.Unauthorized));
                    Assert.That(await P21Auth.ReportAsync(data, response), Is.EqualTo(P21Verdict.Retry));
                }
                var other = await P21Auth.GetTokenV2Async(p21.BaseUrl, "demo", "demo-password", options);
                Assert.That(other.AccessToken, Is.Not.EqualTo(data.AccessToken));
            }
        }

        [Test]
        public async Task ExistingCatchClausesFire()
        {
            using (var p21 = new Emulator())
            {
                try
                {
                    await P21Auth.GetTokenV2Async(p21.BaseUrl, "demo", "wrong-password");
                    Assert.Fail("no error");
                }
                catch (HttpRequestException e)
                {
                    Assert.That(e.Message, Does.Contain("password"));
#if NET
                    Assert.That(e.StatusCode, Is.EqualTo(HttpStatusCode.Unauthorized));
#endif
                    Assert.That(((P21HttpException)e).StatusCode, Is.EqualTo(HttpStatusCode.Unauthorized));
                }
                p21.Hold();
                try
                {
                    await P21Auth.GetConsumerTokenAsync(p21.BaseUrl, Emulator.Key, options: new P21Options { Timeout = TimeSpan.FromMilliseconds(50) });
                    Assert.Fail("no error");
                }
                catch (TaskCanceledException e)
                {
                    Assert.That(e.InnerException, Is.InstanceOf<TimeoutException>());
                }
                p21.Release();
                p21.Fault("{\"path\":\"/token\",\"action\":\"html\"}");
                try
                {
                    await P21Auth.GetTokenV2Async(p21.BaseUrl, "readonly", "readonly-password");
                    Assert.Fail("no error");
                }
                catch (InvalidOperationException e)
                {
                    Assert.That(e, Is.InstanceOf<P21ParseException>());
                }
                var config = Assert.CatchAsync<ArgumentException>(() => P21Auth.GetTokenV2Async(p21.BaseUrl, null, null));
                Assert.That(config, Is.InstanceOf<IP21Error>());
            }
        }

        [Test]
        public void RepliesAreParsedInEveryFormat()
        {
            var json = P21Auth.ParseTokenResponse("{\"AccessToken\":\"abc\",\"ExpiresInSeconds\":\"86400\",\"TokenType\":\"Bearer\"}");
            Assert.That(json["AccessToken"].ToString(), Is.EqualTo("abc"));
            Assert.That(json.ExpiresInSeconds, Is.InRange(86390, 86400));
            var response = new HttpResponseMessage(HttpStatusCode.OK)
            {
                Content = new StringContent(
                    "<TokenResponse><AccessToken>xyz</AccessToken><ExpiresIn>60</ExpiresIn><RefreshToken /></TokenResponse>", Encoding.UTF8, "text/xml"),
            };
            var xml = P21Auth.ParseTokenResponse(response);
            Assert.That(xml["AccessToken"].ToString(), Is.EqualTo("xyz"));
            foreach (var bad in new[] { "", "<html><body>Prophet 21</body></html>", "{\"ErrorMessage\":\"x\"}", "<TokenError><Error>invalid_grant</Error></TokenError>" })
            {
                var error = Assert.Throws<P21ParseException>(() => P21Auth.ParseTokenResponse(bad));
                Assert.That(error, Is.InstanceOf<InvalidOperationException>());
            }
        }

        [Test]
        public void AFieldConvertsAsAJsonLibrarysWould()
        {
            var data = P21Auth.ParseTokenResponse("{\"AccessToken\":\"abc\",\"ExpiresIn\":60,\"AppKey\":null}");
            Assert.That(data["AppKey"].ToString(), Is.EqualTo(""));
            Assert.That(data["AppKey"].IsNull, Is.True);
            Assert.That((string)data["AppKey"], Is.Null);
            Assert.That(data["AppKey"].Value<int?>(), Is.Null);
            Assert.Throws<InvalidCastException>(() => data["AppKey"].Value<int>());
            Assert.That(data["ExpiresIn"].Value<long>(), Is.EqualTo((long)data["ExpiresIn"]));
            Assert.That(data["ExpiresIn"].Value<string>(), Is.EqualTo(data["ExpiresIn"].ToString()));
            Assert.Throws<FormatException>(() => data["AccessToken"].Value<int>());
            Assert.Throws<OverflowException>(() => P21ModelFactory.TokenResponse("a", 600)["ExpiresIn"].Value<sbyte>());
            Assert.That(data.TryGetValue("AccessToken", out var found) && found.ToString() == "abc", Is.True);
            Assert.That(data.TryGetValue("NoSuchField", out found), Is.False);
            var typed = P21ModelFactory.TokenResponse("a", 60, new Dictionary<string, object>
            {
                { "SessionId", "0f8fad5b-d9cb-469f-a165-70867728950e" }, { "at", "2026-11-26T10:00:00Z" }, { "mode", "V1Query" },
            });
            Assert.That(typed["SessionId"].Value<Guid>(), Is.EqualTo(new Guid("0f8fad5b-d9cb-469f-a165-70867728950e")));
            Assert.That(typed.Value<Guid?>("SessionId"), Is.EqualTo(new Guid("0f8fad5b-d9cb-469f-a165-70867728950e")));
            Assert.That(typed.Value<Guid?>("AppKey"), Is.Null);
            Assert.That(typed["at"].Value<DateTimeOffset>(), Is.EqualTo(new DateTimeOffset(2026, 11, 26, 10, 0, 0, TimeSpan.Zero)));
            Assert.That(typed["mode"].Value<P21AuthMode>(), Is.EqualTo(P21AuthMode.V1Query));
            Assert.That(typed["ExpiresIn"].Value<decimal>(), Is.EqualTo(60m));
            Assert.Throws<InvalidCastException>(() => typed["ExpiresIn"].Value<Guid>());
            Assert.That((string)data["NoSuchField"], Is.Null);
            Assert.Throws<ArgumentNullException>(() => { var x = (int)data["NoSuchField"]; });
        }
    }
}
