using System;
using System.Linq;
using System.Reflection;
using System.Runtime.CompilerServices;
using System.Threading;
using System.Threading.Tasks;
using LibP21Auth;
using NUnit.Framework;

namespace LibP21Auth.Tests
{
    /// <summary>Handles under garbage collection, finalizers, disposal from other threads, unloading.</summary>
    [TestFixture]
    public class LifeTests
    {
        private static ulong LiveObjects()
        {
            return (ulong)typeof(TokenManager).Assembly.GetType("LibP21Auth.Interop.NativeMethods", true)
                .GetMethod("p21_live_objects", BindingFlags.Static | BindingFlags.NonPublic).Invoke(null, null);
        }

        private static void Settle(Func<bool> done)
        {
            for (var end = DateTime.UtcNow.AddSeconds(20); !done() && DateTime.UtcNow < end;)
            {
                GC.Collect();
                GC.WaitForPendingFinalizers();
            }
            Assert.That(done(), Is.True);
        }

        [Test]
        public void NothingIsLeft()
        {
            using (var p21 = new Emulator())
            {
                Use(p21);
                Settle(() => true);
                ulong before = LiveObjects();
                for (int i = 0; i < 20; i++)
                {
                    Use(p21);
                }
                Settle(() => LiveObjects() <= before);
            }
        }

        private static void Use(Emulator p21)
        {
            using (var manager = p21.Open())
            {
                manager.GetToken();
                manager.Snapshot().ToResponse();
                manager.Stats();
                manager.GetUiServerUrl();
                Assert.Catch(() => P21Auth.ParseTokenResponse(""));
                Assert.Catch(() => new TokenManager(new P21Options()));
            }
        }

        [Test]
        public void ManagersThatNoOneDisposesOfAreClosedByTheirHandles()
        {
            using (var p21 = new Emulator())
            {
                ulong before = LiveObjects();
                Forget(p21);
                Assert.That(LiveObjects(), Is.GreaterThan(before));
                Settle(() => LiveObjects() <= before);
            }
        }

        [MethodImpl(MethodImplOptions.NoInlining)]
        private static void Forget(Emulator p21)
        {
            foreach (var manager in Enumerable.Range(0, 50).Select(i => p21.Open()).ToArray())
            {
                manager.GetToken();
            }
        }

        [Test]
        public void CallsSurviveGarbageCollection()
        {
            using (var p21 = new Emulator())
            using (var stop = new ManualResetEventSlim())
            {
                var collector = Task.Factory.StartNew(
                    () =>
                    {
                        while (!stop.IsSet)
                        {
                            GC.Collect();
                            GC.WaitForPendingFinalizers();
                        }
                    },
                    TaskCreationOptions.LongRunning);
                var workers = Enumerable.Range(0, 4).Select(n => Task.Factory.StartNew(
                    () =>
                    {
                        for (int i = 0; i < 50; i++)
                        {
                            // Nothing refers to the manager any more once the call has begun.
                            Assert.That(p21.Open().GetToken(), Is.Not.Empty);
                            Assert.That(p21.Open().Snapshot().ToResponse().AccessToken, Is.Not.Empty);
                            Assert.That(p21.Open().GetTokenAsync().Result, Is.Not.Empty);
                        }
                    },
                    TaskCreationOptions.LongRunning)).ToArray();
                Task.WaitAll(workers);
                stop.Set();
                collector.Wait();
                Assert.That(p21.TokenRequests, Is.EqualTo(1));
            }
        }

        [Test]
        public void DisposeInTheMiddleOfCallsGivesTokensOrClosedErrorsAndNothingElse()
        {
            using (var p21 = new Emulator())
            {
                for (int round = 0; round < 20; round++)
                {
                    var manager = p21.Open();
                    using (var started = new CountdownEvent(3))
                    {
                        var callers = Enumerable.Range(0, 3).Select(n => Task.Factory.StartNew(
                            () =>
                            {
                                bool first = true;
                                try
                                {
                                    while (true)
                                    {
                                        manager.GetToken();
                                        manager.Snapshot();
                                        manager.GetTokenAsync().GetAwaiter().GetResult();
                                        if (first)
                                        {
                                            started.Signal();
                                            first = false;
                                        }
                                    }
                                }
                                catch (P21ClosedException)
                                {
                                }
                            },
                            TaskCreationOptions.LongRunning)).ToArray();
                        started.Wait();
                        manager.Dispose();
                        Task.WaitAll(callers);
                    }
                }
            }
        }

#if NET
        [Test]
        public void AnAssemblyLoadContextCanBeUnloaded()
        {
            using var p21 = new Emulator();
            var context = LoadAndUse(p21);
            Settle(() => !context.IsAlive);
        }

        [MethodImpl(MethodImplOptions.NoInlining)]
        private static WeakReference LoadAndUse(Emulator p21)
        {
            var context = new System.Runtime.Loader.AssemblyLoadContext("plugin", isCollectible: true);
            var assembly = context.LoadFromAssemblyPath(typeof(TokenManager).Assembly.Location);
            Assert.That(assembly, Is.Not.SameAs(typeof(TokenManager).Assembly));
            var manager = Activator.CreateInstance(assembly.GetType("LibP21Auth.TokenManager"), p21.BaseUrl, "demo", "demo-password", null);
            var type = manager.GetType();
            var token = (string)type.GetMethod("GetToken", Type.EmptyTypes).Invoke(manager, null);
            Assert.That(token, Is.Not.Empty);
            ((IDisposable)manager).Dispose();
            context.Unload();
            return new WeakReference(context);
        }
#endif
    }
}
