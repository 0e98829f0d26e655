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
    public class AsyncTests
    {
        [Test]
        public void AThousandColdCallersSendOneRequestAndLeaveThePoolFree()
        {
            using (var p21 = new Emulator())
            using (var manager = p21.Open())
            {
                p21.Hold();
                var callers = Enumerable.Range(0, 1000).Select(i => manager.GetTokenAsync()).ToArray();
                p21.WaitFor("held", 1);
                // The pool is free if work queued now is done while all of them wait.
                var ticks = Enumerable.Range(0, Environment.ProcessorCount * 4).Select(i => Task.Run(() => i)).ToArray();
                Assert.That(Task.WaitAll(ticks, TimeSpan.FromSeconds(10)), Is.True);
                using (var ticked = new ManualResetEventSlim())
                using (new Timer(state => ticked.Set(), null, 1, 1))
                {
                    Assert.That(ticked.Wait(TimeSpan.FromSeconds(10)), Is.True);
                }
                Assert.That(callers.Any(c => c.IsCompleted), Is.False);
                p21.Release();
                Assert.That(Task.WhenAll(callers).Result.Distinct().Count(), Is.EqualTo(1));
                Assert.That(p21.TokenRequests, Is.EqualTo(1));
            }
        }

        [Test]
        public void FiftyColdCallersShareOneRefusal()
        {
            using (var p21 = new Emulator())
            using (var manager = new TokenManager(p21.BaseUrl, Emulator.User, "wrong-password"))
            {
                var callers = Enumerable.Range(0, 50).Select(i => manager.GetTokenAsync()).ToArray();
                foreach (var caller in callers)
                {
                    var error = Assert.ThrowsAsync<P21HttpException>(() => caller);
                    Assert.That(error.Code, Is.EqualTo(P21ErrorCode.Unauthorized));
                }
                Assert.That(p21.TokenRequests, Is.EqualTo(1));
            }
        }

        [Test]
        public void ACancelledAwaiterLeavesTheOthers()
        {
            using (var p21 = new Emulator())
            using (var manager = p21.Open())
            using (var cancel = new CancellationTokenSource())
            {
                p21.Hold();
                var leaving = manager.GetTokenAsync(cancel.Token);
                var staying = manager.GetTokenAsync();
                var stayingToo = manager.GetTokenAsync(new CancellationTokenSource().Token);
                p21.WaitFor("held", 1);
                cancel.Cancel();
                Assert.ThrowsAsync<TaskCanceledException>(() => leaving);
                Assert.That(staying.IsCompleted, Is.False);
                p21.Release();
                Assert.That(staying.Result, Is.EqualTo(stayingToo.Result));
                Assert.That(p21.TokenRequests, Is.EqualTo(1));
                Assert.ThrowsAsync<TaskCanceledException>(() => manager.GetTokenAsync(cancel.Token));
            }
        }

        private static TokenManager[] Users(Emulator p21, int count, string key = Emulator.Key, int timeoutMs = 30000)
        {
            return Enumerable.Range(0, count).Select(i => new TokenManager(new P21Options
            {
                BaseUrl = p21.BaseUrl, ConsumerKey = key, Username = "user" + i, Timeout = TimeSpan.FromMilliseconds(timeoutMs),
            })).ToArray();
        }

        private static void Close(TokenManager[] managers)
        {
            foreach (var manager in managers)
            {
                manager.Dispose();
            }
        }

        /// <summary>Threads of this process but for the library's flights, which have a name.</summary>
        private static int OwnThreads()
        {
            int count = 0;
            foreach (var task in System.IO.Directory.GetDirectories("/proc/self/task"))
            {
                try
                {
                    count += System.IO.File.ReadAllText(System.IO.Path.Combine(task, "comm")).StartsWith("p21auth-", StringComparison.Ordinal) ? 0 : 1;
                }
                catch (System.IO.IOException)
                {
                    // It has ended since.
                }
            }
            return count;
        }

        [Test]
        public void FiveHundredUsersFirstTokensNeedFewThreads()
        {
            using (var p21 = new Emulator())
            {
                p21.Hold();
                var managers = Users(p21, 500);
                int before = OwnThreads();
                var tokens = managers.Select(m => m.GetTokenAsync()).ToArray();
                p21.WaitFor("held", managers.Length);
                Assert.That(OwnThreads() - before, Is.LessThanOrEqualTo(20));
                Assert.That(tokens.Any(t => t.IsCompleted), Is.False);
                p21.Release();
                Assert.That(Task.WhenAll(tokens).Result.Distinct().Count(), Is.EqualTo(managers.Length));
                Assert.That(p21.TokenRequests, Is.EqualTo(managers.Length));
                Close(managers);
            }
        }

        [Test]
        public void NoWaitStandsBehindAnother()
        {
            using (var stuck = new Emulator())
            using (var p21 = new Emulator())
            {
                stuck.Hold();
                var managers = Users(stuck, 40);
                var waiting = managers.Select(m => m.GetTokenAsync()).ToArray();
                // More than have a thread each wait, and yet everything else goes on.
                using (var manager = new TokenManager(new P21Options(p21.Options()) { MinRefreshInterval = TimeSpan.Zero }))
                {
                    string first = manager.GetTokenAsync().Result;
                    Assert.That(manager.GetUiServerUrlAsync().Result, Is.EqualTo(p21.BaseUrl + "/uiserver0"));
                    Assert.That(manager.GetTokenAsync(TokenFlags.ForceRefresh).Result, Is.Not.EqualTo(first));
                    Assert.That(manager.SnapshotAsync(TimeSpan.FromHours(2)).Result.ExpiresIn, Is.GreaterThan(TimeSpan.FromHours(2)));
                    Assert.That(P21Auth.GetTokenV2Async(p21.BaseUrl, "demo", "demo-password").Result.ExpiresInSeconds, Is.GreaterThan(300));
                    using (var other = new TokenManager(new P21Options(p21.Options()) { Password = "wrong" }))
                    {
                        Assert.That(Assert.ThrowsAsync<P21HttpException>(() => other.GetTokenAsync()).Code, Is.EqualTo(P21ErrorCode.Unauthorized));
                    }
                }
                Assert.That(waiting.Any(t => t.IsCompleted), Is.False);
                stuck.Release();
                Assert.That(Task.WhenAll(waiting).Result.Distinct().Count(), Is.EqualTo(managers.Length));
                Assert.That(stuck.TokenRequests, Is.EqualTo(managers.Length));
                Close(managers);
            }
        }

        [Test]
        public void EveryOneOfManyWaitsFailsInItsOwnWords()
        {
            using (var p21 = new Emulator())
            {
                var refused = Users(p21, 40, "no such key");
                foreach (var token in refused.Select(m => m.GetTokenAsync()).ToArray())
                {
                    Assert.That(Assert.ThrowsAsync<P21HttpException>(() => token).Code, Is.EqualTo(P21ErrorCode.Unauthorized));
                }
                Assert.That(p21.TokenRequests, Is.EqualTo(refused.Length));
                p21.Hold();
                var late = Users(p21, 40, timeoutMs: 300);
                foreach (var token in late.Select(m => m.GetTokenAsync()).ToArray())
                {
                    var error = Assert.Throws<AggregateException>(() => token.Wait()).InnerException;
                    Assert.That(error, Is.InstanceOf<P21TimeoutException>());
                    Assert.That(error.Message, Does.StartWith("P21_E_TIMEOUT: "));
                }
                var closed = Users(p21, 40, Emulator.Key.Replace("01", "02"));
                var tokens = closed.Select(m => m.GetTokenAsync()).ToArray();
                Close(closed);
                foreach (var token in tokens)
                {
                    Assert.ThrowsAsync<P21ClosedException>(() => token);
                }
                p21.Release();
                Close(refused);
                Close(late);
            }
        }

        [Test]
        public void DisposeWakesThoseWhoWait()
        {
            using (var p21 = new Emulator())
            {
                var manager = p21.Open();
                p21.Hold();
                var awaiting = manager.GetTokenAsync();
                var blocked = Task.Factory.StartNew(() => manager.GetToken(), TaskCreationOptions.LongRunning);
                var url = manager.GetUiServerUrlAsync();
                p21.WaitFor("held", 1);
                Assert.That(awaiting.IsCompleted, Is.False);
                manager.Dispose();
                manager.Dispose();
                Assert.ThrowsAsync<P21ClosedException>(() => awaiting);
                Assert.ThrowsAsync<P21ClosedException>(() => blocked);
                Assert.ThrowsAsync<P21ClosedException>(() => url);
                Assert.Catch<ObjectDisposedException>(() => manager.GetToken());
                Assert.CatchAsync<ObjectDisposedException>(() => manager.GetTokenAsync());
                Assert.Catch<ObjectDisposedException>(() => manager.Stats());
                Assert.Catch<ObjectDisposedException>(() => manager.Invalidate());
                p21.Release();
            }
        }

        [Test]
        public void AHitEndsWithDispose()
        {
            using (var p21 = new Emulator())
            {
                var manager = p21.Open();
                manager.GetToken();
                manager.Dispose();
                Assert.Catch<ObjectDisposedException>(() => manager.GetToken());
            }
        }

        /// <summary>Everything that may time out, by the name of what is asked.</summary>
        private static readonly object[] Late = new Dictionary<string, Func<TokenManager, string, CancellationToken, Task>>
        {
            { "token", (manager, url, cancel) => manager.GetTokenAsync(cancel) },
            { "forced", (manager, url, cancel) => manager.GetTokenAsync(TokenFlags.ForceRefresh, cancel) },
            { "access token", (manager, url, cancel) => manager.GetAccessTokenAsync(cancel) },
            { "snapshot", (manager, url, cancel) => manager.SnapshotAsync(cancellationToken: cancel) },
            { "UI server", (manager, url, cancel) => manager.GetUiServerUrlAsync(cancel) },
            { "uncached", (manager, url, cancel) => P21Auth.RequestTokenAsync(new P21Options(Quick) { BaseUrl = url, Username = "a", Password = "b" }, cancel) },
            { "guide, V2", (manager, url, cancel) => P21Auth.GetTokenV2Async(url, "a", "b", Quick, cancel) },
            { "guide, V1", (manager, url, cancel) => P21Auth.GetTokenV1Async(url, "a", "b", Quick, cancel) },
            { "guide, key", (manager, url, cancel) => P21Auth.GetConsumerTokenAsync(url, Emulator.Key, "", Quick, cancel) },
            { "guide, JObject, V2", (manager, url, cancel) => LibP21Auth.Newtonsoft.P21Auth.GetTokenV2Async(url, "a", "b", Quick, cancel) },
            { "guide, JObject, V1", (manager, url, cancel) => LibP21Auth.Newtonsoft.P21Auth.GetTokenV1Async(url, "a", "b", Quick, cancel) },
            { "guide, JObject, key", (manager, url, cancel) => LibP21Auth.Newtonsoft.P21Auth.GetConsumerTokenAsync(url, Emulator.Key, "", Quick, cancel) },
        }.Select(one => (object)new object[] { one.Key, one.Value }).ToArray();

        private static readonly P21Options Quick = new P21Options { Timeout = TimeSpan.FromMilliseconds(50) };

        [TestCaseSource(nameof(Late))]
        public void ATimeoutIsWhatUsersOfHttpClientCatchAndKeepsItsText(string what, Func<TokenManager, string, CancellationToken, Task> ask)
        {
            using (var p21 = new Emulator())
            using (var manager = new TokenManager(new P21Options(p21.Options()) { Timeout = TimeSpan.FromMilliseconds(50) }))
            using (var cancel = new CancellationTokenSource())
            {
                p21.Hold();
                foreach (var token in new[] { CancellationToken.None, cancel.Token })
                {
                    // Also through Wait, where a canceled task would lose what the error says.
                    var task = ask(manager, p21.BaseUrl, token);
                    var error = Assert.Throws<AggregateException>(() => task.Wait()).InnerException;
                    Assert.That(error, Is.InstanceOf<P21TimeoutException>().And.InstanceOf<TaskCanceledException>(), what);
                    Assert.That(error.Message, Does.StartWith("P21_E_TIMEOUT: ").And.Contains("Hint: "));
                    Assert.That(error.InnerException, Is.InstanceOf<TimeoutException>());
                    Assert.That(task.IsFaulted, Is.True);
                }
                p21.Release();
            }
        }

        [Test]
        public void CancellingCancelsTheTask()
        {
            using (var p21 = new Emulator())
            using (var cancel = new CancellationTokenSource())
            {
                p21.Hold();
                var tasks = new Task[]
                {
                    P21Auth.GetTokenV2Async(p21.BaseUrl, "demo", "demo-password", null, cancel.Token),
                    LibP21Auth.Newtonsoft.P21Auth.GetTokenV2Async(p21.BaseUrl, "demo", "demo-password", null, cancel.Token),
                };
                p21.WaitFor("held", 1);
                cancel.Cancel();
                foreach (var task in tasks)
                {
                    Assert.CatchAsync<OperationCanceledException>(() => task);
                    Assert.That(task.IsCanceled, Is.True);
                }
                p21.Release();
            }
        }
    }
}
