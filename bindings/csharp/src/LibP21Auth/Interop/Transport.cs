using System;
using System.Collections.Generic;
using System.IO;
using System.Linq;
using System.Net;
using System.Net.Http;
using System.Net.Security;
using System.Net.Sockets;
using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;
using System.Text;
using System.Threading;

namespace LibP21Auth.Interop
{
    /// <summary>An HTTP handler that trusts, and goes, as the library does with the same options.</summary>
    internal static class Transport
    {
        internal static HttpMessageHandler Create(P21Options options) => new RedirectHandler(Primary(options));

#if NET5_0_OR_GREATER
        private static HttpMessageHandler Primary(P21Options options)
        {
            var handler = new SocketsHttpHandler
            {
                AllowAutoRedirect = false,
                ConnectTimeout = options.ConnectTimeout ?? TimeSpan.FromSeconds(10),
                // So that a change of DNS is noticed.
                PooledConnectionLifetime = TimeSpan.FromMinutes(5),
                AutomaticDecompression = DecompressionMethods.All,
            };
            if (Trust.Of(options) is { } trust)
            {
                handler.SslOptions.RemoteCertificateValidationCallback = (_, certificate, chain, errors) =>
                    trust.Accepts(certificate as X509Certificate2, chain, errors);
            }
            (handler.UseProxy, handler.Proxy) = Proxy(options);
            var fixedAddresses = FixedAddresses(options);
            if (fixedAddresses.Count > 0)
            {
                handler.ConnectCallback = async (context, cancel) =>
                {
                    var socket = new Socket(SocketType.Stream, ProtocolType.Tcp) { NoDelay = true };
                    try
                    {
                        var name = context.DnsEndPoint;
                        if (fixedAddresses.TryGetValue((name.Host + ":" + name.Port).ToLowerInvariant(), out var address))
                        {
                            await socket.ConnectAsync(new IPEndPoint(address, name.Port), cancel).ConfigureAwait(false);
                        }
                        else
                        {
                            await socket.ConnectAsync(name, cancel).ConfigureAwait(false);
                        }
                        return new NetworkStream(socket, ownsSocket: true);
                    }
                    catch
                    {
                        socket.Dispose();
                        throw;
                    }
                };
            }
            return handler;
        }

        private static Dictionary<string, IPAddress> FixedAddresses(P21Options options)
        {
            var addresses = new Dictionary<string, IPAddress>();
            foreach (var entry in options.Resolve ?? Enumerable.Empty<string>())
            {
                var parts = entry.Split(new[] { ':' }, 3);
                if (parts.Length == 3 && IPAddress.TryParse(parts[2], out var address))
                {
                    addresses[(parts[0] + ":" + parts[1]).ToLowerInvariant()] = address;
                }
            }
            return addresses;
        }
#else
        private static HttpMessageHandler Primary(P21Options options)
        {
            if (options.Resolve != null)
            {
                throw P21Failure.Config(
                    "HttpClient cannot follow the option resolve on this runtime",
                    "Write the address into the hosts file, or run on .NET 5 or newer.");
            }
            var trust = Trust.Of(options);
            var handler = trust == null ? new HttpClientHandler() : Trusting(trust);
            handler.AllowAutoRedirect = false;
            handler.AutomaticDecompression = DecompressionMethods.GZip | DecompressionMethods.Deflate;
            var proxy = Proxy(options);
            handler.UseProxy = proxy.Key;
            if (proxy.Value != null)
            {
                handler.Proxy = proxy.Value;
            }
            return handler;
        }
#endif

#if NETFRAMEWORK
        private static HttpClientHandler Trusting(Trust trust)
        {
            // In the framework since 4.7.1, and all that Mono knows.
            var property = typeof(HttpClientHandler).GetProperty("ServerCertificateCustomValidationCallback");
            if (property != null)
            {
                var handler = new HttpClientHandler();
                Func<HttpRequestMessage, X509Certificate2?, X509Chain?, SslPolicyErrors, bool> accepts =
                    (_, certificate, chain, errors) => trust.Accepts(certificate, chain, errors);
                property.SetValue(handler, accepts);
                return handler;
            }
            return new WebRequestHandler
            {
                ServerCertificateValidationCallback = (_, certificate, chain, errors) =>
                    trust.Accepts(certificate == null ? null : new X509Certificate2(certificate), chain, errors),
            };
        }
#elif !NET5_0_OR_GREATER
        private static HttpClientHandler Trusting(Trust trust) => new HttpClientHandler
        {
            ServerCertificateCustomValidationCallback = (_, certificate, chain, errors) => trust.Accepts(certificate, chain, errors),
        };
#endif

        /// <summary>Whether to use a proxy, and which; none given: what .NET finds in the environment or the system's settings.</summary>
#if NET5_0_OR_GREATER
        private static (bool Use, IWebProxy? Proxy) Proxy(P21Options options) =>
            options.Get("proxy") is not { } proxy ? (true, null)
            : proxy == "direct" ? (false, null)
            : (true, new FixedProxy(proxy, options.NoProxy));
#else
        private static KeyValuePair<bool, IWebProxy?> Proxy(P21Options options)
        {
            string? proxy = options.Get("proxy")
                ?? Environment.GetEnvironmentVariable("HTTPS_PROXY") ?? Environment.GetEnvironmentVariable("https_proxy");
            if (string.IsNullOrEmpty(proxy))
            {
                return new KeyValuePair<bool, IWebProxy?>(true, null);
            }
            var except = options.NoProxy ?? (options.Proxy != null ? null
                : (Environment.GetEnvironmentVariable("NO_PROXY") ?? Environment.GetEnvironmentVariable("no_proxy"))?.Split(','));
            return proxy == "direct"
                ? new KeyValuePair<bool, IWebProxy?>(false, null)
                : new KeyValuePair<bool, IWebProxy?>(true, new FixedProxy(proxy!, except));
        }
#endif
    }

    /// <summary>One proxy for all hosts but some.</summary>
    internal sealed class FixedProxy : IWebProxy
    {
        private readonly Uri proxy;
        private readonly string[] except;

        internal FixedProxy(string proxy, IEnumerable<string>? except)
        {
            this.proxy = new Uri(proxy.Contains("://") ? proxy : "http://" + proxy);
            this.except = (except ?? Enumerable.Empty<string>()).Select(host => host.Trim().TrimStart('*').TrimStart('.')).ToArray();
            string[] user = Uri.UnescapeDataString(this.proxy.UserInfo).Split(new[] { ':' }, 2);
            if (user[0].Length > 0)
            {
                Credentials = new NetworkCredential(user[0], user.Length > 1 ? user[1] : "");
            }
        }

        public ICredentials? Credentials { get; set; }

        public Uri GetProxy(Uri destination) => proxy;

        /// <summary>A host is left out by its name or a parent domain's; <c>*</c> leaves out all.</summary>
        public bool IsBypassed(Uri host)
        {
            string name = host.Host.Trim('[', ']');
            return except.Any(e => e.Length == 0 || string.Equals(name, e, StringComparison.OrdinalIgnoreCase)
                || name.EndsWith("." + e, StringComparison.OrdinalIgnoreCase));
        }
    }

    /// <summary>Which server certificates are accepted beyond what the operating system accepts.</summary>
    internal sealed class Trust
    {
        private readonly bool all;
        private readonly HashSet<string>? pins;
        private readonly X509Certificate2[] authorities;

        private Trust(bool all, HashSet<string>? pins, X509Certificate2[] authorities)
        {
            this.all = all;
            this.pins = pins;
            this.authorities = authorities;
        }

        /// <summary><see langword="null"/> if the operating system decides alone.</summary>
        internal static Trust? Of(P21Options options)
        {
            var pins = options.TlsPinSha256?.Select(pin => pin.Replace(":", "").ToLowerInvariant()).ToArray();
            return options.TlsVerify == false || pins?.Length > 0 || options.CaFile != null
                ? new Trust(
                    options.TlsVerify == false,
                    pins?.Length > 0 ? new HashSet<string>(pins) : null,
                    options.CaFile == null ? Array.Empty<X509Certificate2>() : ReadPem(options.CaFile))
                : null;
        }

        internal bool Accepts(X509Certificate2? certificate, X509Chain? chain, SslPolicyErrors errors)
        {
            if (all)
            {
                return true;
            }
            if (certificate == null)
            {
                return false;
            }
            if (pins != null)
            {
                // Exactly these, from any issuer and no matter what their names or dates.
                using (var sha = SHA256.Create())
                {
                    return pins.Contains(BitConverter.ToString(sha.ComputeHash(certificate.RawData)).Replace("-", "").ToLowerInvariant());
                }
            }
            return errors == SslPolicyErrors.None || (errors == SslPolicyErrors.RemoteCertificateChainErrors && IsFromOwnAuthority(certificate, chain));
        }

        /// <summary>Whether the chain is sound but for its root, and the root is one of ours.</summary>
        private bool IsFromOwnAuthority(X509Certificate2 certificate, X509Chain? presented)
        {
            using (var chain = new X509Chain())
            {
                chain.ChainPolicy.RevocationMode = X509RevocationMode.NoCheck;
                foreach (var element in presented?.ChainElements.Cast<X509ChainElement>() ?? Enumerable.Empty<X509ChainElement>())
                {
                    chain.ChainPolicy.ExtraStore.Add(element.Certificate);
                }
#if NET5_0_OR_GREATER
                chain.ChainPolicy.TrustMode = X509ChainTrustMode.CustomRootTrust;
                chain.ChainPolicy.CustomTrustStore.AddRange(authorities);
                return chain.Build(certificate);
#else
                chain.ChainPolicy.ExtraStore.AddRange(authorities);
                chain.ChainPolicy.VerificationFlags = X509VerificationFlags.AllowUnknownCertificateAuthority;
                if (!chain.Build(certificate) && chain.ChainStatus.Any(s => s.Status != X509ChainStatusFlags.UntrustedRoot))
                {
                    return false;
                }
                byte[] root = chain.ChainElements[chain.ChainElements.Count - 1].Certificate.RawData;
                return authorities.Any(authority => authority.RawData.SequenceEqual(root));
#endif
            }
        }

        private static X509Certificate2[] ReadPem(string path)
        {
            const string Begin = "-----BEGIN CERTIFICATE-----";
            const string End = "-----END CERTIFICATE-----";
            string text = File.ReadAllText(path, Encoding.ASCII);
            var found = new List<X509Certificate2>();
            for (int at = 0; (at = text.IndexOf(Begin, at, StringComparison.Ordinal)) >= 0;)
            {
                at += Begin.Length;
                int end = text.IndexOf(End, at, StringComparison.Ordinal);
                if (end < 0)
                {
                    break;
                }
                found.Add(new X509Certificate2(Convert.FromBase64String(text.Substring(at, end - at))));
                at = end;
            }
            return found.ToArray();
        }
    }
}
