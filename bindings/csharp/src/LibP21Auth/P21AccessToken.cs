using System;
using System.Diagnostics;
using System.Text.Json.Serialization;
using LibP21Auth.Interop;

namespace LibP21Auth
{
    /// <summary>An access token and when it expires.</summary>
    /// <remarks>Immutable and safe for use by any number of threads. <see cref="ToString"/> does not show the token.</remarks>
    [DebuggerDisplay("{ToString(),nq}")]
    public sealed class P21AccessToken
    {
        /// <summary>The token, for the header <c>Authorization: Bearer …</c>.</summary>
        // A field, since serializers and structured loggers read properties.
        [NonSerialized, JsonIgnore, DebuggerBrowsable(DebuggerBrowsableState.Never)]
        public readonly string Value;

        internal P21AccessToken(string value, DateTimeOffset expiresAt)
        {
            Value = value;
            ExpiresAt = expiresAt;
        }

        /// <summary>When it expires by this machine's clock.</summary>
        public DateTimeOffset ExpiresAt { get; }

        /// <summary>Fingerprint (8 hex digits of SHA-256) and expiry; never the token.</summary>
        public override string ToString() => "P21AccessToken { " + Fingerprint.Of(Value) + ", ExpiresAt = " + ExpiresAt.ToString("u") + " }";
    }
}
