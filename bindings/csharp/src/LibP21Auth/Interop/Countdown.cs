using System;
#if !NET5_0_OR_GREATER
using System.Diagnostics;
#endif

namespace LibP21Auth.Interop
{
    /// <summary>A remaining life that was read at some moment, counted down by a clock that no one sets.</summary>
    internal readonly struct Countdown
    {
#if NET5_0_OR_GREATER
        // Coarse (milliseconds) and cheap.
        internal const long TicksPerMillisecond = 1;

        internal static long Now() => Environment.TickCount64;
#else
        internal static readonly long TicksPerMillisecond = Stopwatch.Frequency / 1000;

        internal static long Now() => Stopwatch.GetTimestamp();
#endif

        private readonly long seconds;

        internal Countdown(long seconds)
        {
            Taken = Now();
            this.seconds = seconds;
        }

        /// <summary>When it was read.</summary>
        internal long Taken { get; }

        /// <summary>Not less than 0.</summary>
        internal long SecondsLeft => Math.Max(0, seconds - ((Now() - Taken) / TicksPerMillisecond + 999) / 1000);
    }
}
