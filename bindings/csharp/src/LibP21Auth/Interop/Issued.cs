using System;
using System.Threading;
using System.Threading.Tasks;

namespace LibP21Auth.Interop
{
    /// <summary>A token as this side keeps it, with what is needed to return it again without crossing the border.</summary>
    /// <remarks>The library decides for how long (<c>p21_token_reuse_ms</c>) and says by the generation word when it is over earlier; so a
    /// hit is one atomic read and one look at a clock. Immutable.</remarks>
    internal sealed unsafe class Issued
    {
        private readonly long* word;
        private readonly long generation;
        private readonly long until;
        private readonly Countdown life;
        private readonly ulong tokenGeneration;

        internal Issued(long* word, long generation, TokenHandle token, bool withResponse)
        {
            this.word = word;
            this.generation = generation;
            life = new Countdown(NativeMethods.p21_token_expires_in(token));
            long reuse = NativeMethods.p21_token_reuse_ms(token) * Countdown.TicksPerMillisecond;
            IsReusable = reuse > 0;
            until = life.Taken + reuse;
            tokenGeneration = NativeMethods.p21_token_generation(token);
            Token = Utf8.Read(NativeMethods.p21_token_value(token))!;
            Access = new P21AccessToken(Token, FromUnix(NativeMethods.p21_token_expires_at(token)));
            Task = System.Threading.Tasks.Task.FromResult(Token);
            AccessTask = System.Threading.Tasks.Task.FromResult(Access);
            if (withResponse)
            {
                P21Failure.Check(NativeMethods.p21_token_json(token, out var json, out var error), error);
                Response = TokenResponse.Parse(json.Take()!);
            }
            GC.KeepAlive(token);
        }

        internal string Token { get; }

        internal P21AccessToken Access { get; }

        /// <summary>Completed tasks, so that an awaiting hit allocates nothing either.</summary>
        internal Task<string> Task { get; }

        internal Task<P21AccessToken> AccessTask { get; }

        internal TokenResponse? Response { get; }

        internal bool IsReusable { get; }

        /// <summary>Whether it may be returned now without asking.</summary>
        internal bool IsGood => Volatile.Read(ref *word) == generation && Countdown.Now() < until;

        /// <summary>Seconds left by the library's clocks, not less than 0.</summary>
        internal long SecondsLeft => life.SecondsLeft;

        internal TokenSnapshot Snapshot(Place place) => new TokenSnapshot(Response!, life, Access.ExpiresAt, tokenGeneration, place);

        /// <summary>Servers say twenty years for "never"; nothing goes past the last moment that .NET can name.</summary>
        private static DateTimeOffset FromUnix(long seconds) =>
            DateTimeOffset.FromUnixTimeSeconds(Math.Max(0, Math.Min(seconds, DateTimeOffset.MaxValue.ToUnixTimeSeconds())));
    }
}
