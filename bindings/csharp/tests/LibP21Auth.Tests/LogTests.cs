using System;
using System.Collections.Generic;
using System.Diagnostics;
using System.Linq;
using System.Threading;
using System.Threading.Tasks;
using LibP21Auth;
using NUnit.Framework;

namespace LibP21Auth.Tests
{
    [TestFixture]
    public class LogTests
    {
        /// <summary>An event of this name, as soon as a call has read it.</summary>
        private static void Unverified(int count = 1)
        {
            using (var p21 = new Emulator("--tls"))
            {
                for (int i = 0; i < count; i++)
                {
                    using (var manager = new TokenManager(new P21Options(p21.Options()) { TlsVerify = false }))
                    {
                        manager.GetToken();
                    }
                }
            }
        }

        private static void With(EventHandler<P21LogEventArgs> handler, Action work)
        {
            P21Log.Received += handler;
            try
            {
                work();
            }
            finally
            {
                P21Log.Received -= handler;
            }
        }

        [Test]
        public void TheLogIsReadAfterCallsThatReachedTheLibrary()
        {
            var events = new List<P21LogEventArgs>();
            With((sender, e) => events.Add(e), () => Unverified());
            var unverified = events.Last(e => e.Name == "tls.unverified");
            Assert.That(unverified.Level, Is.EqualTo(P21LogLevel.Warning));
            Assert.That(unverified.Message, Does.Contain("tls_verify=0"));
            Assert.That(unverified.Time, Is.EqualTo(DateTimeOffset.UtcNow).Within(TimeSpan.FromMinutes(5)));
        }

        private sealed class Traced : TraceListener
        {
            internal readonly List<string> Lines = new List<string>();

            public override void Write(string message) { }

            public override void WriteLine(string message) { Lines.Add(message); }
        }

        [Test]
        public void WhatASubscriberThrowsFailsNoCallAndIsTold()
        {
            var others = new List<P21LogEventArgs>();
            var traced = new Traced();
            Trace.Listeners.Add(traced);
            try
            {
                With((sender, e) => { throw new InvalidOperationException("a broken logger"); }, () => With((sender, e) => others.Add(e), () => Unverified()));
            }
            finally
            {
                Trace.Listeners.Remove(traced);
            }
            var told = others.First(e => e.Name == "log.subscriber_failed");
            Assert.That(told.Level, Is.EqualTo(P21LogLevel.Error));
            Assert.That(told.Message, Does.Contain("InvalidOperationException").And.Contains("a broken logger"));
            Assert.That(others.Any(e => e.Name == "tls.unverified"), Is.True);
            Assert.That(traced.Lines, Has.Some.Contains("a broken logger"));
        }

        [Test]
        public void NoLockIsHeldWhileASubscriberRuns()
        {
            EventHandler<P21LogEventArgs> other = (sender, e) => { };
            P21Log.Received += other;
            bool unsubscribed = false;
            bool asked = false;
            using (var p21 = new Emulator())
            using (var manager = p21.Open())
            {
                With(
                    (sender, e) =>
                    {
                        // Another thread that unsubscribes, and one whose call reads the log too; both must get through now.
                        unsubscribed |= Task.Run(() => P21Log.Received -= other).Wait(10000);
                        asked |= Task.Run(() => manager.Invalidate("none")).Wait(10000);
                    },
                    () => Unverified());
            }
            Assert.That(unsubscribed && asked, Is.True);
        }

        [Test]
        public void ASubscriberMayAskForATokenItself()
        {
            int depth = 0;
            int deepest = 0;
            int calls = 0;
            using (var p21 = new Emulator())
            using (var manager = p21.Open())
            {
                With(
                    (sender, e) =>
                    {
                        deepest = Math.Max(deepest, ++depth);
                        // Both make events of their own; the first few will do.
                        if (calls++ < 3)
                        {
                            manager.Invalidate();
                            manager.GetToken();
                        }
                        depth--;
                    },
                    () => Unverified());
            }
            Assert.That(deepest, Is.EqualTo(1));
        }

        [Test]
        public void EventsComeOneAtATimeWhileManyThreadsCall()
        {
            int inside = 0;
            int most = 0;
            int count = 0;
            With(
                (sender, e) =>
                {
                    most = Math.Max(most, Interlocked.Increment(ref inside));
                    Interlocked.Increment(ref count);
                    Interlocked.Decrement(ref inside);
                },
                () => Task.WaitAll(Enumerable.Range(0, 4).Select(i => Task.Run(() => Unverified(3))).ToArray()));
            Assert.That(most, Is.EqualTo(1));
            Assert.That(count, Is.GreaterThanOrEqualTo(4 * 3));
        }

        private static readonly AsyncLocal<string> Request = new AsyncLocal<string>();

        [Test]
        public void TheFirstCallersContextIsNotThatOfTheSharedThread()
        {
            var seen = new List<string>();
            using (var p21 = new Emulator("--tls"))
            using (var manager = new TokenManager(new P21Options(p21.Options()) { TlsVerify = false }))
            {
                p21.Hold();
                var self = Thread.CurrentThread;
                With(
                    (sender, e) =>
                    {
                        if (Thread.CurrentThread != self)
                        {
                            seen.Add(Request.Value ?? "none");
                        }
                    },
                    () =>
                    {
                        Request.Value = "the first caller's";
                        var token = manager.GetTokenAsync();
                        Assert.That(Request.Value, Is.EqualTo("the first caller's"));
                        Request.Value = null;
                        p21.WaitFor("held", 1);
                        p21.Release();
                        token.Wait();
                    });
            }
            Assert.That(seen, Is.Not.Empty);
            Assert.That(seen, Has.All.EqualTo("none"));
        }
    }
}
