using System;
#if !NET5_0_OR_GREATER
using System.Diagnostics;
#endif

namespace LibP21Auth.Interop
{
    /// <summary>A remaining life that was read at some moment, counted down by a clock that nobody sets.</summary>
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

        private readonly long taken;
        private readonly long seconds;

        internal Countdown(long seconds)
        {
            taken = Now();
            this.seconds = seconds;
        }

        /// <summary>Milliseconds since it was read, in ticks of <see cref="TicksPerMillisecond"/>.</summary>
        internal long Age => Now() - taken;

        /// <summary>Not less than 0.</summary>
        internal long SecondsLeft => Math.Max(0, seconds - (Age / TicksPerMillisecond + 999) / 1000);
    }
}
