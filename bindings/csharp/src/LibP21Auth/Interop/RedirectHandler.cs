using System;
using System.Net.Http;
using System.Threading;
using System.Threading.Tasks;

namespace LibP21Auth.Interop
{
    /// <summary>Follows redirects within one server with the Authorization header, which HttpClient would drop.</summary>
    /// <remarks>P21 answers <c>/api/ui/router/v1?…</c> with a 307 to the same path with a slash; after HttpClient's own redirect the
    /// server says that the header was not present. A redirect to another server is refused: it would get the token.</remarks>
    internal sealed class RedirectHandler : DelegatingHandler
    {
        private const int MostHops = 5;

        internal RedirectHandler(HttpMessageHandler inner) : base(inner)
        {
        }

        protected override async Task<HttpResponseMessage> SendAsync(HttpRequestMessage request, CancellationToken cancellationToken)
        {
            bool replayable = await Replay.PrepareAsync(request.Content, Replay.DefaultLimit).ConfigureAwait(false);
            var response = await base.SendAsync(request, cancellationToken).ConfigureAwait(false);
            for (int hop = 0; Follow(request, response, hop, replayable); hop++)
            {
                response.Dispose();
                response = await base.SendAsync(request, cancellationToken).ConfigureAwait(false);
            }
            return response;
        }

#if NET5_0_OR_GREATER
        protected override HttpResponseMessage Send(HttpRequestMessage request, CancellationToken cancellationToken)
        {
            bool replayable = Replay.PrepareAsync(request.Content, Replay.DefaultLimit).GetAwaiter().GetResult();
            var response = base.Send(request, cancellationToken);
            for (int hop = 0; Follow(request, response, hop, replayable); hop++)
            {
                response.Dispose();
                response = base.Send(request, cancellationToken);
            }
            return response;
        }
#endif

        /// <summary>Turns the request to where the response points; false if the response is the caller's.</summary>
        private static bool Follow(HttpRequestMessage request, HttpResponseMessage response, int hop, bool replayable)
        {
            int status = (int)response.StatusCode;
            if (status is not (301 or 302 or 303 or 307 or 308) || response.Headers.Location is not { } location || request.RequestUri == null)
            {
                return false;
            }
            var target = location.IsAbsoluteUri ? location : new Uri(request.RequestUri, location);
            if (!Hosts.IsOn(target, request.RequestUri))
            {
                response.Dispose();
                throw new P21HttpException(new P21Failure
                {
                    Code = P21ErrorCode.Redirect,
                    Message = request.RequestUri.GetLeftPart(UriPartial.Path) + " redirects to " + target.GetLeftPart(UriPartial.Authority)
                        + ", and the token must not go there",
                    Hint = "Check the base URL; if that server is right, use its address.",
                });
            }
            bool read = request.Method == HttpMethod.Get || request.Method == HttpMethod.Head;
            if (hop >= MostHops || (!read && (status is 301 or 302 or 303 || !replayable)))
            {
                return false;
            }
            request.RequestUri = target;
            return true;
        }
    }
}
