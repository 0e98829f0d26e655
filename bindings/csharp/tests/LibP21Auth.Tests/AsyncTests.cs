using System;
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

        [Test]
        public void AThousandUsersAreFetchedAtOnce()
        {
            // Each waits on a thread of its own; the pool would add one or two a second.
            using (var p21 = new Emulator())
            {
                p21.Hold();
                var managers = Enumerable.Range(0, 100)
                    .Select(i => new TokenManager(new P21Options { BaseUrl = p21.BaseUrl, ConsumerKey = Emulator.Key, Username = "user" + i }))
                    .ToArray();
                var tokens = managers.Select(m => m.GetTokenAsync()).ToArray();
                p21.WaitFor("held", managers.Length);
                p21.Release();
                Assert.That(Task.WhenAll(tokens).Result.Distinct().Count(), Is.EqualTo(managers.Length));
                foreach (var manager in managers)
                {
                    manager.Dispose();
                }
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

        [Test]
        public void ATimeoutIsWhatUsersOfHttpClientCatch()
        {
            using (var p21 = new Emulator())
            using (var manager = new TokenManager(new P21Options(p21.Options()) { Timeout = TimeSpan.FromMilliseconds(50) }))
            {
                p21.Hold();
                var caught = Assert.CatchAsync<TaskCanceledException>(() => manager.GetTokenAsync());
                Assert.That(caught, Is.InstanceOf<P21TimeoutException>());
                // Also through Result, where a cancelled task would lose what the error says.
                var waited = Assert.Throws<AggregateException>(() => { var token = manager.GetTokenAsync().Result; });
                Assert.That(waited.InnerException, Is.InstanceOf<IP21Error>());
                p21.Release();
            }
        }
    }
}
