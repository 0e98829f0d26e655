using System;
using System.Collections.Generic;
using System.Linq;
using System.Threading;
using System.Threading.Tasks;
using LibP21Auth;
using NUnit.Framework;

namespace LibP21Auth.Tests
{
    [TestFixture]
    public class TokenManagerTests
    {
        [Test]
        public void ManyCallsSendOneRequest()
        {
            using (var p21 = new Emulator())
            using (var manager = p21.Open())
            {
                string first = manager.GetToken();
                string token = manager.GetToken();
                Assert.That(token, Is.EqualTo(first));
                for (int i = 0; i < 1000; i++)
                {
                    Assert.That(manager.GetToken(), Is.SameAs(token));
                }
                Assert.That(manager.GetTokenAsync().Result, Is.SameAs(token));
                Assert.That(p21.TokenRequests, Is.EqualTo(1));
            }
        }

        [Test]
        public void ManagersOfOneIdentityShareTheToken()
        {
            using (var p21 = new Emulator())
            using (var one = p21.Open())
            using (var two = p21.Open())
            using (var other = new TokenManager(p21.BaseUrl, "readonly", "readonly-password"))
            {
                Assert.That(two.GetToken(), Is.EqualTo(one.GetToken()));
                Assert.That(other.GetToken(), Is.Not.EqualTo(one.GetToken()));
                Assert.That(p21.TokenRequests, Is.EqualTo(2));
            }
        }

        [Test]
        public void AHitIsACompletedTaskAndAlwaysTheSame()
        {
            using (var p21 = new Emulator())
            using (var manager = p21.Open())
            {
                manager.GetToken();
                var task = manager.GetTokenAsync();
                Assert.That(task.IsCompleted, Is.True);
                Assert.That(manager.GetTokenAsync(), Is.SameAs(task));
                Assert.That(manager.GetTokenAsync(CancellationToken.None), Is.SameAs(task));
            }
        }

#if NET
        [Test]
        public void AHitAllocatesNothing()
        {
            using (var p21 = new Emulator())
            using (var manager = p21.Open())
            {
                manager.GetToken();
                int Work()
                {
                    int length = 0;
                    for (int i = 0; i < 10000; i++)
                    {
                        length += manager.GetToken().Length + (manager.GetTokenAsync().IsCompleted ? 1 : 0);
                        length += manager.GetAccessToken().Value.Length + (manager.GetAccessTokenAsync().IsCompleted ? 1 : 0);
                    }
                    return length;
                }
                Work();
                long before = GC.GetAllocatedBytesForCurrentThread();
                int sum = Work();
                Assert.That(GC.GetAllocatedBytesForCurrentThread() - before, Is.EqualTo(0));
                Assert.That(sum, Is.GreaterThan(0));
            }
        }
#endif

        [Test]
        public async Task ATokenAndItsExpiryAreAHitToo()
        {
            using (var p21 = new Emulator())
            using (var manager = p21.Open())
            {
                var access = await manager.GetAccessTokenAsync();
                Assert.That(access.Value, Is.EqualTo(manager.GetToken()));
                Assert.That(access.ExpiresAt, Is.EqualTo(DateTimeOffset.UtcNow.AddDays(1)).Within(TimeSpan.FromMinutes(5)));
                Assert.That(manager.GetAccessToken(), Is.SameAs(manager.GetAccessToken()));
                Assert.That(manager.GetAccessTokenAsync(), Is.SameAs(manager.GetAccessTokenAsync()));
                Assert.CatchAsync<OperationCanceledException>(() => manager.GetAccessTokenAsync(new CancellationToken(true)));
                Assert.That(p21.TokenRequests, Is.EqualTo(1));
            }
        }

        [Test]
        public void AForcedRefreshIsSeenByTheOtherManagersHit()
        {
            using (var p21 = new Emulator())
            using (var one = new TokenManager(new P21Options(p21.Options()) { MinRefreshInterval = TimeSpan.Zero }))
            using (var two = new TokenManager(new P21Options(p21.Options()) { MinRefreshInterval = TimeSpan.Zero }))
            {
                string first = two.GetToken();
                string second = one.GetToken(TokenFlags.ForceRefresh);
                Assert.That(second, Is.Not.EqualTo(first));
                Assert.That(two.GetToken(), Is.EqualTo(second));
                Assert.That(two.GetTokenAsync(TokenFlags.ForceRefresh).Result, Is.Not.EqualTo(second));
                Assert.That(p21.TokenRequests, Is.EqualTo(3));
            }
        }

        [Test]
        public void CachedOnlyAndNoWaitNeverWait()
        {
            using (var p21 = new Emulator())
            using (var manager = p21.Open())
            {
                var none = Assert.Throws<P21HttpException>(() => manager.GetToken(TokenFlags.CachedOnly));
                Assert.That(none.Code, Is.EqualTo(P21ErrorCode.NoCachedToken));
                Assert.That(p21.TokenRequests, Is.EqualTo(0));

                p21.Hold();
                var pending = Assert.Throws<P21HttpException>(() => manager.GetToken(TokenFlags.NoWait));
                Assert.That(pending.Code, Is.EqualTo(P21ErrorCode.Pending));
                Assert.That(pending.IsRetryable, Is.True);
                p21.WaitFor("held", 1);
                var later = manager.GetTokenAsync();
                p21.Release();
                string token = later.Result;
                Assert.That(manager.GetToken(TokenFlags.NoWait), Is.EqualTo(token));
                Assert.That(manager.GetTokenAsync(TokenFlags.CachedOnly).Result, Is.EqualTo(token));
                Assert.That(p21.TokenRequests, Is.EqualTo(1));
            }
        }

        [Test]
        public void NoWaitIsTooLongAndNoneMayBeNegative()
        {
            using (var p21 = new Emulator())
            using (var manager = p21.Open())
            {
                p21.Hold();
                var endless = Task.Run(() => manager.GetToken(TokenFlags.None, Timeout.InfiniteTimeSpan));
                var snapshot = Task.Run(() => manager.Snapshot(wait: Timeout.InfiniteTimeSpan));
                p21.WaitFor("held", 1);
                Assert.Throws<P21TimeoutException>(() => manager.GetToken(TokenFlags.None, TimeSpan.FromMilliseconds(30)));
                Assert.That(endless.IsCompleted || snapshot.IsCompleted, Is.False);
                foreach (var bad in new[] { TimeSpan.FromMilliseconds(-2), TimeSpan.MinValue, TimeSpan.MaxValue })
                {
                    Assert.That(Assert.Throws<P21ConfigException>(() => manager.GetToken(TokenFlags.None, bad)).Hint, Is.Not.Empty);
                    Assert.Throws<P21ConfigException>(() => manager.Snapshot(wait: bad));
                    Assert.Throws<P21ConfigException>(() => manager.Snapshot(bad));
                    Assert.ThrowsAsync<P21ConfigException>(() => manager.SnapshotAsync(bad));
                }
                Assert.ThrowsAsync<P21ConfigException>(() => manager.SnapshotAsync(Timeout.InfiniteTimeSpan));
                p21.Release();
                Assert.That(endless.Result, Is.EqualTo(snapshot.Result.AccessToken));
            }
        }

        [Test]
        public void ContradictingFlagsAreRefused()
        {
            using (var p21 = new Emulator())
            using (var manager = p21.Open())
            {
                var error = Assert.Throws<P21ConfigException>(() => manager.GetToken(TokenFlags.ForceRefresh | TokenFlags.NoWait));
                Assert.That(error.Code, Is.EqualTo(P21ErrorCode.InvalidArgument));
            }
        }

        [Test]
        public void AShortWaitEndsWhileTheRequestGoesOn()
        {
            using (var p21 = new Emulator())
            using (var manager = p21.Open())
            {
                p21.Hold();
                var error = Assert.Throws<P21TimeoutException>(() => manager.GetToken(TokenFlags.None, TimeSpan.FromMilliseconds(20)));
                Assert.That(error.InnerException, Is.InstanceOf<TimeoutException>());
                Assert.That(error.RetryAfter, Is.EqualTo(TimeSpan.Zero));
                p21.WaitFor("held", 1);
                p21.Release();
                manager.GetToken();
                Assert.That(p21.TokenRequests, Is.EqualTo(1));
            }
        }

        [Test]
        public void ASnapshotStaysWhenTheTokenGoes()
        {
            using (var p21 = new Emulator())
            using (var manager = p21.Open())
            {
                var snapshot = manager.Snapshot();
                Assert.That(snapshot.AccessToken, Is.EqualTo(manager.GetToken()));
                Assert.That(snapshot.ExpiresIn, Is.GreaterThan(TimeSpan.FromHours(23)));
                Assert.That(snapshot.ExpiresAt, Is.EqualTo(DateTimeOffset.UtcNow.AddDays(1)).Within(TimeSpan.FromMinutes(5)));
                manager.Invalidate();
                var later = manager.SnapshotAsync().Result;
                Assert.That(later.AccessToken, Is.Not.EqualTo(snapshot.AccessToken));
                Assert.That(later.Generation, Is.Not.EqualTo(snapshot.Generation));
                var reply = snapshot.ToResponse();
                Assert.That(reply.AccessToken, Is.EqualTo(snapshot.AccessToken));
                Assert.That(reply.Claims["iss"].ToString(), Is.EqualTo("P21.Soa"));
                Assert.That(snapshot.ToString(), Does.Not.Contain(snapshot.AccessToken));
                Assert.That(reply.ToString(), Does.Not.Contain(snapshot.AccessToken));
            }
        }

        [Test]
        public void MinValidIsNotInsistedOnWhereTokensNeverLiveThatLong()
        {
            using (var p21 = new Emulator("--lifetime 1000"))
            using (var manager = p21.Open())
            {
                var first = manager.Snapshot(TimeSpan.FromSeconds(500));
                Assert.That(first.ExpiresIn.TotalSeconds, Is.GreaterThan(500));
                Assert.That(manager.Snapshot(TimeSpan.FromSeconds(5000)).AccessToken, Is.EqualTo(first.AccessToken));
                Assert.That(manager.SnapshotAsync(TimeSpan.FromSeconds(5000)).Result.AccessToken, Is.EqualTo(first.AccessToken));
                Assert.That(p21.TokenRequests, Is.EqualTo(1));
            }
        }

        [Test]
        public void ARejectedTokenIsReplaced()
        {
            using (var p21 = new Emulator())
            using (var manager = new TokenManager(new P21Options(p21.Options()) { MinRefreshInterval = TimeSpan.Zero }))
            {
                string token = manager.GetToken();
                var body = System.Text.Encoding.UTF8.GetBytes("<TokenError><Error>invalid_token</Error></TokenError>");
                Assert.That(manager.Report("Bearer " + token, 401, body), Is.EqualTo(P21Verdict.Retry));
                Assert.That(manager.GetToken(), Is.Not.EqualTo(token));
                Assert.That(manager.Report(token, 403), Is.EqualTo(P21Verdict.Permission));
                Assert.Throws<P21ConfigException>(() => manager.Report(token, 99));
                foreach (P21Verdict verdict in Enum.GetValues(typeof(P21Verdict)))
                {
                    Assert.That(P21Auth.VerdictHint(verdict), Is.Not.Empty);
                }
            }
        }

        [Test]
        public void UpdateGivesOtherCredentials()
        {
            using (var p21 = new Emulator())
            using (var manager = new TokenManager(p21.BaseUrl, Emulator.User, "wrong-password"))
            {
                Assert.Throws<P21HttpException>(() => manager.GetToken());
                manager.Update(p21.Options());
                Assert.That(manager.GetToken(), Is.Not.Empty);
                var error = Assert.Throws<P21ConfigException>(() => manager.Update(new P21Options()));
                Assert.That(error.Message, Does.Contain("base_url"));
                Assert.That(manager.GetToken(), Is.Not.Empty);
            }
        }

        [Test]
        public void StatsTellWhatIsGoingOn()
        {
            using (var p21 = new Emulator())
            using (var manager = p21.Open())
            {
                manager.GetToken();
                var stats = manager.Stats();
                Assert.That(stats["base_url"], Is.EqualTo(p21.BaseUrl));
                Assert.That(((IDictionary<string, object>)stats["counters"])["token_requests"], Is.EqualTo(1L));
                Assert.That(manager.BaseUrl, Is.EqualTo(p21.BaseUrl));
                Assert.That(manager.Url("/x?y=1"), Is.EqualTo(p21.BaseUrl + "/x?y=1"));
                Assert.That(manager.Url("x"), Is.EqualTo(p21.BaseUrl + "/x"));
                Assert.That(manager.Url("/"), Is.EqualTo(p21.BaseUrl + "/"));
                Assert.That(manager.Url(""), Is.EqualTo(p21.BaseUrl + "/"));
                Assert.That(manager.Url("//x"), Is.EqualTo(p21.BaseUrl + "/x"));
                Assert.That(manager.BaseAddress, Is.EqualTo(new Uri(p21.BaseUrl + "/")));
                // What the server says is the next page, as it is; but not elsewhere.
                Assert.That(manager.Url(p21.BaseUrl + "/x?$skip=10"), Is.EqualTo(p21.BaseUrl + "/x?$skip=10"));
                Assert.That(manager.Url(p21.BaseUrl.ToUpperInvariant() + "/x"), Is.EqualTo(p21.BaseUrl.ToUpperInvariant() + "/x"));
                Assert.That(Assert.Throws<P21ConfigException>(() => manager.Url("https://elsewhere.example/x")).Message, Does.Contain("elsewhere.example"));
                Assert.Throws<P21ConfigException>(() => manager.Url(null));
                Assert.Throws<P21ConfigException>(() => manager.MaySendTo(null));
                Assert.That(manager.MaySendTo(new Uri("/x", UriKind.Relative)), Is.False);
            }
        }

        [Test]
        public void AUrlIsRememberedForItsPathAloneUntilAnUpdate()
        {
            using (var p21 = new Emulator())
            using (var other = new Emulator())
            using (var manager = p21.Open())
            {
                string[] paths = { "/x", "y", "/z?a=b" };
                string[] urls = paths.Select(path => p21.BaseUrl + "/" + path.TrimStart('/')).ToArray();
                Assert.That(manager.Url(paths[0]), Is.EqualTo(urls[0]));
                manager.Url(paths[0]);
                Assert.That(manager.Url(paths[0]), Is.SameAs(manager.Url(paths[0])));
                Parallel.For(0, 60_000, n => Assert.That(manager.Url(paths[n / 4 % 3]) == urls[n / 4 % 3]));
                manager.Url(paths[0]);
                manager.Url(paths[0]);
                Assert.That(manager.Url(paths[0]), Is.SameAs(manager.Url(paths[0])));
                manager.Update(other.Options());
                Assert.That(manager.Url(paths[0]), Is.EqualTo(other.BaseUrl + paths[0]));
            }
        }

        [Test]
        public void TheUiUrlIsAskedForOnce()
        {
            using (var p21 = new Emulator())
            using (var manager = p21.Open())
            {
                string url = manager.GetUiServerUrlAsync().Result;
                Assert.That(url, Is.EqualTo(p21.BaseUrl + "/uiserver0"));
                Assert.That(manager.GetUiServerUrl(), Is.EqualTo(url));
                Assert.That(p21.Count("router.requests"), Is.EqualTo(1));
            }
        }

        [Test]
        public void TheDefaultManagerReadsTheEnvironment()
        {
            using (var p21 = new Emulator())
            {
                Environment.SetEnvironmentVariable("P21_BASE_URL", null);
                var missing = Assert.Throws<P21ConfigException>(() => P21Auth.Default.GetToken());
                Assert.That(missing.Message, Does.Contain("P21_BASE_URL"));
                Environment.SetEnvironmentVariable("P21_BASE_URL", p21.BaseUrl);
                Environment.SetEnvironmentVariable("P21_USERNAME", Emulator.User);
                Environment.SetEnvironmentVariable("P21_PASSWORD", Emulator.Password);
                try
                {
                    Assert.That(P21Auth.Default.GetToken(), Is.Not.Empty);
                    Assert.That(P21Auth.Default, Is.SameAs(P21Auth.Default));
                    P21Auth.Default.Dispose();
                    Assert.That(P21Auth.Default.GetToken(), Is.Not.Empty);
                }
                finally
                {
                    Environment.SetEnvironmentVariable("P21_BASE_URL", null);
                    Environment.SetEnvironmentVariable("P21_USERNAME", null);
                    Environment.SetEnvironmentVariable("P21_PASSWORD", null);
                }
            }
        }
    }
}
