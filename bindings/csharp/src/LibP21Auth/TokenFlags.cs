using System;

namespace LibP21Auth
{
    /// <summary>How to ask for a token. The flags exclude each other.</summary>
    [Flags]
    public enum TokenFlags
    {
        /// <summary>A valid token, waiting for it if need be.</summary>
        None = 0,
        /// <summary>A new token although the current one is good, at most one in <see cref="P21Options.MinRefreshInterval"/>.</summary>
        ForceRefresh = 1,
        /// <summary>Return only a cached token: never waits, never sends a request.</summary>
        CachedOnly = 2,
        /// <summary>Never waits: without a token the fetch is started and the call fails with <see cref="P21ErrorCode.Pending"/>.</summary>
        NoWait = 8,
    }

    /// <summary>What an API's 401 or 403 means.</summary>
    public enum P21Verdict
    {
        /// <summary>The token was to blame and is dropped: get a token and try once more.</summary>
        Retry = 1,
        /// <summary>The user or key may not do this; another token would not help.</summary>
        Permission = 2,
        /// <summary>The server saw no Authorization header: it got lost in a redirect or proxy.</summary>
        HeaderLost = 3,
        /// <summary>Neither another token nor another try would help.</summary>
        GiveUp = 4,
    }
}
