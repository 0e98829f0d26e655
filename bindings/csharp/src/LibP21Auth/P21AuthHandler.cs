using System;
using System.Collections.Generic;
using System.Linq;
using System.Net;
using System.Net.Http;
using System.Net.Http.Headers;
using System.Threading;
using System.Threading.Tasks;
using LibP21Auth.Interop;

namespace LibP21Auth
{
    /// <summary>Puts the token on each request of an <see cref="HttpClient"/>.</summary>
    /// <remarks>
    /// <para>On a 401 or 403 it asks <see cref="TokenManager.ReportAsync(HttpResponseMessage, CancellationToken)"/>. If the token was to blame
    /// the request is sent once more with a new one; if the header got lost in a redirect within the server, once more at the new address.
    /// Otherwise the response comes back with a reason phrase that says what to do, so that <c>EnsureSuccessStatusCode</c> shows it.</para>
    /// <para>Requests with a body are repeated only if the body is known to be at most <see cref="MaxBufferedBody"/> bytes long, or is JSON
    /// content. The token goes to the server of the base URL, to its UI server and to the allowed hosts; a request to any other host fails.</para>
    /// <para>With a <see cref="TokenSnapshot"/> it sends that token always and never repeats anything: an Interactive session survives that way.</para>
    /// <para>Safe for use by any number of threads.</para>
    /// </remarks>
    public sealed class P21AuthHandler : DelegatingHandler
    {
        private readonly IP21TokenProvider? provider;
        private readonly string? pinned;
        private readonly Action<Uri> check;

        /// <summary>A handler for <c>IHttpClientFactory</c>, which supplies the inner handler.</summary>
        /// <param name="manager">Where the tokens come from; it is not disposed of with the handler.</param>
        public P21AuthHandler(TokenManager manager)
        {
            provider = manager ?? throw Missing("manager");
            check = url => manager.Here.Check(url);
        }

        /// <summary>A handler in front of another.</summary>
        /// <param name="manager">Where the tokens come from; it is not disposed of with the handler.</param>
        /// <param name="innerHandler">What sends the requests; <see cref="P21Auth.CreateHttpHandler"/> makes one with the manager's certificates and proxy.</param>
        public P21AuthHandler(TokenManager manager, HttpMessageHandler innerHandler) : this(manager)
        {
            InnerHandler = innerHandler;
        }

        /// <summary>A handler that sends one token always.</summary>
        /// <param name="snapshot">The token.</param>
        public P21AuthHandler(TokenSnapshot snapshot)
        {
            pinned = (snapshot ?? throw Missing("snapshot")).AccessToken;
            check = snapshot.Place.Check;
        }

        /// <summary>A handler that sends one token always, in front of another.</summary>
        /// <param name="snapshot">The token.</param>
        /// <param name="innerHandler">What sends the requests.</param>
        public P21AuthHandler(TokenSnapshot snapshot, HttpMessageHandler innerHandler) : this(snapshot)
        {
            InnerHandler = innerHandler;
        }

        /// <summary>A handler over your own provider.</summary>
        /// <param name="provider">Where the tokens come from.</param>
        /// <param name="allowedHosts">The hosts that may get them, such as <c>p21.example.com</c>; with a port, that port alone.</param>
        public P21AuthHandler(IP21TokenProvider provider, IEnumerable<string> allowedHosts)
        {
            this.provider = provider ?? throw Missing("provider");
            var hosts = (allowedHosts ?? throw Missing("list of hosts")).ToArray();
            check = url =>
            {
                if (!hosts.Any(host => Hosts.Same(url, host)))
                {
                    throw Hosts.Refusal(url);
                }
            };
        }

        /// <summary>The longest request body, in bytes, that is kept in memory so that it can be sent twice. Default: 1 MiB.</summary>
        public long MaxBufferedBody { get; set; } = Replay.DefaultLimit;

        /// <inheritdoc/>
        protected override Task<HttpResponseMessage> SendAsync(HttpRequestMessage request, CancellationToken cancellationToken) =>
            SendAsync(request, new Way(this, false), cancellationToken);

#if NET5_0_OR_GREATER
        /// <inheritdoc/>
        protected override HttpResponseMessage Send(HttpRequestMessage request, CancellationToken cancellationToken) =>
            // Every task on this way is complete when it is made.
            SendAsync(request, new Way(this, true), cancellationToken).GetAwaiter().GetResult();
#endif

        private async Task<HttpResponseMessage> SendAsync(HttpRequestMessage request, Way way, CancellationToken cancel)
        {
            var url = request.RequestUri ?? throw Missing("URL of the request");
            check(url);
            await Replay.PrepareAsync(request, MaxBufferedBody).ConfigureAwait(false);
            await AuthorizeAsync(request, way, cancel).ConfigureAwait(false);
            var response = await way.Send(request, cancel).ConfigureAwait(false);
            if (response.StatusCode != HttpStatusCode.Unauthorized && response.StatusCode != HttpStatusCode.Forbidden)
            {
                return response;
            }
            if (provider == null)
            {
                return response;
            }
            var verdict = await provider.ReportAsync(response, cancel).ConfigureAwait(false);
            bool again = verdict == P21Verdict.Retry
                // An inner handler followed a redirect and dropped the header on the way.
                || (verdict == P21Verdict.HeaderLost && Moved(request, url));
            if (again && Replay.IsReplayable(request, MaxBufferedBody))
            {
                response.Dispose();
                await AuthorizeAsync(request, way, cancel).ConfigureAwait(false);
                response = await way.Send(request, cancel).ConfigureAwait(false);
                if (response.StatusCode != HttpStatusCode.Unauthorized && response.StatusCode != HttpStatusCode.Forbidden)
                {
                    return response;
                }
                verdict = await provider.ReportAsync(response, cancel).ConfigureAwait(false);
            }
            Explain(response, verdict);
            return response;
        }

        private async Task AuthorizeAsync(HttpRequestMessage request, Way way, CancellationToken cancel)
        {
            string token = pinned ?? await way.Token(provider!, cancel).ConfigureAwait(false);
            request.Headers.Authorization = new AuthenticationHeaderValue("Bearer", token);
        }

        private static bool Moved(HttpRequestMessage request, Uri from) =>
            request.RequestUri is { } to && to != from && to.Scheme == from.Scheme && to.Authority == from.Authority;

        private static void Explain(HttpResponseMessage response, P21Verdict verdict)
        {
            string hint = P21Auth.VerdictHint(verdict);
            if (hint.Length > 0)
            {
                response.ReasonPhrase = response.StatusCode + ". " + hint;
            }
        }

        private static Exception Missing(string what) => P21Failure.Config("the " + what + " is null", "Pass one.");

        /// <summary>The same steps for <c>Send</c> and <c>SendAsync</c>.</summary>
        private readonly struct Way
        {
            private readonly P21AuthHandler handler;
            private readonly bool blocking;

            internal Way(P21AuthHandler handler, bool blocking)
            {
                this.handler = handler;
                this.blocking = blocking;
            }

            internal Task<string> Token(IP21TokenProvider provider, CancellationToken cancel) =>
                blocking ? Task.FromResult(provider.GetToken()) : provider.GetTokenAsync(cancel);

            internal Task<HttpResponseMessage> Send(HttpRequestMessage request, CancellationToken cancel) =>
#if NET5_0_OR_GREATER
                blocking ? Task.FromResult(handler.BaseSend(request, cancel)) :
#endif
                handler.BaseSendAsync(request, cancel);
        }

        private Task<HttpResponseMessage> BaseSendAsync(HttpRequestMessage request, CancellationToken cancel) => base.SendAsync(request, cancel);

#if NET5_0_OR_GREATER
        private HttpResponseMessage BaseSend(HttpRequestMessage request, CancellationToken cancel) => base.Send(request, cancel);
#endif
    }
}
