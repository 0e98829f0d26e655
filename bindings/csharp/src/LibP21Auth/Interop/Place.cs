using System;
using System.Linq;

namespace LibP21Auth.Interop
{
    /// <summary>Where a source's tokens may go, and how to get there: what the HTTP helpers need of its options, without the secrets.</summary>
    internal sealed class Place
    {
        private readonly Func<string> readBaseUrl;
        private readonly Func<string?> readUiUrl;
        private readonly string[] allowed;
        private string? baseUrl;
        private Uri? baseAddress;
        private volatile Uri? uiUrl;

        internal Place(Func<string> readBaseUrl, Func<string?> readUiUrl, P21Options? options = null)
        {
            this.readBaseUrl = readBaseUrl;
            this.readUiUrl = readUiUrl;
            Options = new P21Options
            {
                CaFile = options?.CaFile,
                TlsPinSha256 = options?.TlsPinSha256,
                TlsVerify = options?.TlsVerify,
                Proxy = options?.Proxy,
                NoProxy = options?.NoProxy,
                Resolve = options?.Resolve,
                ConnectTimeout = options?.ConnectTimeout,
            };
            allowed = (options?.AllowedHosts ?? Enumerable.Empty<string>()).ToArray();
        }

        internal P21Options Options { get; }

        /// <summary>Without a slash at the end.</summary>
        internal string BaseUrl => baseUrl ??= readBaseUrl().TrimEnd('/');

        internal Uri BaseAddress => baseAddress ??= new Uri(BaseUrl + "/");

        /// <summary>Where the router sent this manager: remembered here, since the stats forget it with the token.</summary>
        internal void SetUiUrl(string url) => uiUrl = new Uri(url);

        /// <summary>Whether the token may be sent there: to the base URL's server, over https to the allowed hosts, to the UI server.</summary>
        internal bool Allows(Uri url)
        {
            if (!url.IsAbsoluteUri)
            {
                return false;
            }
            bool downgrade = url.Scheme != "https" && BaseAddress.Scheme == "https";
            return Hosts.IsOn(url, BaseAddress) || (!downgrade && allowed.Any(host => Hosts.Same(url, host)))
                || (uiUrl is { } known && Hosts.IsOn(url, known)) || (readUiUrl() is { } ui && Hosts.IsOn(url, new Uri(ui)));
        }
    }

    /// <summary>Comparing and refusing hosts.</summary>
    internal static class Hosts
    {
        internal static bool IsOn(Uri url, Uri server) =>
            url.IsAbsoluteUri && url.Scheme == server.Scheme && url.Authority == server.Authority;

        /// <summary>Whether a URL is on that host; a port counts where one is given.</summary>
        internal static bool Same(Uri url, string host) =>
            string.Equals(url.Host.Trim('[', ']'), host.Trim('[', ']'), StringComparison.OrdinalIgnoreCase)
            || string.Equals(url.Host + ":" + url.Port, host, StringComparison.OrdinalIgnoreCase);

        internal static Exception Refusal(Uri url) => url.IsAbsoluteUri
            ? P21Failure.Config(
                "the token is not sent to " + url.Scheme + "://" + url.Host + ":" + url.Port,
                "It goes to the base URL, to the UI server once GetUiServerUrlAsync() has been asked for, and over https to the hosts in "
                    + "AllowedHosts. If this one is yours: AllowedHosts = new[] { \"" + url.Host + "\" }.")
            : P21Failure.Config("the request's URL is relative", "Set HttpClient.BaseAddress, or use an absolute URL.");
    }
}
