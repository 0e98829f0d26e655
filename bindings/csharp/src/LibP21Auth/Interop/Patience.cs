using System;
using System.Diagnostics;

namespace LibP21Auth.Interop
{
    /// <summary>How long a call waits inside the library at a time.</summary>
    /// <remarks>On .NET Framework in slices of 250 ms: a thread inside native code cannot be aborted, so one long wait would hold up the
    /// unloading of an AppDomain, as IIS does when it recycles (and Mono's exit). Elsewhere in one piece.</remarks>
    internal struct Patience
    {
#if NETFRAMEWORK
        private const uint Most = 250;
        private const long Coarse = 30;
        private readonly long end;
        private long sliceEnd;

        internal Patience(uint waitMs)
        {
            Slice = Math.Min(Most, waitMs);
            long now = Milliseconds();
            end = now + waitMs;
            sliceEnd = now + Slice;
        }

        /// <summary>The next wait in ms.</summary>
        internal uint Slice { get; private set; }

        /// <summary>Whether to wait once more: the slice is over, not the time, and the request goes on.</summary>
        internal bool GoesOn(int status, ErrorHandle error)
        {
            long now = Milliseconds();
            // A request that timed out by itself, or did so a while ago, is told before the slice is over; clocks may be coarse.
            if (status != (int)P21ErrorCode.Timeout || now >= end || now < sliceEnd - Coarse)
            {
                return false;
            }
            error.Dispose();
            Slice = (uint)Math.Min(Most, end - now);
            sliceEnd = now + Slice;
            return true;
        }

        private static long Milliseconds() => Stopwatch.GetTimestamp() / (Stopwatch.Frequency / 1000);
#else
        internal Patience(uint waitMs)
        {
            Slice = waitMs;
        }

        /// <summary>The wait in ms.</summary>
        internal uint Slice { get; }

        /// <summary>Whether to wait once more.</summary>
        internal bool GoesOn(int status, ErrorHandle error) => false;
#endif
    }
}
