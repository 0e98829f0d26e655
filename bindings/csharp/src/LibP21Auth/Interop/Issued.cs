using System;
using System.Diagnostics;
using System.Threading;
using System.Threading.Tasks;

namespace LibP21Auth.Interop
{
    /// <summary>A token as this side keeps it, with what is needed to hand it out again without crossing the border.</summary>
    /// <remarks>The library decides for how long (<c>p21_token_reuse_ms</c>) and says by the generation word when it is over earlier; so a
    /// hit is one atomic read and one look at a clock. Immutable.</remarks>
    internal sealed unsafe class Issued
    {
        private readonly long* word;
        private readonly long generation;
        private readonly long taken;
        private readonly long reuse;
        private readonly long expiresIn;

        internal Issued(long* word, long generation, TokenHandle token, bool withResponse)
        {
            this.word = word;
            this.generation = generation;
            taken = Now();
            reuse = NativeMethods.p21_token_reuse_ms(token) * TicksPerMillisecond;
            expiresIn = NativeMethods.p21_token_expires_in(token);
            ExpiresAt = FromUnix(NativeMethods.p21_token_expires_at(token));
            TokenGeneration = NativeMethods.p21_token_generation(token);
            Token = Utf8.Read(NativeMethods.p21_token_value(token))!;
            Task = System.Threading.Tasks.Task.FromResult(Token);
            if (withResponse)
            {
                P21Failure.Check(NativeMethods.p21_token_json(token, out var json, out var error), error);
                Response = TokenResponse.Parse(json.Take()!);
            }
            GC.KeepAlive(token);
        }

        internal string Token { get; }

        /// <summary>A completed task, so that an awaiting hit allocates nothing either.</summary>
        internal Task<string> Task { get; }

        internal TokenResponse? Response { get; }

        internal DateTimeOffset ExpiresAt { get; }

        internal ulong TokenGeneration { get; }

        internal bool IsReusable => reuse > 0;

        /// <summary>Whether it may be handed out now without asking.</summary>
        internal bool IsGood => Volatile.Read(ref *word) == generation && Now() - taken < reuse;

        /// <summary>Seconds left by the library's clocks, not less than 0.</summary>
        internal long SecondsLeft => Math.Max(0, expiresIn - ((Now() - taken) / TicksPerMillisecond + 999) / 1000);

#if NET5_0_OR_GREATER
        // Coarse (milliseconds) and cheap.
        private const long TicksPerMillisecond = 1;

        private static long Now() => Environment.TickCount64;
#else
        private static readonly long TicksPerMillisecond = Stopwatch.Frequency / 1000;

        private static long Now() => Stopwatch.GetTimestamp();
#endif

        /// <summary>Servers say twenty years for "never"; nothing goes past the last moment that .NET can name.</summary>
        private static DateTimeOffset FromUnix(long seconds) =>
            DateTimeOffset.FromUnixTimeSeconds(Math.Max(0, Math.Min(seconds, DateTimeOffset.MaxValue.ToUnixTimeSeconds())));
    }
}
