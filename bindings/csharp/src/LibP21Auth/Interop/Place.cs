using System;
using System.Collections.Generic;
using System.Linq;

namespace LibP21Auth.Interop
{
    /// <summary>Where a manager's tokens may go, and how to get there: what the HTTP helpers need of its options, without the secrets.</summary>
    internal sealed class Place
    {
        private readonly TokenManager manager;
        private readonly string[] allowed;
        private string? baseUrl;

        internal Place(TokenManager manager, P21Options options)
        {
            this.manager = manager;
            Options = new P21Options
            {
                CaFile = options.CaFile,
                TlsPinSha256 = options.TlsPinSha256,
                TlsVerify = options.TlsVerify,
                Proxy = options.Proxy,
                NoProxy = options.NoProxy,
                Resolve = options.Resolve,
                ConnectTimeout = options.ConnectTimeout,
            };
            allowed = (options.AllowedHosts ?? Enumerable.Empty<string>()).ToArray();
        }

        internal P21Options Options { get; }

        internal string BaseUrl => baseUrl ??= (string)manager.Stats()["base_url"]!;

        /// <summary>Where the router sent this manager; the stats forget it with the token.</summary>
        internal string? UiUrl { private get; set; }

        /// <summary>Throws unless the token may be sent there: the base URL's server, the UI server, and over https the allowed hosts.</summary>
        internal void Check(Uri url)
        {
            var home = new Uri(BaseUrl);
            bool downgrade = url.Scheme != "https" && home.Scheme == "https";
            if (!(IsOn(url, home) || (UiUrl ?? UiUrlOfStats()) is { } ui && IsOn(url, new Uri(ui))
                || !downgrade && allowed.Any(host => Hosts.Same(url, host))))
            {
                throw Hosts.Refusal(url);
            }
        }

        private static bool IsOn(Uri url, Uri server) => url.Scheme == server.Scheme && url.Authority == server.Authority;

        private string? UiUrlOfStats() => manager.Stats()["ui_url"] is IDictionary<string, object?> ui ? ui["url"] as string : null;
    }

    /// <summary>Comparing and refusing hosts.</summary>
    internal static class Hosts
    {
        /// <summary>Whether a URL is on that host; a port counts where one is given.</summary>
        internal static bool Same(Uri url, string host) =>
            string.Equals(url.Host.Trim('[', ']'), host.Trim('[', ']'), StringComparison.OrdinalIgnoreCase)
            || string.Equals(url.Host + ":" + url.Port, host, StringComparison.OrdinalIgnoreCase);

        internal static Exception Refusal(Uri url) => P21Failure.Config(
            "the token is not sent to " + url.Scheme + "://" + url.Host + ":" + url.Port,
            "It goes to the base URL, to the UI server once GetUiServerUrlAsync() has been asked for, and over https to the hosts in "
                + "AllowedHosts. If this one is yours: AllowedHosts = new[] { \"" + url.Host + "\" }.");
    }
}
