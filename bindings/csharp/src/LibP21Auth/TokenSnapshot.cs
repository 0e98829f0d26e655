using System;
using System.Diagnostics;
using System.Text.Json.Serialization;
using LibP21Auth.Interop;

namespace LibP21Auth
{
    /// <summary>A token that stays the same even if the cache gets a new one.</summary>
    /// <remarks>An Interactive session belongs to the token that opened it: pass a snapshot to
    /// <see cref="P21Auth.CreateAuthorizedClient(TokenSnapshot)"/> and keep that client for the session. Immutable and safe for use by any
    /// number of threads; it needs no disposal and outlives its manager.</remarks>
    [DebuggerDisplay("{ToString(),nq}")]
    public sealed class TokenSnapshot
    {
        /// <summary>The access token, for the header <c>Authorization: Bearer …</c>.</summary>
        // A field, since serializers and structured loggers read properties.
        [NonSerialized, JsonIgnore, DebuggerBrowsable(DebuggerBrowsableState.Never)]
        public readonly string AccessToken;

        [DebuggerBrowsable(DebuggerBrowsableState.Never)]
        private readonly TokenResponse response;
        private readonly Countdown life;

        internal TokenSnapshot(TokenResponse response, Countdown life, DateTimeOffset expiresAt, ulong generation, Place place)
        {
            AccessToken = response.AccessToken;
            this.response = response;
            this.life = life;
            ExpiresAt = expiresAt;
            Generation = generation;
            Place = place;
        }

        internal Place Place { get; }

        /// <summary>When it expires by this machine's clock.</summary>
        public DateTimeOffset ExpiresAt { get; }

        /// <summary>How long it still lives, in whole seconds, not less than zero.</summary>
        public TimeSpan ExpiresIn => TimeSpan.FromSeconds(life.SecondsLeft);

        /// <summary>A number that tells tokens apart within this process.</summary>
        public ulong Generation { get; }

        /// <summary>What the server said, with the seconds left now; a new object at each call.</summary>
        public TokenResponse ToResponse() => response.With(life.SecondsLeft);

        /// <summary>A source that returns this token always and ignores reports: for <see cref="P21AuthHandler"/>.</summary>
        public P21TokenSource AsTokenSource() => new Pinned(this);

        /// <summary>Fingerprint (8 hex digits of SHA-256) and remaining life; never the token.</summary>
        public override string ToString() =>
            "TokenSnapshot { AccessToken = " + Fingerprint.Of(AccessToken) + ", ExpiresIn = " + ExpiresIn + " }";
    }
}
