using System;
using System.Linq;

namespace LibP21Auth.Interop
{
    /// <summary>Where a source's tokens may go, and how to get there: what the HTTP helpers need of its options, without the secrets.</summary>
    internal sealed class Place
    {
        private readonly Func<string> readBaseUrl;
        private readonly Func<string?> readUiUrl;
        private readonly AllowedHost[] allowed;
        private string? baseUrl;
        private Uri? baseAddress;
        private Server? own;
        private volatile Server? uiServer;
        private volatile string? lastPath;
        private volatile JoinedPath? lastJoined;

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
            allowed = (options?.AllowedHosts ?? Enumerable.Empty<string>()).Select(host => new AllowedHost(host)).ToArray();
        }

        internal P21Options Options { get; }

        /// <summary>Without a slash at the end.</summary>
        internal string BaseUrl => baseUrl ??= readBaseUrl().TrimEnd('/');

        internal Uri BaseAddress => baseAddress ??= new Uri(BaseUrl + "/");

        /// <summary>What <see cref="Join"/> has kept, if it is for this path: the same object, as a literal in a loop is.</summary>
        internal string? Joined(string path) => lastJoined is { } last && ReferenceEquals(last.Path, path) ? last.Url : null;

        /// <summary>The base URL and a path, with one slash between them.</summary>
        internal string Join(string path)
        {
            string url = path.Length > 1 && path[0] == '/' && path[1] != '/' ? BaseUrl + path : BaseUrl + "/" + path.TrimStart('/');
            // Kept from the second time on: a path that is new each time costs nothing but its URL.
            if (ReferenceEquals(lastPath, path))
            {
                lastJoined = new JoinedPath(path, url);
            }
            lastPath = path;
            return url;
        }

        /// <summary>Where the router sent this manager: remembered here, since the stats forget it with the token.</summary>
        internal void SetUiUrl(string url) => uiServer = new Server(new Uri(url));

        /// <summary>Whether the token may be sent there: to the base URL's server, over https to the allowed hosts, to the UI server.</summary>
        internal bool Allows(Uri url)
        {
            if (!url.IsAbsoluteUri)
            {
                return false;
            }
            own ??= new Server(BaseAddress);
            if (own.Has(url) || uiServer?.Has(url) == true)
            {
                return true;
            }
            if (url.Scheme == "https" || BaseAddress.Scheme != "https")
            {
                foreach (var host in allowed)
                {
                    if (host.Allows(url))
                    {
                        return true;
                    }
                }
            }
            // Another manager of this identity may have asked for it.
            if (readUiUrl() is { } ui)
            {
                SetUiUrl(ui);
                return Hosts.IsOn(url, new Uri(ui));
            }
            return false;
        }
    }

    /// <summary>A path, known by its object, and its URL. Never changes, so that threads may share it.</summary>
    internal sealed class JoinedPath
    {
        internal readonly string Path;
        internal readonly string Url;

        internal JoinedPath(string path, string url)
        {
            Path = path;
            Url = url;
        }
    }

    /// <summary>A host of the user's: on every port unless it is written with one.</summary>
    internal readonly struct AllowedHost
    {
        private readonly string name;
        private readonly int port;

        internal AllowedHost(string host)
        {
            int colon = host.LastIndexOf(':');
            // A second colon without brackets: an IPv6 address.
            bool hasPort = colon > 0 && (host[colon - 1] == ']' || host.IndexOf(':') == colon);
            port = !hasPort ? -1 : int.TryParse(host.Substring(colon + 1), out int number) ? number : 0;
            name = (hasPort ? host.Substring(0, colon) : host).Trim('[', ']');
        }

        internal bool Allows(Uri url)
        {
            string host = url.HostNameType == UriHostNameType.IPv6 ? url.Host.Trim('[', ']') : url.Host;
            return (port < 0 || port == url.Port) && string.Equals(host, name, StringComparison.OrdinalIgnoreCase);
        }
    }

    /// <summary>The part of a URL that says which server it is on: a <see cref="Uri"/> works it out at every question.</summary>
    internal sealed class Server
    {
        private readonly string scheme;
        private readonly string host;
        private readonly int port;

        internal Server(Uri url)
        {
            scheme = url.Scheme;
            host = url.Host;
            port = url.Port;
        }

        internal bool Has(Uri url) => url.IsAbsoluteUri && url.Port == port && url.Scheme == scheme && url.Host == host;
    }

    /// <summary>Comparing and refusing hosts.</summary>
    internal static class Hosts
    {
        internal static bool IsOn(Uri url, Uri server) => new Server(server).Has(url);

        internal static Exception Refusal(Uri url) => url.IsAbsoluteUri
            ? P21Failure.Config(
                "the token is not sent to " + url.Scheme + "://" + url.Host + ":" + url.Port,
                "It goes to the base URL, to the UI server once GetUiServerUrlAsync() has been asked for, and over https to the hosts in "
                    + "AllowedHosts. If this one is yours: AllowedHosts = new[] { \"" + url.Host + "\" }.")
            : P21Failure.Config("the request's URL is relative", "Set HttpClient.BaseAddress, or use an absolute URL.");
    }
}
