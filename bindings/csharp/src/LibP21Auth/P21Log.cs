using System;
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
        internal P21LogEventArgs(P21LogLevel level, string name, string time, string message)
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

        /// <summary>When it happened, as the library writes it.</summary>
        public string Time { get; }

        /// <summary>What happened, in a line.</summary>
        public string Message { get; }

        /// <summary>Level, name and message.</summary>
        public override string ToString() => Level + " " + Name + ": " + Message;
    }

    /// <summary>The library's log.</summary>
    /// <remarks>Events are read after calls that reached the library, on the thread of such a call, and never on a call that was answered
    /// from the cache. Without a subscriber nothing is read. What a subscriber throws is ignored.</remarks>
    public static class P21Log
    {
        private static readonly object Gate = new object();
        private static ulong cursor;
        private static EventHandler<P21LogEventArgs>? received;

        /// <summary>An event was written. May be raised on any thread, by one at a time.</summary>
        public static event EventHandler<P21LogEventArgs>? Received
        {
            add
            {
                lock (Gate)
                {
                    received += value;
                }
            }
            remove
            {
                lock (Gate)
                {
                    received -= value;
                }
            }
        }

        /// <summary>Events up to this level are read. Default: <see cref="P21LogLevel.Information"/>.</summary>
        public static P21LogLevel Level { get; set; } = P21LogLevel.Information;

        internal static void Drain()
        {
            // Whoever holds the lock is reading; a subscriber who asks for a token does so on this very thread.
            if (Volatile.Read(ref received) == null || Monitor.IsEntered(Gate) || !Monitor.TryEnter(Gate))
            {
                return;
            }
            try
            {
                var handlers = received;
                if (handlers == null || NativeMethods.p21_log_read(ref cursor, (int)Level, out var lines, IntPtr.Zero) != 0)
                {
                    return;
                }
                foreach (var line in (lines.Take() ?? "").Split(new[] { '\n' }, StringSplitOptions.RemoveEmptyEntries))
                {
                    Raise(handlers, line);
                }
            }
            finally
            {
                Monitor.Exit(Gate);
            }
        }

        private static void Raise(EventHandler<P21LogEventArgs> handlers, string line)
        {
            var fields = Json.Object(line);
            string Text(string name) => fields.TryGetValue(name, out var value) ? Convert.ToString(value, CultureInfo.InvariantCulture) ?? "" : "";

            var e = new P21LogEventArgs(LevelOf(Text("level")), Text("event"), Text("time"), Text("message"));
            foreach (EventHandler<P21LogEventArgs> handler in handlers.GetInvocationList())
            {
                try
                {
                    handler(null, e);
                }
#pragma warning disable CA1031 // a logger's failure must not fail the call for a token
                catch (Exception)
                {
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
