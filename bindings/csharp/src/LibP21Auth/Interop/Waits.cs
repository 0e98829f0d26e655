using System;
using System.Collections.Generic;
using System.Threading;
using System.Threading.Tasks;

namespace LibP21Auth.Interop
{
    /// <summary>One wait inside the library, shared by all who await the same.</summary>
    internal abstract class Wait
    {
        private readonly long since = Countdown.Now();
        private readonly uint limitMs;

        protected Wait(uint limitMs)
        {
            this.limitMs = limitMs;
        }

        private long ElapsedMs => (Countdown.Now() - since) / Countdown.TicksPerMillisecond;

        /// <summary>Milliseconds after its beginning at which it is to be polled next.</summary>
        private long NextMs { get; set; }

        /// <summary>Milliseconds until it is to be polled; 0 or less: now.</summary>
        internal long DueInMs => NextMs - ElapsedMs;

        /// <summary>Waits on this thread until the task is complete.</summary>
        internal void Finish() => Finish((uint)Math.Max(1, limitMs - ElapsedMs));

        /// <summary>Completes the task if that needs no waiting, or if the time is over.</summary>
        internal bool Poll()
        {
            if (ElapsedMs >= limitMs)
            {
                // The library has the words for a wait that is over.
                Finish(1);
                return true;
            }
            // At most an eighth later than a thread of its own would have it.
            NextMs = ElapsedMs + Math.Max(1, Math.Min(Waits.MostPauseMs, ElapsedMs / 8));
            return TryFinish();
        }

        protected abstract void Finish(uint waitMs);

        protected abstract bool TryFinish();
    }

    /// <summary>A wait for a <typeparamref name="T"/>.</summary>
    internal sealed class Wait<T> : Wait where T : class
    {
        private readonly TaskCompletionSource<T> result = new TaskCompletionSource<T>(TaskCreationOptions.RunContinuationsAsynchronously);
        private readonly Func<uint, T> wait;
        private readonly Func<T?> look;

        /// <param name="limitMs">The longest it may take.</param>
        /// <param name="wait">The call, with the milliseconds that it may wait.</param>
        /// <param name="look">The call without waiting; <see langword="null"/>: not yet.</param>
        internal Wait(uint limitMs, Func<uint, T> wait, Func<T?> look) : base(limitMs)
        {
            this.wait = wait;
            this.look = look;
        }

        internal Task<T> Task => result.Task;

        internal void Fail(Exception error) => result.SetException(error);

        protected override void Finish(uint waitMs) => Background.Complete(result, () => wait(waitMs));

        protected override bool TryFinish()
        {
            T? found;
            try
            {
                found = look();
            }
            catch (Exception error)
            {
                result.SetException(error);
                _ = result.Task.Exception;
                return true;
            }
            return found != null && result.TrySetResult(found);
        }
    }

    /// <summary>All waits of the process, on few threads.</summary>
    /// <remarks>Up to <see cref="MostThreads"/> waits have a thread each, which waits in the library. The others are polled by one more
    /// thread until one of those is free. So no wait stands behind another, however long that one takes.</remarks>
    internal static class Waits
    {
        private const int MostThreads = 16;
        internal const long MostPauseMs = 20;
        private static readonly LinkedList<Wait> Queue = new LinkedList<Wait>();
        private static int threads;
        private static bool polling;

        internal static Task<T> Run<T>(uint limitMs, Func<uint, T> wait, Func<T?> look) where T : class
        {
            var one = new Wait<T>(limitMs, wait, look);
            try
            {
                lock (Queue)
                {
                    Add(one);
                }
            }
            catch (OutOfMemoryException error)
            {
                one.Fail(error);
            }
            return one.Task;
        }

        /// <summary>Queues a wait, and sees to it that a thread takes it up.</summary>
        private static void Add(Wait wait)
        {
            var node = Queue.AddLast(wait);
            try
            {
                if (threads < MostThreads)
                {
                    Background.Start("P21 wait", FinishAll);
                    threads++;
                }
                else if (!polling)
                {
                    Background.Start("P21 waits", PollAll);
                    polling = true;
                }
            }
            catch (OutOfMemoryException)
            {
                // One of the threads that there are will take it.
                if (threads == 0 && !polling)
                {
                    Queue.Remove(node);
                    throw;
                }
            }
        }

        private static void FinishAll()
        {
            while (true)
            {
                Wait wait;
                lock (Queue)
                {
                    if (Queue.First == null)
                    {
                        threads--;
                        return;
                    }
                    wait = Queue.First.Value;
                    Queue.RemoveFirst();
                }
                wait.Finish();
            }
        }

        private static void PollAll()
        {
            while (true)
            {
                var due = new List<Wait>();
                long pause = MostPauseMs;
                lock (Queue)
                {
                    if (Queue.First == null)
                    {
                        polling = false;
                        return;
                    }
                    for (LinkedListNode<Wait>? node = Queue.First, next; node != null; node = next)
                    {
                        next = node.Next;
                        if (node.Value.DueInMs <= 0)
                        {
                            due.Add(node.Value);
                            Queue.Remove(node);
                        }
                        else
                        {
                            pause = Math.Min(pause, node.Value.DueInMs);
                        }
                    }
                }
                due.RemoveAll(wait => wait.Poll());
                lock (Queue)
                {
                    due.ForEach(Add);
                }
                // What is new or was polled just now may be due in a millisecond.
                Thread.Sleep((int)(due.Count > 0 ? 1 : Math.Max(1, pause)));
            }
        }
    }
}
