using System;
using System.Linq;
using System.Net;
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
            await Replay.PrepareAsync(request, Replay.DefaultLimit).ConfigureAwait(false);
            var response = await base.SendAsync(request, cancellationToken).ConfigureAwait(false);
            for (int hop = 0; Follow(request, response, hop); hop++)
            {
                response.Dispose();
                response = await base.SendAsync(request, cancellationToken).ConfigureAwait(false);
            }
            return response;
        }

#if NET5_0_OR_GREATER
        protected override HttpResponseMessage Send(HttpRequestMessage request, CancellationToken cancellationToken)
        {
            var response = base.Send(request, cancellationToken);
            for (int hop = 0; Follow(request, response, hop); hop++)
            {
                response.Dispose();
                response = base.Send(request, cancellationToken);
            }
            return response;
        }
#endif

        /// <summary>Turns the request to where the response points; false if the response is to be handed out.</summary>
        private static bool Follow(HttpRequestMessage request, HttpResponseMessage response, int hop)
        {
            int status = (int)response.StatusCode;
            if (status is not (301 or 302 or 303 or 307 or 308) || response.Headers.Location is not { } location || request.RequestUri == null)
            {
                return false;
            }
            var target = location.IsAbsoluteUri ? location : new Uri(request.RequestUri, location);
            if (target.Scheme != request.RequestUri.Scheme || target.Authority != request.RequestUri.Authority)
            {
                response.Dispose();
                throw P21Failure.Redirect(
                    request.RequestUri.GetLeftPart(UriPartial.Path) + " redirects to " + target.GetLeftPart(UriPartial.Authority)
                        + ", and the token must not go there",
                    "Check the base URL; if that server is right, use its address.");
            }
            bool read = request.Method == HttpMethod.Get || request.Method == HttpMethod.Head;
            if (hop >= MostHops || (!read && (status is 301 or 302 or 303 || !Replay.IsReplayable(request))))
            {
                return false;
            }
            request.RequestUri = target;
            return true;
        }
    }

    /// <summary>Which requests can be sent twice.</summary>
    internal static class Replay
    {
        internal const long DefaultLimit = 1024 * 1024;

        /// <summary>Puts a small body into memory, so that it can be sent again.</summary>
        internal static Task PrepareAsync(HttpRequestMessage request, long limit) =>
            request.Content?.Headers.ContentLength is { } length && length <= limit && request.Content is not ByteArrayContent
                ? request.Content.LoadIntoBufferAsync()
                : Task.CompletedTask;

        /// <summary>Whether the body can be sent again: there is none, it was put into memory, or it is made anew each time.</summary>
        internal static bool IsReplayable(HttpRequestMessage request, long limit = DefaultLimit) => request.Content switch
        {
            null => true,
            { Headers: { ContentLength: { } length } } => length <= limit,
            // Its length is not known beforehand, but it writes an object out each time.
            var content => content.GetType().FullName == "System.Net.Http.Json.JsonContent",
        };
    }
}
