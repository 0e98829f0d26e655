using System;
using System.Collections.Generic;
using System.Threading;
using System.Threading.Tasks;

namespace LibP21Auth.Interop
{
    /// <summary>Threads and tasks for calls that wait inside the library: the pool's threads are never kept from their work.</summary>
    internal static class Background
    {
        private const int Stack = 512 * 1024;

        /// <summary>Runs <paramref name="call"/> on a thread of its own.</summary>
        internal static Task<T> Run<T>(Func<T> call)
        {
            var result = new TaskCompletionSource<T>(TaskCreationOptions.RunContinuationsAsynchronously);
            try
            {
                Start("P21 request", () => Complete(result, call));
            }
            catch (OutOfMemoryException error)
            {
                result.SetException(error);
            }
            return result.Task;
        }

        /// <summary>Completes a task by what <paramref name="call"/> returns or throws.</summary>
        internal static void Complete<T>(TaskCompletionSource<T> result, Func<T> call)
        {
            try
            {
                result.SetResult(call());
            }
            catch (Exception error)
            {
                // Not SetCanceled for time-outs: Task.Result would lose what the error says.
                result.SetException(error);
                // Every awaiter may have gone.
                _ = result.Task.Exception;
            }
        }

        /// <summary>Starts a thread that knows nothing of its starter's <see cref="AsyncLocal{T}"/>: it works for others too.</summary>
        /// <exception cref="OutOfMemoryException">The system has no thread left.</exception>
        internal static void Start(string name, ThreadStart run)
        {
            var thread = new Thread(run, Stack) { IsBackground = true, Name = name };
            if (ExecutionContext.IsFlowSuppressed())
            {
                thread.Start();
                return;
            }
            using (ExecutionContext.SuppressFlow())
            {
                thread.Start();
            }
        }

        /// <summary><paramref name="task"/>, left early when <paramref name="cancel"/> is canceled; the task itself goes on.</summary>
        internal static Task<T> LeaveOn<T>(this Task<T> task, CancellationToken cancel)
        {
            if (!cancel.CanBeCanceled || task.IsCompleted)
            {
                return task;
            }
            if (cancel.IsCancellationRequested)
            {
                return Task.FromCanceled<T>(cancel);
            }
            var result = new TaskCompletionSource<T>(TaskCreationOptions.RunContinuationsAsynchronously);
            var registration = cancel.Register(() => result.TrySetCanceled(cancel));
            OnceDone(task, done =>
            {
                registration.Dispose();
                _ = done.Exception is { } error ? result.TrySetException(error.InnerExceptions) : result.TrySetResult(done.Result);
            });
            return result.Task;
        }

        /// <summary><paramref name="map"/> of the result, on the thread that completes the task.</summary>
        internal static Task<TResult> Then<T, TResult>(this Task<T> task, Func<T, TResult> map)
        {
            if (task.Status == TaskStatus.RanToCompletion)
            {
                return Task.FromResult(map(task.Result));
            }
            var result = new TaskCompletionSource<TResult>(TaskCreationOptions.RunContinuationsAsynchronously);
            OnceDone(task, done =>
            {
                if (done.IsCanceled)
                {
                    result.SetCanceled();
                }
                else if (done.Exception is { } error)
                {
                    result.SetException(error.InnerExceptions);
                }
                else
                {
                    result.SetResult(map(done.Result));
                }
            });
            return result.Task;
        }

        internal static void OnceDone<T>(Task<T> task, Action<Task<T>> then) =>
            task.ContinueWith(then, CancellationToken.None, TaskContinuationOptions.ExecuteSynchronously, TaskScheduler.Default);
    }

    /// <summary>Calls under way, each shared by all who want the same.</summary>
    internal sealed class SharedCalls<T>
    {
        private readonly Dictionary<ulong, Task<T>> running = new Dictionary<ulong, Task<T>>();

        internal Task<T> Join(ulong key, Func<Task<T>> start)
        {
            lock (running)
            {
                // A completed one must not be joined: its token may have been rejected since.
                if (!running.TryGetValue(key, out var task) || task.IsCompleted)
                {
                    running[key] = task = start();
                    Background.OnceDone(task, done =>
                    {
                        lock (running)
                        {
                            if (running.TryGetValue(key, out var current) && current == done)
                            {
                                running.Remove(key);
                            }
                        }
                    });
                }
                return task;
            }
        }
    }
}
