using System;
using System.Collections.Generic;
using System.Threading;
using System.Threading.Tasks;

namespace LibP21Auth.Interop
{
    /// <summary>Calls that may wait inside the library, made without keeping a thread of the pool from its work.</summary>
    internal static class Background
    {
        private const int Stack = 512 * 1024;

        /// <summary>Runs <paramref name="call"/> on a thread of its own. The pool would starve where a thousand users' first tokens are
        /// awaited at once: it adds one or two threads a second.</summary>
        internal static Task<T> Run<T>(Func<T> call)
        {
            var result = new TaskCompletionSource<T>(TaskCreationOptions.RunContinuationsAsynchronously);
            var thread = new Thread(
                () =>
                {
                    try
                    {
                        result.SetResult(call());
                    }
                    catch (Exception error)
                    {
                        // Not SetCanceled for timeouts: Task.Result would lose what the error says.
                        result.SetException(error);
                        // Every awaiter may have gone.
                        _ = result.Task.Exception;
                    }
                },
                Stack)
            {
                IsBackground = true,
                Name = "P21 token",
            };
            try
            {
                thread.Start();
            }
            catch (OutOfMemoryException error)
            {
                result.SetException(error);
            }
            return result.Task;
        }

        /// <summary><paramref name="task"/>, left early when <paramref name="cancel"/> is cancelled; the task itself goes on.</summary>
        internal static Task<T> LeaveOn<T>(this Task<T> task, CancellationToken cancel)
        {
            if (!cancel.CanBeCanceled || task.IsCompleted)
            {
                return task;
            }
            if (cancel.IsCancellationRequested)
            {
                return Cancelled<T>(cancel);
            }
            var result = new TaskCompletionSource<T>(TaskCreationOptions.RunContinuationsAsynchronously);
            var registration = cancel.Register(() => result.TrySetCanceled(cancel));
            task.ContinueWith(
                done =>
                {
                    registration.Dispose();
                    _ = done.Exception is { } error ? result.TrySetException(error.InnerExceptions) : result.TrySetResult(done.Result);
                },
                CancellationToken.None,
                TaskContinuationOptions.ExecuteSynchronously,
                TaskScheduler.Default);
            return result.Task;
        }

        /// <summary><paramref name="map"/> of the result, on the thread that completes the task.</summary>
        internal static Task<TResult> Then<T, TResult>(this Task<T> task, Func<T, TResult> map)
        {
            var result = new TaskCompletionSource<TResult>(TaskCreationOptions.RunContinuationsAsynchronously);
            task.ContinueWith(
                done =>
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
                },
                CancellationToken.None,
                TaskContinuationOptions.ExecuteSynchronously,
                TaskScheduler.Default);
            return result.Task;
        }

        internal static Task<T> Failed<T>(Exception error)
        {
            var result = new TaskCompletionSource<T>();
            result.SetException(error);
            return result.Task;
        }

        internal static Task<T> Cancelled<T>(CancellationToken cancel)
        {
            var result = new TaskCompletionSource<T>();
            result.TrySetCanceled(cancel);
            return result.Task;
        }
    }

    /// <summary>Calls under way, each shared by all who want the same.</summary>
    internal sealed class SharedCalls<T>
    {
        private readonly Dictionary<ulong, Task<T>> running = new Dictionary<ulong, Task<T>>();

        internal Task<T> Join(ulong key, Func<T> call)
        {
            lock (running)
            {
                // A completed one must not be joined: its token may have been rejected since.
                if (!running.TryGetValue(key, out var task) || task.IsCompleted)
                {
                    running[key] = task = Background.Run(call);
                    task.ContinueWith(
                        done =>
                        {
                            lock (running)
                            {
                                if (running.TryGetValue(key, out var current) && current == done)
                                {
                                    running.Remove(key);
                                }
                            }
                        },
                        CancellationToken.None,
                        TaskContinuationOptions.ExecuteSynchronously,
                        TaskScheduler.Default);
                }
                return task;
            }
        }
    }
}
