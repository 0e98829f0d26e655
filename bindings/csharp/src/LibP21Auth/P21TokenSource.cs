using System;
using System.Net.Http;
using System.Net.Http.Headers;
using System.Threading;
using System.Threading.Tasks;
using LibP21Auth.Interop;

namespace LibP21Auth
{
    /// <summary>Where access tokens come from, and where they may go. Depend on this class rather than on <see cref="TokenManager"/>, and
    /// derive a fake from it in tests; <see cref="P21ModelFactory"/> makes what a fake returns and throws.</summary>
    /// <remarks>A derived class must override <see cref="BaseAddress"/> and <see cref="GetAccessTokenAsync"/>; the rest has defaults that
    /// suit a fake. Members may be added in later versions; they will not be abstract.</remarks>
    public abstract class P21TokenSource
    {
        /// <summary>Address of the P21 middleware with a slash at the end, ready for <see cref="HttpClient.BaseAddress"/>.</summary>
        public abstract Uri BaseAddress { get; }

        /// <summary>Whether a request to this URL may carry the token. By default: on the server of <see cref="BaseAddress"/>.</summary>
        /// <param name="url">An absolute URL.</param>
        public virtual bool MaySendTo(Uri url) => Hosts.IsOn(url, BaseAddress);

        /// <summary>A valid token.</summary>
        /// <param name="cancellationToken">Ends this caller's wait.</param>
        /// <returns>The token and its expiry.</returns>
        public abstract Task<P21AccessToken> GetAccessTokenAsync(CancellationToken cancellationToken = default);

        /// <summary>A valid token, for callers that block. By default: waits for <see cref="GetAccessTokenAsync"/>.</summary>
        /// <param name="cancellationToken">Ends the wait, where the source can.</param>
        /// <returns>The token and its expiry.</returns>
        public virtual P21AccessToken GetAccessToken(CancellationToken cancellationToken = default) =>
            GetAccessTokenAsync(cancellationToken).GetAwaiter().GetResult();

        /// <summary>Puts a valid token on a request, and <c>Accept: application/json</c> if it accepts nothing yet, as the guide's
        /// <c>TokenManager</c> does. Unlike <see cref="P21AuthHandler"/> this does not notice when the server rejects the token: see
        /// <see cref="ReportAsync"/>.</summary>
        /// <param name="request">The request; if its URL is absolute, the token must be allowed there.</param>
        /// <param name="cancellationToken">Ends this caller's wait.</param>
        /// <exception cref="P21ConfigException">The token may not be sent to the request's URL.</exception>
        public virtual Task ApplyAuthAsync(HttpRequestMessage request, CancellationToken cancellationToken = default)
        {
            if (request == null)
            {
                return Task.FromException<bool>(P21Failure.Missing("request"));
            }
            // On Mono a path that begins with a slash is a file's URL; HttpClient takes it for a path all the same.
            if (request.RequestUri is { IsAbsoluteUri: true, Scheme: not "file" } url && !MaySendTo(url))
            {
                return Task.FromException<bool>(Hosts.Refusal(url));
            }
            return GetAccessTokenAsync(cancellationToken).Then(token =>
            {
                request.Headers.Authorization = new AuthenticationHeaderValue("Bearer", token.Value);
                if (request.Headers.Accept.Count == 0)
                {
                    request.Headers.Accept.Add(new MediaTypeWithQualityHeaderValue("application/json"));
                }
                return true;
            });
        }

        /// <summary>A token that stays the same even if the cache gets a new one. By default: the present one.</summary>
        /// <param name="minValid">How long it must still live.</param>
        /// <param name="flags">How to get it.</param>
        /// <param name="cancellationToken">Ends this caller's wait.</param>
        /// <returns>The snapshot.</returns>
        public virtual Task<TokenSnapshot> SnapshotAsync(
            TimeSpan minValid = default, TokenFlags flags = TokenFlags.None, CancellationToken cancellationToken = default) =>
            GetAccessTokenAsync(cancellationToken).Then(token => P21ModelFactory.TokenSnapshot(token, BaseAddress));

        /// <summary>The UI server's URL, without a slash at the end, for the Interactive and Transaction APIs.</summary>
        /// <param name="cancellationToken">Ends this caller's wait.</param>
        /// <returns>The URL.</returns>
        /// <exception cref="NotSupportedException">The derived class does not override this.</exception>
        public virtual Task<string> GetUiServerUrlAsync(CancellationToken cancellationToken = default) =>
            Task.FromException<string>(new NotSupportedException(GetType().Name + " does not override GetUiServerUrlAsync"));

        /// <summary>Reports an API's response. By default: <see cref="P21Verdict.GiveUp"/>.</summary>
        /// <param name="response">The response; its content can still be read afterwards. The token is taken from its request's header.</param>
        /// <param name="cancellationToken">Ends the reading of the content.</param>
        /// <returns>What to do.</returns>
        public virtual Task<P21Verdict> ReportAsync(HttpResponseMessage response, CancellationToken cancellationToken = default) =>
            Task.FromResult(P21Verdict.GiveUp);

        /// <summary>Drops a token: the next call gets a new one. By default: does nothing.</summary>
        /// <param name="token">The token, dropped if it is still the current one; <see langword="null"/>: the cached one.</param>
        public virtual void Invalidate(string? token = null)
        {
        }

        /// <summary>What an HTTP client that goes with this source needs of its settings.</summary>
        internal virtual P21Options TransportOptions => new P21Options();
    }

    /// <summary>One token always.</summary>
    internal sealed class Pinned : P21TokenSource
    {
        private readonly TokenSnapshot snapshot;
        private readonly Task<P21AccessToken> token;

        internal Pinned(TokenSnapshot snapshot)
        {
            this.snapshot = snapshot;
            token = Task.FromResult(new P21AccessToken(snapshot.AccessToken, snapshot.ExpiresAt));
        }

        public override Uri BaseAddress => snapshot.Place.BaseAddress;

        public override bool MaySendTo(Uri url) => snapshot.Place.Allows(url);

        public override Task<P21AccessToken> GetAccessTokenAsync(CancellationToken cancellationToken = default) => token;

        public override Task<TokenSnapshot> SnapshotAsync(
            TimeSpan minValid = default, TokenFlags flags = TokenFlags.None, CancellationToken cancellationToken = default) => Task.FromResult(snapshot);

        internal override P21Options TransportOptions => snapshot.Place.Options;
    }
}
