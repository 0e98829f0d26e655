using System;
using System.Diagnostics;
using System.Globalization;
using System.Threading;
using LibP21Auth.Interop;

namespace LibP21Auth
{
    /// <summary>How much an event of the log matters.</summary>
    public enum P21LogLevel
    {
        /// <summary>Something failed.</summary>
        Error = 1,
        /// <summary>Something is not as it should be, such as an unverified certificate.</summary>
        Warning = 2,
        /// <summary>What happens seldom: a token was fetched.</summary>
        Information = 3,
        /// <summary>What helps to find errors.</summary>
        Debug = 4,
        /// <summary>Everything.</summary>
        Trace = 5,
    }

    /// <summary>An event of the library's log. No password, key or token is in it.</summary>
    public sealed class P21LogEventArgs : EventArgs
    {
        internal P21LogEventArgs(P21LogLevel level, string name, DateTimeOffset time, string message)
        {
            Level = level;
            Name = name;
            Time = time;
            Message = message;
        }

        /// <summary>How much it matters.</summary>
        public P21LogLevel Level { get; }

        /// <summary>Name of the event, such as <c>tls.unverified</c>.</summary>
        public string Name { get; }

        /// <summary>When it happened.</summary>
        public DateTimeOffset Time { get; }

        /// <summary>What happened, in a line.</summary>
        public string Message { get; }

        /// <summary>Level, name and message.</summary>
        public override string ToString() => Level + " " + Name + ": " + Message;
    }

    /// <summary>The library's log.</summary>
    /// <remarks>Events are read after calls that reached the library, on the thread of such a call, and never on a call that was answered
    /// from the cache. Without a subscriber nothing is read. What a subscriber throws fails no call: it is written to
    /// <see cref="Trace"/>, and the other subscribers get it as an event named <c>log.subscriber_failed</c>.</remarks>
    public static class P21Log
    {
        private static ulong cursor;
        private static int reading;
        private static volatile bool unread;

        /// <summary>This thread is inside a subscriber: what it asks for there is read later.</summary>
        [ThreadStatic]
        private static bool raising;

        /// <summary>An event was written. May be raised on any thread, by one at a time, and outside of every lock.</summary>
        public static event EventHandler<P21LogEventArgs>? Received;

        /// <summary>Events up to this level are read. Default: <see cref="P21LogLevel.Information"/>.</summary>
        public static P21LogLevel Level { get; set; } = P21LogLevel.Information;

        internal static void Drain()
        {
            if (Received == null || raising)
            {
                return;
            }
            // Only one thread reads; if it is busy, it reads once more for this one.
            unread = true;
            while (unread && Interlocked.CompareExchange(ref reading, 1, 0) == 0)
            {
                unread = false;
                raising = true;
                try
                {
                    Read();
                }
                finally
                {
                    raising = false;
                    Volatile.Write(ref reading, 0);
                }
            }
        }

        private static void Read()
        {
            if (NativeMethods.p21_log_read(ref cursor, (int)Level, out var lines, IntPtr.Zero) != 0)
            {
                return;
            }
            foreach (var line in (lines.Take() ?? "").Split(new[] { '\n' }, StringSplitOptions.RemoveEmptyEntries))
            {
                var fields = Json.Object(line);
                string Text(string name) => fields.TryGetValue(name, out var value) ? Convert.ToString(value, CultureInfo.InvariantCulture) ?? "" : "";

                double seconds = Convert.ToDouble(fields["time"], CultureInfo.InvariantCulture);
                var time = DateTimeOffset.FromUnixTimeMilliseconds((long)Math.Round(seconds * 1000));
                Raise(new P21LogEventArgs(LevelOf(Text("level")), Text("event"), time, Text("message")));
            }
        }

        private static void Raise(P21LogEventArgs e, Delegate? except = null)
        {
            foreach (var handler in Received?.GetInvocationList() ?? Array.Empty<Delegate>())
            {
                try
                {
                    if (handler != except)
                    {
                        ((EventHandler<P21LogEventArgs>)handler)(null, e);
                    }
                }
#pragma warning disable CA1031 // a logger's failure must not fail the call for a token
                catch (Exception error)
                {
                    string message = "a subscriber of P21Log.Received failed: " + error;
                    Trace.TraceError(message);
                    // A failure of telling of a failure goes to the trace alone.
                    if (except == null)
                    {
                        Raise(new P21LogEventArgs(P21LogLevel.Error, "log.subscriber_failed", DateTimeOffset.UtcNow, message), handler);
                    }
                }
#pragma warning restore CA1031
            }
        }

        private static P21LogLevel LevelOf(string name)
        {
            switch (name)
            {
                case "error": case "1": return P21LogLevel.Error;
                case "warn": case "2": return P21LogLevel.Warning;
                case "info": case "3": return P21LogLevel.Information;
                case "debug": case "4": return P21LogLevel.Debug;
                default: return P21LogLevel.Trace;
            }
        }
    }
}
