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

        /// <summary>Throws unless the token may be sent there.</summary>
        internal void Check(Uri url)
        {
            var home = new Uri(BaseUrl);
            if (url.Scheme == "http" && home.Scheme == "https")
            {
                throw Hosts.Refusal(url, "it is plain http, and " + BaseUrl + " is not");
            }
            if (Hosts.Same(url, home.Host) || allowed.Any(host => Hosts.Same(url, host)))
            {
                return;
            }
            if (manager.Stats().TryGetValue("ui_url", out var ui) && ui is IDictionary<string, object?> known
                && known.TryGetValue("url", out var text) && text is string uiUrl && Hosts.Same(url, new Uri(uiUrl).Host))
            {
                return;
            }
            throw Hosts.Refusal(url, "it is neither the host of " + BaseUrl + " nor that of its UI server");
        }
    }

    /// <summary>Comparing and refusing hosts.</summary>
    internal static class Hosts
    {
        /// <summary>Whether a URL is on that host; a port counts where one is given.</summary>
        internal static bool Same(Uri url, string host)
        {
            string own = url.Host.Trim('[', ']');
            int colon = host.LastIndexOf(':');
            bool withPort = colon > 0 && host.IndexOf(':') == colon || host.IndexOf("]:", StringComparison.Ordinal) > 0;
            string name = (withPort ? host.Substring(0, colon) : host).Trim('[', ']');
            return string.Equals(own, name, StringComparison.OrdinalIgnoreCase)
                && (!withPort || host.Substring(colon + 1) == url.Port.ToString(System.Globalization.CultureInfo.InvariantCulture));
        }

        internal static Exception Refusal(Uri url, string why) => P21Failure.Config(
            "the token was not sent to " + url.GetLeftPart(UriPartial.Authority) + ": " + why,
            "If that server may have the token, add its host to AllowedHosts (P21_ALLOWED_HOSTS); otherwise use another HttpClient for it.");
    }
}
