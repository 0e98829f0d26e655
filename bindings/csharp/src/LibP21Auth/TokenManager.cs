using System;
using System.Collections.Generic;
using System.Diagnostics;
using System.Net.Http;
using System.Threading;
using System.Threading.Tasks;
using LibP21Auth.Interop;

namespace LibP21Auth
{
    /// <summary>Tokens of one P21 server under one identity: fetched once, shared, refreshed before they expire.</summary>
    /// <remarks>
    /// <para>Opening one sends nothing; the first token asked for does. All managers of the same identity in a process share one token, so a
    /// manager may be opened where it is needed; keeping one is cheaper still.</para>
    /// <para>Safe for use by any number of threads. A call that is answered from the cache takes a few nanoseconds and allocates nothing.
    /// <see cref="Dispose()"/> may be called at any time: those that wait fail at once with <see cref="P21ClosedException"/>.</para>
    /// <para>Calls fail with <see cref="P21HttpException"/> (network, server, refused credentials), <see cref="P21TimeoutException"/>,
    /// <see cref="P21ParseException"/> or <see cref="P21ConfigException"/>; each is an <see cref="IP21Error"/>. After refused credentials they
    /// fail at once for a while (<see cref="P21Options.BadCredentialsCooldown"/>), lest P21 lock the account.</para>
    /// </remarks>
    public class TokenManager : P21TokenSource, IDisposable
    {
        private readonly NativeClient client;
        private readonly SharedCalls<Issued> waiting = new SharedCalls<Issued>();
        private readonly SharedCalls<string> waitingForUrl = new SharedCalls<string>();
        [DebuggerBrowsable(DebuggerBrowsableState.Never)]
        private Issued? current;
        private volatile Place place;
        private int disposed;

        /// <summary>Opens a manager for a P21 user.</summary>
        /// <param name="baseUrl">Address of the P21 middleware, such as <c>https://p21.example.com</c>.</param>
        /// <param name="username">P21 user.</param>
        /// <param name="password">The user's password.</param>
        /// <param name="options">Further settings; <see langword="null"/>: defaults.</param>
        /// <exception cref="P21ConfigException">An option is missing, malformed, or contradicts another option.</exception>
        /// <exception cref="DllNotFoundException">The native library cannot be loaded; the message lists what was tried.</exception>
        public TokenManager(string baseUrl, string username, string password, P21Options? options = null)
            : this(new P21Options(options) { BaseUrl = baseUrl, Username = username, Password = password })
        {
        }

        /// <summary>Opens a manager.</summary>
        /// <param name="options">Server, identity and further settings. They are copied.</param>
        /// <exception cref="P21ConfigException">An option is missing, malformed, or contradicts another option.</exception>
        /// <exception cref="DllNotFoundException">The native library cannot be loaded; the message lists what was tried.</exception>
        public TokenManager(P21Options options)
        {
            client = new NativeClient(options ?? throw P21Failure.Config("the options are null", "Pass options with at least BaseUrl and credentials."));
            place = PlaceOf(options);
        }

        /// <summary>Opens a manager from environment variables such as <c>P21_BASE_URL</c>, <c>P21_USERNAME</c>, <c>P21_PASSWORD</c>,
        /// <c>P21_CONSUMER_KEY</c>.</summary>
        /// <param name="prefix">Prefix of the names, so that play and production can live side by side: <c>P21_PLAY_</c>.</param>
        /// <returns>A new manager; dispose of it.</returns>
        /// <exception cref="P21ConfigException">A variable is missing, malformed or contradicts another.</exception>
        /// <exception cref="DllNotFoundException">The native library cannot be loaded; the message lists what was tried.</exception>
        /// <seealso cref="P21Options.FromEnvironment"/>
        public static TokenManager FromEnvironment(string prefix = "P21_") => new TokenManager(P21Options.FromEnvironment(prefix));

        /// <summary>Opens a manager from a profile: a section of <c>profiles.toml</c> in the user's configuration folder.</summary>
        /// <param name="name">Name of the profile.</param>
        /// <returns>A new manager; dispose of it.</returns>
        /// <exception cref="P21ConfigException">The profile is missing, or an option in it is malformed or a secret.</exception>
        /// <exception cref="DllNotFoundException">The native library cannot be loaded; the message lists what was tried.</exception>
        public static TokenManager FromProfile(string name) => new TokenManager(P21Options.FromProfile(name));

        /// <summary>Address of the P21 middleware as the library understands it: with scheme, without a slash at the end.</summary>
        public string BaseUrl => place.BaseUrl;

        /// <inheritdoc/>
        public override Uri BaseAddress => place.BaseAddress;

        /// <summary>Whether a request to this URL may carry the token: to the base URL's server, to the UI server once
        /// <see cref="GetUiServerUrlAsync"/> has been asked for, over https to <see cref="P21Options.AllowedHosts"/>.</summary>
        /// <param name="url">An absolute URL.</param>
        public override bool MaySendTo(Uri url) => place.Allows(url ?? throw P21Failure.Missing("URL"));

        /// <summary>An absolute URL on the P21 server.</summary>
        /// <param name="path">Path and query, such as <c>/odataservice/odata/table/customer?$top=5</c>; or an absolute URL where the token may
        /// be sent, such as an <c>@odata.nextLink</c>.</param>
        /// <returns><see cref="BaseUrl"/> and the path, with one slash between them; an absolute URL as it is.</returns>
        /// <exception cref="P21ConfigException">The token may not be sent there; or the path is null.</exception>
        public string Url(string path)
        {
            var here = place;
            if (here.Joined(path) is { } known)
            {
                return known;
            }
            bool absolute = (path ?? throw P21Failure.Missing("path")).Length > 0 && path[0] != '/'
                && (path.StartsWith("http://", StringComparison.OrdinalIgnoreCase) || path.StartsWith("https://", StringComparison.OrdinalIgnoreCase));
            return !absolute ? here.Join(path) : new Uri(path) is var url && MaySendTo(url) ? path : throw Hosts.Refusal(url);
        }

        /// <summary>A valid token, waiting for it if need be.</summary>
        /// <returns>The access token, without "Bearer ".</returns>
        /// <exception cref="P21HttpException">Network, server or credentials failed.</exception>
        /// <exception cref="P21TimeoutException"><see cref="P21Options.Timeout"/> has passed.</exception>
        /// <exception cref="P21ParseException">The server's response contains no token.</exception>
        /// <exception cref="P21ClosedException">The manager was disposed of.</exception>
        public string GetToken()
        {
            var issued = current;
            return issued != null && issued.IsGood ? issued.Token : GetGood(null).Token;
        }

        /// <summary>Returns a token, as the flags specify.</summary>
        /// <param name="flags">How to get it.</param>
        /// <param name="wait">The longest time that this call may wait, at least 1 ms; <see langword="null"/>: <see cref="P21Options.Timeout"/>;
        /// <see cref="Timeout.InfiniteTimeSpan"/>: until the request ends. The request goes on when the wait is over.</param>
        /// <returns>The access token, without "Bearer ".</returns>
        /// <exception cref="P21HttpException">Network, server or credentials failed; or <see cref="P21ErrorCode.NoCachedToken"/>,
        /// <see cref="P21ErrorCode.Pending"/>.</exception>
        /// <exception cref="P21TimeoutException">The wait is over.</exception>
        /// <exception cref="P21ParseException">The server's response contains no token.</exception>
        /// <exception cref="P21ConfigException">The flags exclude each other.</exception>
        /// <exception cref="P21ClosedException">The manager was disposed of.</exception>
        public string GetToken(TokenFlags flags, TimeSpan? wait = null) =>
            (flags == TokenFlags.None ? GetGood(wait) : Take(flags, Milliseconds(wait), 0, false)).Token;

        /// <summary>A valid token and its expiry, waiting for it if necessary.</summary>
        /// <param name="cancellationToken">Not used: this call ends with <see cref="P21Options.Timeout"/> at the latest.</param>
        /// <returns>The token; the same object as long as the token is the same.</returns>
        /// <inheritdoc cref="GetToken()"/>
        public override P21AccessToken GetAccessToken(CancellationToken cancellationToken = default) => GetGood(null).Access;

        /// <summary>A valid token and its expiry.</summary>
        /// <param name="cancellationToken">Ends this call's wait; the request continues, and other calls get its token.</param>
        /// <returns>The token; a completed task, always the same object, if the token is cached.</returns>
        /// <inheritdoc cref="GetTokenAsync(CancellationToken)"/>
        public override Task<P21AccessToken> GetAccessTokenAsync(CancellationToken cancellationToken = default)
        {
            var issued = cancellationToken.IsCancellationRequested ? null : current;
            return issued != null && issued.IsGood
                ? issued.AccessTask
                : AskAsync(TokenFlags.None, default, false, cancellationToken).Then(i => i.Access);
        }

        /// <summary>A valid token.</summary>
        /// <returns>The access token, without "Bearer "; a completed task, always the same object, if the token is cached.</returns>
        /// <inheritdoc cref="GetTokenAsync(CancellationToken)"/>
        public Task<string> GetTokenAsync()
        {
            var issued = current;
            return issued != null && issued.IsGood ? issued.Task : MissAsync(default);
        }

        /// <summary>A valid token.</summary>
        /// <remarks>No thread of the pool waits: all callers of a manager share one background thread while the token is on its way.</remarks>
        /// <param name="cancellationToken">Ends this call's wait; the request continues, and other calls get its token.</param>
        /// <returns>The access token, without "Bearer ".</returns>
        /// <exception cref="P21HttpException">Network, server or credentials failed.</exception>
        /// <exception cref="P21TimeoutException"><see cref="P21Options.Timeout"/> has passed.</exception>
        /// <exception cref="P21ParseException">The server's response contains no token.</exception>
        /// <exception cref="P21ClosedException">The manager was disposed of.</exception>
        /// <exception cref="OperationCanceledException"><paramref name="cancellationToken"/> was canceled.</exception>
        public Task<string> GetTokenAsync(CancellationToken cancellationToken)
        {
            if (cancellationToken.IsCancellationRequested)
            {
                return Task.FromCanceled<string>(cancellationToken);
            }
            var issued = current;
            return issued != null && issued.IsGood ? issued.Task : MissAsync(cancellationToken);
        }

        /// <summary>Returns a token, as the flags specify.</summary>
        /// <param name="flags">How to get it.</param>
        /// <param name="cancellationToken">Ends this call's wait; the request continues, and other calls get its token.</param>
        /// <returns>The access token, without "Bearer ".</returns>
        /// <inheritdoc cref="GetToken(TokenFlags, TimeSpan?)"/>
        public Task<string> GetTokenAsync(TokenFlags flags, CancellationToken cancellationToken = default) =>
            flags == TokenFlags.None ? GetTokenAsync(cancellationToken) : TokenOf(AskAsync(flags, default, false, cancellationToken));

        /// <summary>A token that stays the same even if the cache gets a new one, with all that the server said: for an Interactive session, which
        /// belongs to the token that opened it.</summary>
        /// <param name="minValid">How long the token must stay valid, in whole seconds, if the server's tokens live that long.</param>
        /// <param name="flags">How to get it.</param>
        /// <param name="wait">The longest time that this call may wait, at least 1 ms; <see langword="null"/>: <see cref="P21Options.Timeout"/>.</param>
        /// <returns>The snapshot.</returns>
        /// <inheritdoc cref="GetToken(TokenFlags, TimeSpan?)"/>
        public TokenSnapshot Snapshot(TimeSpan minValid = default, TokenFlags flags = TokenFlags.None, TimeSpan? wait = null) =>
            Take(flags, Milliseconds(wait), WholeSeconds(minValid), true).Snapshot(place);

        /// <summary>A token that stays the same even if the cache gets a new one.</summary>
        /// <param name="minValid">How long the token must stay valid, in whole seconds, if the server's tokens live that long.</param>
        /// <param name="flags">How to get it.</param>
        /// <param name="cancellationToken">Ends this call's wait; the request continues.</param>
        /// <returns>The snapshot.</returns>
        /// <inheritdoc cref="GetToken(TokenFlags, TimeSpan?)"/>
        public override Task<TokenSnapshot> SnapshotAsync(
            TimeSpan minValid = default, TokenFlags flags = TokenFlags.None, CancellationToken cancellationToken = default)
        {
            var here = place;
            return AskAsync(flags, minValid, true, cancellationToken).Then(issued => issued.Snapshot(here));
        }

        /// <summary>The UI server's URL, without a trailing slash, for the Interactive and Transaction APIs; requested once per token.</summary>
        /// <param name="flags">How to ask; <see cref="TokenFlags.ForceRefresh"/> asks the router again, not the token endpoint.</param>
        /// <returns>The URL.</returns>
        /// <inheritdoc cref="GetToken(TokenFlags, TimeSpan?)"/>
        public string GetUiServerUrl(TokenFlags flags = TokenFlags.None) => UiUrl(flags) ?? throw Pending();

        /// <summary>The UI server's URL, without a trailing slash, for the Interactive and Transaction APIs; requested once per token.</summary>
        /// <param name="cancellationToken">Ends this call's wait; the request continues.</param>
        /// <returns>The URL.</returns>
        /// <inheritdoc cref="GetTokenAsync(CancellationToken)"/>
        public override Task<string> GetUiServerUrlAsync(CancellationToken cancellationToken = default)
        {
            if (cancellationToken.IsCancellationRequested)
            {
                return Task.FromCanceled<string>(cancellationToken);
            }
            try
            {
                return UiUrl(TokenFlags.NoWait) is { } url
                    ? Task.FromResult(url)
                    : waitingForUrl.Join(
                        0, () => Waits.Run(client.TimeoutMs, ms => UiUrl(TokenFlags.None, ms)!, () => UiUrl(TokenFlags.NoWait))).LeaveOn(cancellationToken);
            }
            catch (Exception error) when (error is IP21Error)
            {
                return Task.FromException<string>(error);
            }
        }

        /// <summary>Reports an API's response. If the token was the cause, it is dropped, and the next call gets a new one.</summary>
        /// <param name="response">The response; its content can still be read afterward. The token is taken from the request's header.</param>
        /// <param name="cancellationToken">Ends the reading of the content.</param>
        /// <returns>What to do; any response other than 401 and 403 is <see cref="P21Verdict.GiveUp"/>.</returns>
        /// <exception cref="P21ClosedException">The manager was disposed of.</exception>
        /// <exception cref="HttpRequestException">The content cannot be read.</exception>
        public override async Task<P21Verdict> ReportAsync(HttpResponseMessage response, CancellationToken cancellationToken = default)
        {
            if (response == null)
            {
                throw P21Failure.Config("the response is null", "Pass the API's response.");
            }
            var body = await ResponseBody.PeekAsync(response, cancellationToken).ConfigureAwait(false);
            string token = response.RequestMessage?.Headers.Authorization?.Parameter ?? "";
            return Report(token, (int)response.StatusCode, body);
        }

        /// <summary>Reports an API's response. If the token was the cause, it is dropped, and the next call gets a new one.</summary>
        /// <param name="token">The token that was sent; a leading "Bearer " is dropped.</param>
        /// <param name="httpStatus">Status of the response, 100 to 599.</param>
        /// <param name="body">The response body, or its beginning.</param>
        /// <returns>What to do.</returns>
        /// <exception cref="P21ConfigException">The status is not an HTTP status.</exception>
        /// <exception cref="P21ClosedException">The manager was disposed of.</exception>
        public P21Verdict Report(string token, int httpStatus, byte[]? body = null) =>
            client.Report(token ?? "", httpStatus, body ?? Array.Empty<byte>(), body?.Length ?? 0);

        /// <summary>Drops a token: the next call gets a new one.</summary>
        /// <param name="token">The token, dropped if it is still the current one; <see langword="null"/>: the cached one, and any cool-down:
        /// "I unlocked the account, try now".</param>
        /// <exception cref="P21ClosedException">The manager was disposed of.</exception>
        public override void Invalidate(string? token = null) => client.Invalidate(token);

        /// <summary>Changes the manager's credentials or settings; a call that waits for the old ones waits for the new.</summary>
        /// <param name="options">All settings; those not set go back to their defaults.</param>
        /// <exception cref="P21ConfigException">An option is missing, malformed or contradicts another; the manager then does not change.</exception>
        /// <exception cref="P21ClosedException">The manager was disposed of.</exception>
        public void Update(P21Options options)
        {
            client.Update(options ?? throw P21Failure.Config("the options are null", "Pass options with at least BaseUrl and credentials."));
            place = PlaceOf(options);
        }

        /// <summary>The state of the manager: server, fingerprints of identity and token, age and remaining life, counters, last error, cool-down, proxy, TLS.</summary>
        /// <returns>Nested dictionaries and lists, as the C function's JSON; <c>schema</c> is the version of the layout. It contains no secret.</returns>
        /// <exception cref="P21ClosedException">The manager was disposed of.</exception>
        public IReadOnlyDictionary<string, object?> Stats() => Json.Object(client.Stats());

        /// <summary>Closes the manager: calls that wait fail at once. A second call does nothing.</summary>
        public void Dispose()
        {
            Dispose(true);
            GC.SuppressFinalize(this);
        }

        /// <summary>Closes the manager.</summary>
        /// <param name="disposing">Whether <see cref="Dispose()"/> was called.</param>
        protected virtual void Dispose(bool disposing)
        {
            if (disposing && Interlocked.Exchange(ref disposed, 1) == 0)
            {
                client.Dispose();
                current = null;
            }
        }

        internal bool IsDisposed => Volatile.Read(ref disposed) != 0;

        internal override P21Options TransportOptions => place.Options;

        /// <summary>Whether the token that was returned last is this one.</summary>
        internal bool Returned(string token) => current?.Token == token;

        /// <summary>A token with more than <paramref name="minValidS"/> seconds of life, as a reply of its own with the seconds left now.</summary>
        internal Task<TokenResponse> GetResponseAsync(uint minValidS, CancellationToken cancel)
        {
            var issued = current;
            return issued is { Response: { }, IsGood: true } && issued.SecondsLeft > minValidS
                ? Task.FromResult(issued.Response.With(issued.SecondsLeft))
                : AskAsync(TokenFlags.None, TimeSpan.FromSeconds(minValidS + 1L), true, cancel).Then(i => i.Response!.With(i.SecondsLeft));
        }

        private Place PlaceOf(P21Options options) => new Place(
            () => (string)Stats()["base_url"]!,
            () => !IsDisposed && Stats()["ui_url"] is IDictionary<string, object?> ui ? ui["url"] as string : null,
            options);

        // Apart, so that a hit's own code is short.
        private Task<string> MissAsync(CancellationToken cancel) => TokenOf(AskAsync(TokenFlags.None, default, false, cancel));

        /// <summary>The same task as a hit's, if it is complete.</summary>
        private static Task<string> TokenOf(Task<Issued> asked) =>
            asked.Status == TaskStatus.RanToCompletion ? asked.Result.Task : asked.Then(issued => issued.Token);

        private string? UiUrl(TokenFlags flags, uint waitMs = 0)
        {
            string? url = client.UiUrl(flags, waitMs);
            if (url != null)
            {
                place.SetUiUrl(url);
            }
            return url;
        }

        private Issued GetGood(TimeSpan? wait)
        {
            var issued = current;
            return issued != null && issued.IsGood ? issued : Take(TokenFlags.None, Milliseconds(wait), 0, false);
        }

        /// <summary>A token from the library, kept for the next hit.</summary>
        private Issued Take(TokenFlags flags, uint waitMs, uint minValidS, bool withResponse) =>
            Keep(client.Token(flags, waitMs, minValidS, withResponse) ?? throw Pending());

        private Task<Issued> AskAsync(TokenFlags flags, TimeSpan minValid, bool withResponse, CancellationToken cancel)
        {
            if (cancel.IsCancellationRequested)
            {
                return Task.FromCanceled<Issued>(cancel);
            }
            try
            {
                uint minValidS = WholeSeconds(minValid);
                if (flags is TokenFlags.CachedOnly or TokenFlags.NoWait)
                {
                    return Task.FromResult(Take(flags, 0, minValidS, withResponse));
                }
                // Most misses find a good token in the library: no thread for those.
                if (flags == TokenFlags.None
                    && client.Token(TokenFlags.NoWait, 0, minValidS, withResponse) is { IsReusable: true } issued)
                {
                    return Task.FromResult(Keep(issued));
                }
                return waiting.Join(Kind(flags, minValidS, withResponse), () => Waits.Run(
                    client.TimeoutMs,
                    ms => Take(flags, ms, minValidS, withResponse),
                    () => client.TryToken(flags, minValidS, withResponse) is { } found ? Keep(found) : null)).LeaveOn(cancel);
            }
            catch (Exception error) when (error is IP21Error)
            {
                return Task.FromException<Issued>(error);
            }
        }

        /// <summary>Remembers a token for hits. One with a reply is worth more than one without.</summary>
        private Issued Keep(Issued issued)
        {
            var known = current;
            if (issued.IsReusable && (issued.Response != null || known == null || !known.IsGood || known.Response == null))
            {
                Volatile.Write(ref current, issued);
                if (IsDisposed)
                {
                    current = null;
                }
            }
            return issued;
        }

        /// <summary>One number for each kind of question: those who ask the same share one call.</summary>
        private static ulong Kind(TokenFlags flags, uint minValidS, bool withResponse) =>
            ((ulong)minValidS << 8) | ((ulong)flags << 1) | (withResponse ? 1UL : 0);

        private static P21HttpException Pending() => new P21HttpException(new P21Failure
        {
            Code = P21ErrorCode.Pending,
            Message = "the token is still being fetched",
            RetryAfter = TimeSpan.Zero,
            IsRetryable = true,
        });

        internal static uint Milliseconds(TimeSpan? wait) =>
            wait is not { } time ? 0
            : time == Timeout.InfiniteTimeSpan ? uint.MaxValue
            : (uint)Math.Max(1, Math.Ceiling(NotNegative(time, "wait").TotalMilliseconds));

        private static uint WholeSeconds(TimeSpan time) => (uint)Math.Ceiling(NotNegative(time, "least life").TotalSeconds);

        private static TimeSpan NotNegative(TimeSpan time, string what) => time < TimeSpan.Zero || time.TotalMilliseconds > uint.MaxValue
            ? throw P21Failure.Config("a " + what + " of " + time + " is not possible", "Pass a time from 0 to 49 days.")
            : time;
    }
}
