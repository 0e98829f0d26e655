using System;
using System.Collections.Generic;
using System.Net.Http;
using System.Threading;
using System.Threading.Tasks;
using global::Newtonsoft.Json.Linq;

namespace LibP21Auth.Newtonsoft
{
    /// <summary>The functions of <see cref="LibP21Auth.P21Auth"/> with Newtonsoft's <see cref="JObject"/>, for code that names that type.</summary>
    /// <remarks>Errors, threads and cache are the same; see there. A <see cref="JObject"/> shows its secrets to every serializer and logger.</remarks>
    public static class P21Auth
    {
        /// <inheritdoc cref="LibP21Auth.P21Auth.NativeVersion"/>
        public static string NativeVersion => LibP21Auth.P21Auth.NativeVersion;

        /// <inheritdoc cref="LibP21Auth.P21Auth.Default"/>
        public static LibP21Auth.TokenManager Default => LibP21Auth.P21Auth.Default;

        /// <inheritdoc cref="LibP21Auth.P21Auth.GetTokenV2Async(string, string, string, LibP21Auth.P21Options, CancellationToken)"/>
        public static Task<JObject> GetTokenV2Async(
            string baseUrl, string username, string password, LibP21Auth.P21Options? options = null, CancellationToken cancellationToken = default) =>
            Map(LibP21Auth.P21Auth.GetTokenV2Async(baseUrl, username, password, options, cancellationToken));

        /// <inheritdoc cref="LibP21Auth.P21Auth.GetTokenV2Async(HttpClient, string, string, string, LibP21Auth.P21Options, CancellationToken)"/>
        public static Task<JObject> GetTokenV2Async(
            HttpClient client, string baseUrl, string username, string password, LibP21Auth.P21Options? options = null, CancellationToken cancellationToken = default) =>
            Map(LibP21Auth.P21Auth.GetTokenV2Async(client, baseUrl, username, password, options, cancellationToken));

        /// <inheritdoc cref="LibP21Auth.P21Auth.GetTokenV1Async"/>
        public static Task<JObject> GetTokenV1Async(
            string baseUrl, string username, string password, LibP21Auth.P21Options? options = null, CancellationToken cancellationToken = default) =>
            Map(LibP21Auth.P21Auth.GetTokenV1Async(baseUrl, username, password, options, cancellationToken));

        /// <inheritdoc cref="LibP21Auth.P21Auth.GetConsumerTokenAsync(string, string, string, LibP21Auth.P21Options, CancellationToken)"/>
        public static Task<JObject> GetConsumerTokenAsync(
            string baseUrl, string consumerKey, string username = "", LibP21Auth.P21Options? options = null, CancellationToken cancellationToken = default) =>
            Map(LibP21Auth.P21Auth.GetConsumerTokenAsync(baseUrl, consumerKey, username, options, cancellationToken));

        /// <inheritdoc cref="LibP21Auth.P21Auth.GetConsumerTokenAsync(HttpClient, string, string, string, LibP21Auth.P21Options, CancellationToken)"/>
        public static Task<JObject> GetConsumerTokenAsync(
            HttpClient client, string baseUrl, string consumerKey, string username = "", LibP21Auth.P21Options? options = null, CancellationToken cancellationToken = default) =>
            Map(LibP21Auth.P21Auth.GetConsumerTokenAsync(client, baseUrl, consumerKey, username, options, cancellationToken));

        /// <inheritdoc cref="LibP21Auth.P21Auth.RequestTokenAsync"/>
        public static Task<JObject> RequestTokenAsync(LibP21Auth.P21Options options, CancellationToken cancellationToken = default) =>
            Map(LibP21Auth.P21Auth.RequestTokenAsync(options, cancellationToken));

        /// <inheritdoc cref="LibP21Auth.P21Auth.ReportAsync(string, HttpResponseMessage, CancellationToken)"/>
        public static Task<P21Verdict> ReportAsync(string token, HttpResponseMessage response, CancellationToken cancellationToken = default) =>
            LibP21Auth.P21Auth.ReportAsync(token, response, cancellationToken);

        /// <inheritdoc cref="LibP21Auth.P21Auth.ReportAsync(TokenResponse, HttpResponseMessage, CancellationToken)"/>
        public static Task<P21Verdict> ReportAsync(JObject token, HttpResponseMessage response, CancellationToken cancellationToken = default) =>
            LibP21Auth.P21Auth.ReportAsync((string)token?["AccessToken"]!, response, cancellationToken);

        /// <inheritdoc cref="LibP21Auth.P21Auth.VerdictHint"/>
        public static string VerdictHint(P21Verdict verdict) => LibP21Auth.P21Auth.VerdictHint(verdict);

        /// <inheritdoc cref="LibP21Auth.P21Auth.CreateAuthorizedClient(string)"/>
        public static HttpClient CreateAuthorizedClient(string token) => LibP21Auth.P21Auth.CreateAuthorizedClient(token);

        /// <inheritdoc cref="LibP21Auth.P21Auth.CreateAuthorizedClient(P21TokenSource)"/>
        public static HttpClient CreateAuthorizedClient(P21TokenSource source) => LibP21Auth.P21Auth.CreateAuthorizedClient(source);

        /// <inheritdoc cref="LibP21Auth.P21Auth.CreateAuthorizedClient(TokenSnapshot)"/>
        public static HttpClient CreateAuthorizedClient(TokenSnapshot snapshot) => LibP21Auth.P21Auth.CreateAuthorizedClient(snapshot);

        /// <inheritdoc cref="LibP21Auth.P21Auth.CreateHttpHandler"/>
        public static HttpMessageHandler CreateHttpHandler(P21TokenSource source) => LibP21Auth.P21Auth.CreateHttpHandler(source);

        /// <inheritdoc cref="LibP21Auth.P21Auth.GetUiServerUrlAsync"/>
        public static Task<string> GetUiServerUrlAsync(
            string baseUrl, string token, LibP21Auth.P21Options? options = null, CancellationToken cancellationToken = default) =>
            LibP21Auth.P21Auth.GetUiServerUrlAsync(baseUrl, token, options, cancellationToken);

        /// <inheritdoc cref="LibP21Auth.P21Auth.ParseTokenResponse(HttpResponseMessage)"/>
        public static JObject ParseTokenResponse(HttpResponseMessage response) => ToJObject(LibP21Auth.P21Auth.ParseTokenResponse(response));

        /// <inheritdoc cref="LibP21Auth.P21Auth.ParseTokenResponse(string)"/>
        public static JObject ParseTokenResponse(string body) => ToJObject(LibP21Auth.P21Auth.ParseTokenResponse(body));

        /// <inheritdoc cref="LibP21Auth.P21Auth.ParseTokenResponse(byte[])"/>
        public static JObject ParseTokenResponse(byte[] body) => ToJObject(LibP21Auth.P21Auth.ParseTokenResponse(body));

        /// <inheritdoc cref="LibP21Auth.P21Auth.Doctor"/>
        public static string Doctor(LibP21Auth.P21Options? options = null, bool useToken = false, TimeSpan? wait = null) =>
            LibP21Auth.P21Auth.Doctor(options, useToken, wait);

        /// <summary>A reply as a JSON object, in which everything is shown.</summary>
        /// <param name="response">The reply.</param>
        /// <returns>A new object.</returns>
        public static JObject ToJObject(TokenResponse response)
        {
            var json = new JObject();
            foreach (var field in response.ToDictionary())
            {
                json[field.Key] = ToJToken(field.Value);
            }
            return json;
        }

        // Not by async and await: those make a canceled task of a time-out, which loses its text.
        private static Task<JObject> Map(Task<TokenResponse> task)
        {
            var result = new TaskCompletionSource<JObject>(TaskCreationOptions.RunContinuationsAsynchronously);
            task.ContinueWith(
                done => _ = done.IsCanceled ? result.TrySetCanceled()
                    : done.Exception is { } error ? result.TrySetException(error.InnerExceptions)
                    : result.TrySetResult(ToJObject(done.Result)),
                CancellationToken.None,
                TaskContinuationOptions.ExecuteSynchronously,
                TaskScheduler.Default);
            return result.Task;
        }

        private static JToken ToJToken(object? value)
        {
            switch (value)
            {
                case IDictionary<string, object?> fields:
                    var json = new JObject();
                    foreach (var field in fields)
                    {
                        json[field.Key] = ToJToken(field.Value);
                    }
                    return json;
                case IList<object?> items:
                    var list = new JArray();
                    foreach (var item in items)
                    {
                        list.Add(ToJToken(item));
                    }
                    return list;
                default:
                    return new JValue(value);
            }
        }
    }

    /// <summary><see cref="LibP21Auth.TokenManager"/>, so that one <c>using</c> is enough.</summary>
    public class TokenManager : LibP21Auth.TokenManager
    {
        /// <inheritdoc cref="LibP21Auth.TokenManager(string, string, string, LibP21Auth.P21Options)"/>
        public TokenManager(string baseUrl, string username, string password, LibP21Auth.P21Options? options = null)
            : base(baseUrl, username, password, options)
        {
        }

        /// <inheritdoc cref="LibP21Auth.TokenManager(LibP21Auth.P21Options)"/>
        public TokenManager(LibP21Auth.P21Options options) : base(options)
        {
        }

        /// <inheritdoc cref="LibP21Auth.TokenManager.FromEnvironment"/>
        public static new TokenManager FromEnvironment(string prefix = "P21_") => new TokenManager(LibP21Auth.P21Options.FromEnvironment(prefix));

        /// <inheritdoc cref="LibP21Auth.TokenManager.FromProfile"/>
        public static new TokenManager FromProfile(string name) => new TokenManager(LibP21Auth.P21Options.FromProfile(name));
    }

    /// <summary><see cref="LibP21Auth.P21Options"/>, so that one <c>using</c> is enough.</summary>
    public class P21Options : LibP21Auth.P21Options
    {
        /// <inheritdoc cref="LibP21Auth.P21Options()"/>
        public P21Options()
        {
        }

        /// <inheritdoc cref="LibP21Auth.P21Options(LibP21Auth.P21Options)"/>
        public P21Options(LibP21Auth.P21Options? other) : base(other)
        {
        }

        /// <inheritdoc cref="LibP21Auth.P21Options.FromEnvironment"/>
        public static new P21Options FromEnvironment(string prefix = "P21_") => new P21Options(LibP21Auth.P21Options.FromEnvironment(prefix));

        /// <inheritdoc cref="LibP21Auth.P21Options.FromProfile"/>
        public static new P21Options FromProfile(string name) => new P21Options(LibP21Auth.P21Options.FromProfile(name));
    }
}
