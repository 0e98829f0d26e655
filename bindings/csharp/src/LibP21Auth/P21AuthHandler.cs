using System;
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
    /// <para>On a 401 or 403 it asks <see cref="P21TokenSource.ReportAsync"/>. If the token was to blame the request is sent once more with a
    /// new one; if the header got lost in a redirect within the server, once more at the new address. Otherwise the response comes back with
    /// a reason phrase that says what to do, so that <c>EnsureSuccessStatusCode</c> shows it.</para>
    /// <para>Requests are repeated if their body can be read again: content in memory, forms and multipart made of such, streams that can
    /// seek. Another body is put into memory first if it is known to be at most <see cref="MaxBufferedBody"/> bytes long. The token goes
    /// where the source allows (<see cref="P21TokenSource.MaySendTo"/>); a request to any other host fails.</para>
    /// <para>When no token can be had, the request fails with <see cref="P21HttpException"/>, which every <c>catch</c> of
    /// <see cref="HttpRequestException"/> catches; for a time-out or an unusable reply the <see cref="P21TimeoutException"/> or
    /// <see cref="P21ParseException"/> is its inner exception.</para>
    /// <para>With <see cref="TokenSnapshot.AsTokenSource"/> it always sends the same token and never repeats anything: an Interactive session
    /// survives that way. Safe for use by any number of threads.</para>
    /// </remarks>
    public sealed class P21AuthHandler : DelegatingHandler
    {
        private readonly P21TokenSource source;

        /// <summary>A handler without an inner handler: <c>IHttpClientFactory</c> supplies one; elsewhere set
        /// <see cref="DelegatingHandler.InnerHandler"/>, for instance to <see cref="P21Auth.CreateHttpHandler"/>.</summary>
        /// <param name="source">Where the tokens come from and where they may go; it is not disposed of with the handler.</param>
        public P21AuthHandler(P21TokenSource source)
        {
            this.source = source ?? throw P21Failure.Missing("token source");
        }

        /// <summary>The longest request body, in bytes, that is put into memory so that it can be sent twice. Default: 1 MiB.</summary>
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
            var url = request.RequestUri ?? throw P21Failure.Missing("URL of the request");
            if (!source.MaySendTo(url))
            {
                throw Hosts.Refusal(url);
            }
            bool replayable = await Replay.PrepareAsync(request.Content, MaxBufferedBody).ConfigureAwait(false);
            await AuthorizeAsync(request, way, cancel).ConfigureAwait(false);
            var response = await way.Send(request, cancel).ConfigureAwait(false);
            if (!IsRejection(response))
            {
                return response;
            }
            var verdict = await source.ReportAsync(response, cancel).ConfigureAwait(false);
            bool again = verdict == P21Verdict.Retry
                // An inner handler followed a redirect and dropped the header on the way.
                || (verdict == P21Verdict.HeaderLost && Moved(request, url));
            if (again && replayable)
            {
                response.Dispose();
                await AuthorizeAsync(request, way, cancel).ConfigureAwait(false);
                response = await way.Send(request, cancel).ConfigureAwait(false);
                if (!IsRejection(response))
                {
                    return response;
                }
                verdict = await source.ReportAsync(response, cancel).ConfigureAwait(false);
            }
            if (source is not Pinned)
            {
                Explain(response, verdict);
            }
            return response;
        }

        private async Task AuthorizeAsync(HttpRequestMessage request, Way way, CancellationToken cancel)
        {
            try
            {
                var token = await way.Token(source, cancel).ConfigureAwait(false);
                request.Headers.Authorization = new AuthenticationHeaderValue("Bearer", token.Value);
            }
            catch (Exception error) when (error is P21TimeoutException or P21ParseException)
            {
                throw P21HttpException.Around(error);
            }
        }

        private static bool IsRejection(HttpResponseMessage response) =>
            response.StatusCode is HttpStatusCode.Unauthorized or HttpStatusCode.Forbidden;

        private static bool Moved(HttpRequestMessage request, Uri from) =>
            request.RequestUri is { } to && to != from && Hosts.IsOn(to, from);

        private static void Explain(HttpResponseMessage response, P21Verdict verdict)
        {
            // A fake source needs no native library, and then there is none to ask for words.
            string hint = Native.IsLoaded ? P21Auth.VerdictHint(verdict) : "";
            if (hint.Length > 0)
            {
                response.ReasonPhrase = response.StatusCode + ". " + hint;
            }
        }

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

            internal Task<P21AccessToken> Token(P21TokenSource source, CancellationToken cancel) =>
                blocking ? Task.FromResult(source.GetAccessToken(cancel)) : source.GetAccessTokenAsync(cancel);

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
