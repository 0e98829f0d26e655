using System;
using System.Diagnostics;
using LibP21Auth.Interop;

namespace LibP21Auth
{
    /// <summary>A token that stays the same whatever the cache does.</summary>
    /// <remarks>An Interactive session belongs to the token that opened it: pass a snapshot to
    /// <see cref="P21Auth.CreateAuthorizedClient(TokenSnapshot)"/> and keep that client for the session. Immutable and safe for use by any
    /// number of threads; it needs no disposal and outlives its manager.</remarks>
    [DebuggerDisplay("{ToString(),nq}")]
    public sealed class TokenSnapshot
    {
        private readonly Issued issued;

        internal TokenSnapshot(Issued issued, Place place)
        {
            this.issued = issued;
            Place = place;
        }

        internal Place Place { get; }

        /// <summary>The access token, for the header <c>Authorization: Bearer …</c>.</summary>
        public string AccessToken => issued.Token;

        /// <summary>When it expires by this machine's clock.</summary>
        public DateTimeOffset ExpiresAt => issued.ExpiresAt;

        /// <summary>How long it still lives, in whole seconds, not less than zero.</summary>
        public TimeSpan ExpiresIn => TimeSpan.FromSeconds(issued.SecondsLeft);

        /// <summary>A number that tells tokens apart within this process.</summary>
        public ulong Generation => issued.TokenGeneration;

        /// <summary>What the server said, with the seconds left now; a new object at each call.</summary>
        public TokenResponse ToResponse() => issued.Response!.With(issued.SecondsLeft);

        /// <summary>Fingerprint (8 hex digits of SHA-256) and remaining life; never the token.</summary>
        public override string ToString() =>
            "TokenSnapshot { AccessToken = " + TokenResponse.Fingerprint(AccessToken) + ", ExpiresIn = " + ExpiresIn + " }";
    }
}
