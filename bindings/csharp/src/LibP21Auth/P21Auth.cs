using System;
using System.Net.Http;
using System.Net.Http.Headers;
using System.Runtime.CompilerServices;
using System.Text;
using System.Threading;
using System.Threading.Tasks;
using LibP21Auth.Interop;

namespace LibP21Auth
{
    /// <summary>The functions of the community guide "P21 API Authentication", by the same names, over one shared cache of tokens.</summary>
    /// <remarks>
    /// <para>Code written after the guide works unchanged and faster: a thousand calls send one token request. The tokens of these functions
    /// always have more than five minutes of life (<see cref="P21Options.RefreshMargin"/>), so that the guide's loop which subtracts 300
    /// seconds works indefinitely, and are at most 15 minutes old, so that code which heals a 401 by calling again does heal it.</para>
    /// <para>Safe for use by any number of threads. Failures are <see cref="P21HttpException"/>, <see cref="P21TimeoutException"/>,
    /// <see cref="P21ParseException"/> and <see cref="P21ConfigException"/>, which existing <c>catch</c> clauses for
    /// <see cref="HttpRequestException"/>, <see cref="TaskCanceledException"/> and <see cref="InvalidOperationException"/> catch.</para>
    /// </remarks>
    public static class P21Auth
    {
        private static readonly object DefaultGate = new object();
        private static TokenManager? defaultManager;

        /// <summary>Version of the native library.</summary>
        /// <exception cref="DllNotFoundException">It cannot be loaded; the message lists what was tried.</exception>
        public static string NativeVersion => Native.Version;

        /// <summary>One manager for the whole process, opened from <c>P21_BASE_URL</c>, <c>P21_USERNAME</c> … at first use, and again after a
        /// failure to open or a disposal. It need not be disposed of.</summary>
        /// <exception cref="P21ConfigException">A variable is missing, malformed or contradicts another.</exception>
        /// <exception cref="DllNotFoundException">The native library cannot be loaded; the message lists what was tried.</exception>
        public static TokenManager Default
        {
            get
            {
                lock (DefaultGate)
                {
                    return defaultManager is { IsDisposed: false } open ? open : defaultManager = TokenManager.FromEnvironment();
                }
            }
        }

        /// <summary>A token by user and password, by the V2 endpoint.</summary>
        /// <param name="baseUrl">Address of the P21 middleware, such as <c>https://p21.example.com</c>.</param>
        /// <param name="username">P21 user.</param>
        /// <param name="password">The user's password.</param>
        /// <param name="options">Further settings; <see langword="null"/>: defaults.</param>
        /// <param name="cancellationToken">Ends this call's wait; the request continues, and other calls get its token.</param>
        /// <returns>The token and what the server said with it, a new object at each call.</returns>
        /// <exception cref="P21HttpException">Network, server or credentials failed.</exception>
        /// <exception cref="P21TimeoutException"><see cref="P21Options.Timeout"/> has passed.</exception>
        /// <exception cref="P21ParseException">The server's response contains no token.</exception>
        /// <exception cref="P21ConfigException">An option is missing, malformed, or contradicts another option.</exception>
        public static Task<TokenResponse> GetTokenV2Async(
            string baseUrl, string username, string password, P21Options? options = null, CancellationToken cancellationToken = default) =>
            GuideClients.TokenAsync(ByPassword(options, P21AuthMode.V2Password, baseUrl, username, password), cancellationToken);

        /// <param name="client">Not used for the request, which goes the way that <paramref name="options"/> say; like the guide's function
        /// this one leaves <c>Accept: application/json</c> in its default headers.</param>
        /// <inheritdoc cref="GetTokenV2Async(string, string, string, P21Options, CancellationToken)"/>
#pragma warning disable CS1573 // the others are inherited
        public static Task<TokenResponse> GetTokenV2Async(
            HttpClient client, string baseUrl, string username, string password, P21Options? options = null, CancellationToken cancellationToken = default) =>
            AcceptJson(client, GetTokenV2Async(baseUrl, username, password, options, cancellationToken));
#pragma warning restore CS1573

        /// <summary>A token by user and password, by the V1 endpoint of old servers. Credentials travel in headers, which proxies log.</summary>
        /// <inheritdoc cref="GetTokenV2Async(string, string, string, P21Options, CancellationToken)"/>
        public static Task<TokenResponse> GetTokenV1Async(
            string baseUrl, string username, string password, P21Options? options = null, CancellationToken cancellationToken = default) =>
            GuideClients.TokenAsync(ByPassword(options, P21AuthMode.V1Password, baseUrl, username, password), cancellationToken);

        /// <summary>A token by consumer key.</summary>
        /// <param name="baseUrl">Address of the P21 middleware, such as <c>https://p21.example.com</c>.</param>
        /// <param name="consumerKey">Consumer key from SOA Admin.</param>
        /// <param name="username">P21 user for audit; needed by the Interactive API. Empty: none.</param>
        /// <param name="options">Further settings; <see langword="null"/>: defaults.</param>
        /// <param name="cancellationToken">Ends this call's wait; the request continues, and other calls get its token.</param>
        /// <returns>The token and what the server said with it, a new object at each call.</returns>
        /// <exception cref="P21HttpException">Network, server or credentials failed.</exception>
        /// <exception cref="P21TimeoutException"><see cref="P21Options.Timeout"/> has passed.</exception>
        /// <exception cref="P21ParseException">The server's response contains no token.</exception>
        /// <exception cref="P21ConfigException">An option is missing, malformed, or contradicts another option.</exception>
        public static Task<TokenResponse> GetConsumerTokenAsync(
            string baseUrl, string consumerKey, string username = "", P21Options? options = null, CancellationToken cancellationToken = default) =>
            GuideClients.TokenAsync(ByKey(options, baseUrl, consumerKey, username), cancellationToken);

        /// <param name="client">Not used for the request, which goes the way that <paramref name="options"/> say; like the guide's function
        /// this one leaves <c>Accept: application/json</c> in its default headers.</param>
        /// <inheritdoc cref="GetConsumerTokenAsync(string, string, string, P21Options, CancellationToken)"/>
#pragma warning disable CS1573 // the others are inherited
        public static Task<TokenResponse> GetConsumerTokenAsync(
            HttpClient client, string baseUrl, string consumerKey, string username = "", P21Options? options = null, CancellationToken cancellationToken = default) =>
            AcceptJson(client, GetConsumerTokenAsync(baseUrl, consumerKey, username, options, cancellationToken));
#pragma warning restore CS1573

        /// <summary>A token asked for anew, past the cache. Each call opens a middleware session on the server and may end earlier tokens:
        /// normally the other functions are what you want.</summary>
        /// <param name="options">Server, identity and further settings.</param>
        /// <param name="cancellationToken">Ends this call's wait; the request continues.</param>
        /// <returns>The token and what the server said with it.</returns>
        /// <exception cref="P21HttpException">Network, server or credentials failed; or a cool-down after refused credentials lasts.</exception>
        /// <exception cref="P21TimeoutException"><see cref="P21Options.Timeout"/> has passed.</exception>
        /// <exception cref="P21ParseException">The server's response contains no token.</exception>
        /// <exception cref="P21ConfigException">An option is missing, malformed, or contradicts another option.</exception>
        public static Task<TokenResponse> RequestTokenAsync(P21Options options, CancellationToken cancellationToken = default)
        {
            var copy = new P21Options(options);
            return Background.Run(() => Request(copy)).LeaveOn(cancellationToken);
        }

        /// <summary>Tells of an API's answer to a request that carried a token of these functions. If the token was to blame it is dropped, and
        /// the next call gets a new one.</summary>
        /// <param name="token">The token, as <c>data["AccessToken"].ToString()</c>.</param>
        /// <param name="response">The response; its content can still be read afterward.</param>
        /// <param name="cancellationToken">Ends the reading of the content.</param>
        /// <returns>What to do; any response other than 401 and 403 is <see cref="P21Verdict.GiveUp"/>.</returns>
        /// <exception cref="HttpRequestException">The content cannot be read.</exception>
        public static Task<P21Verdict> ReportAsync(string token, HttpResponseMessage response, CancellationToken cancellationToken = default)
        {
            if (token == null || response == null)
            {
                return Task.FromException<P21Verdict>(P21Failure.Config("the token or the response is null", "Pass both."));
            }
            return GuideClients.ReportAsync(token, response, cancellationToken);
        }

        /// <inheritdoc cref="ReportAsync(string, HttpResponseMessage, CancellationToken)"/>
        public static Task<P21Verdict> ReportAsync(TokenResponse token, HttpResponseMessage response, CancellationToken cancellationToken = default) =>
            ReportAsync(token?.AccessToken!, response, cancellationToken);

        /// <summary>The next step for a verdict, in P21's terms.</summary>
        /// <param name="verdict">What a report returned.</param>
        /// <returns>A sentence; empty for an unknown verdict.</returns>
        public static string VerdictHint(P21Verdict verdict)
        {
            Native.Load();
            return ReadHint(verdict);
        }

        [MethodImpl(MethodImplOptions.NoInlining)]
        private static string ReadHint(P21Verdict verdict) => Utf8.Read(NativeMethods.p21_verdict_hint((int)verdict)) ?? "";

        /// <summary>A client that sends this token, as in the guide. Unlike a plain <see cref="HttpClient"/> it keeps the header on redirects
        /// within the server, and refuses those to others.</summary>
        /// <param name="token">The access token.</param>
        /// <returns>A client with the headers <c>Authorization</c> and <c>Accept: application/json</c>; dispose of it.</returns>
        /// <remarks>The client cannot know which server the token belongs to, and trusts what the operating system trusts; the overloads for a
        /// <see cref="TokenManager"/> and a <see cref="TokenSnapshot"/> know more.</remarks>
        public static HttpClient CreateAuthorizedClient(string token)
        {
            var client = Client(Transport.Create(new P21Options()));
            client.DefaultRequestHeaders.Authorization = new AuthenticationHeaderValue("Bearer", token);
            return client;
        }

        /// <summary>A client that sends a source's token, always a valid one; with a <see cref="TokenManager"/>, by its certificates and proxy.</summary>
        /// <param name="source">Where the tokens come from; it is not disposed of with the client.</param>
        /// <returns>A client with <see cref="HttpClient.BaseAddress"/> set to the base URL; keep it and dispose of it in the end.</returns>
        /// <seealso cref="P21AuthHandler"/>
        public static HttpClient CreateAuthorizedClient(P21TokenSource source)
        {
            var handler = new P21AuthHandler(source) { InnerHandler = CreateHttpHandler(source) };
            return Client(handler, source.BaseAddress);
        }

        /// <summary>A client that sends one token always, for an Interactive session, with the certificates and proxy of its manager.</summary>
        /// <param name="snapshot">The token.</param>
        /// <returns>A client with <see cref="HttpClient.BaseAddress"/> set to the base URL; keep it for the session and dispose of it in the end.</returns>
        public static HttpClient CreateAuthorizedClient(TokenSnapshot snapshot) =>
            CreateAuthorizedClient((snapshot ?? throw P21Failure.Missing("snapshot")).AsTokenSource());

        /// <summary>A handler without authorization that trusts the same certificates and uses the same proxy as a manager: the primary handler
        /// for <c>IHttpClientFactory</c>. It keeps the Authorization header on redirects within the server, and refuses those to others.</summary>
        /// <param name="source">A <see cref="TokenManager"/>, whose settings at the time of the call count; with another source the defaults do.</param>
        /// <returns>A new handler; dispose of it.</returns>
        /// <exception cref="P21ConfigException">The option <see cref="P21Options.Resolve"/> is set on .NET Framework, where HttpClient cannot follow it.</exception>
        public static HttpMessageHandler CreateHttpHandler(P21TokenSource source) =>
            Transport.Create((source ?? throw P21Failure.Missing("token source")).TransportOptions);

        /// <summary>The UI server's URL, without a trailing slash, for the Interactive and Transaction APIs; requested once per token.</summary>
        /// <param name="baseUrl">Address of the P21 middleware.</param>
        /// <param name="token">The access token.</param>
        /// <param name="options">Further settings; <see langword="null"/>: defaults.</param>
        /// <param name="cancellationToken">Ends this call's wait; the request continues.</param>
        /// <returns>The URL.</returns>
        /// <exception cref="P21HttpException">Network or server failed, or the token is no good.</exception>
        /// <exception cref="P21TimeoutException"><see cref="P21Options.Timeout"/> has passed.</exception>
        /// <exception cref="P21ParseException">The server's response contains no URL.</exception>
        /// <exception cref="P21ConfigException">An option is missing or malformed.</exception>
        public static Task<string> GetUiServerUrlAsync(
            string baseUrl, string token, P21Options? options = null, CancellationToken cancellationToken = default) =>
            GuideClients.UiUrlAsync(
                new P21Options(options) { AuthMode = P21AuthMode.Token, BaseUrl = baseUrl, AccessToken = token }, cancellationToken);

        /// <summary>Reads the reply of a token endpoint that you called yourself: JSON, XML or a bare token.</summary>
        /// <param name="response">The reply.</param>
        /// <returns>The token and what the server said with it.</returns>
        /// <exception cref="P21ParseException">There is no token in it.</exception>
        public static TokenResponse ParseTokenResponse(HttpResponseMessage response) =>
            ParseTokenResponse((response ?? throw P21Failure.Missing("response")).Content?.ReadAsByteArrayAsync().GetAwaiter().GetResult() ?? Array.Empty<byte>());

        /// <summary>Reads the reply of a token endpoint: JSON, XML or a bare token.</summary>
        /// <param name="body">The reply's text.</param>
        /// <returns>The token and what the server said with it.</returns>
        /// <exception cref="P21ParseException">There is no token in it.</exception>
        public static TokenResponse ParseTokenResponse(string body) => ParseTokenResponse(Encoding.UTF8.GetBytes(body ?? throw P21Failure.Missing("body")));

        /// <summary>Reads the reply of a token endpoint: JSON, XML or a bare token.</summary>
        /// <param name="body">The reply's bytes.</param>
        /// <returns>The token and what the server said with it.</returns>
        /// <exception cref="P21ParseException">There is no token in it.</exception>
        public static TokenResponse ParseTokenResponse(byte[] body)
        {
            Native.Load();
            return Parse(body ?? throw P21Failure.Missing("body"));
        }

        [MethodImpl(MethodImplOptions.NoInlining)]
        private static TokenResponse Parse(byte[] body)
        {
            int status = NativeMethods.p21_parse_token_response(body, (UIntPtr)(uint)body.Length, out var json, out var error);
            using (json)
            using (error)
            {
                return status == 0
                    ? TokenResponse.Parse(json.Take()!)
                    // No matter what is wrong with the body, code written after the guide catches InvalidOperationException here.
                    : throw new P21ParseException(P21Failure.Read(status, error));
            }
        }

        /// <summary>Examines what a token needs, step by step, as this very process sees it: a service or a web worker has other variables,
        /// folders, proxies and trust than the person who runs <c>p21auth doctor</c>.</summary>
        /// <param name="options">Server, identity and settings; <see langword="null"/>: those of the <c>P21_</c> environment variables.</param>
        /// <param name="useToken">Whether it may use the token that this process has, and request one if there is none.</param>
        /// <param name="wait">The longest that it may take; <see langword="null"/>: <see cref="P21Options.Timeout"/>.</param>
        /// <returns>The report in JSON: <c>schema</c>, <c>ok</c>, <c>token_requests</c>, and <c>steps</c> with <c>id</c>, <c>outcome</c>,
        /// <c>saw</c> and <c>do</c>. What does not work is a step of it, not an exception. No secret is in it.</returns>
        public static string Doctor(P21Options? options = null, bool useToken = false, TimeSpan? wait = null)
        {
            using (var config = (options ?? P21Options.FromEnvironment()).ToConfig())
            {
                return Examine(config, useToken, wait);
            }
        }

        [MethodImpl(MethodImplOptions.NoInlining)]
        private static string Examine(ConfigHandle config, bool useToken, TimeSpan? wait)
        {
            uint flags = useToken ? NativeMethods.DoctorToken : 0;
            int status = NativeMethods.p21_doctor(config, flags, TokenManager.Milliseconds(wait), out var json, out var error);
            using (json)
            {
                P21Failure.Check(status, error);
                return json.Take()!;
            }
        }

        internal static TokenResponse Request(P21Options options)
        {
            using (var config = options.ToConfig())
            {
                return Request(config);
            }
        }

        [MethodImpl(MethodImplOptions.NoInlining)]
        private static TokenResponse Request(ConfigHandle config)
        {
            int status = NativeMethods.p21_token_request(config, out var json, out var error);
            using (json)
            {
                P21Log.Drain();
                P21Failure.Check(status, error);
                return TokenResponse.Parse(json.Take()!);
            }
        }

        private static P21Options ByPassword(P21Options? options, P21AuthMode mode, string baseUrl, string username, string password) =>
            new P21Options(options) { AuthMode = mode, BaseUrl = baseUrl, Username = username, Password = password };

        private static P21Options ByKey(P21Options? options, string baseUrl, string consumerKey, string username) => new P21Options(options)
        {
            AuthMode = P21AuthMode.V2Consumer,
            BaseUrl = baseUrl,
            ConsumerKey = consumerKey,
            Username = string.IsNullOrEmpty(username) ? null : username,
        };

        private static T AcceptJson<T>(HttpClient client, T result)
        {
            var accepted = (client ?? throw P21Failure.Missing("client")).DefaultRequestHeaders.Accept;
            if (accepted.Count == 0)
            {
                accepted.Add(new MediaTypeWithQualityHeaderValue("application/json"));
            }
            return result;
        }

        private static HttpClient Client(HttpMessageHandler handler, Uri? baseAddress = null)
        {
            var client = new HttpClient(handler) { BaseAddress = baseAddress };
            return AcceptJson(client, client);
        }
    }
}
