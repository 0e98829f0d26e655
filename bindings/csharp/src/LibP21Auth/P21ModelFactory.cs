using System;
using System.Collections.Generic;
using LibP21Auth.Interop;

namespace LibP21Auth
{
    /// <summary>Makes the objects that this package returns and throws, for tests of code that uses it. Needs neither a server nor the
    /// native library.</summary>
    public static class P21ModelFactory
    {
        /// <summary>A token.</summary>
        /// <param name="value">Its text.</param>
        /// <param name="expiresAt">When it expires; by default in a day.</param>
        public static P21AccessToken AccessToken(string value, DateTimeOffset? expiresAt = null) =>
            new P21AccessToken(value ?? throw P21Failure.Missing("token"), expiresAt ?? DateTimeOffset.UtcNow.AddDays(1));

        /// <summary>A snapshot.</summary>
        /// <param name="token">Its token and expiry.</param>
        /// <param name="baseAddress">Address of the P21 middleware, where the token may go.</param>
        public static TokenSnapshot TokenSnapshot(P21AccessToken token, Uri baseAddress)
        {
            var address = baseAddress ?? throw P21Failure.Missing("base address");
            long seconds = (long)((token ?? throw P21Failure.Missing("token")).ExpiresAt - DateTimeOffset.UtcNow).TotalSeconds;
            return new TokenSnapshot(
                TokenResponse(token.Value, seconds), new Countdown(seconds), token.ExpiresAt, 1, new Place(() => address.AbsoluteUri, () => null));
        }

        /// <summary>A token endpoint's reply.</summary>
        /// <param name="accessToken">The token.</param>
        /// <param name="expiresInSeconds">Seconds that it has left.</param>
        /// <param name="otherFields">Further fields by name: strings, numbers, booleans, null.</param>
        public static TokenResponse TokenResponse(
            string accessToken, long expiresInSeconds = 86400, IEnumerable<KeyValuePair<string, object?>>? otherFields = null)
        {
            var fields = new Dictionary<string, object?>
            {
                ["AccessToken"] = accessToken ?? throw P21Failure.Missing("token"),
                ["TokenType"] = "Bearer",
                ["ExpiresInSeconds"] = expiresInSeconds,
                ["ExpiresIn"] = expiresInSeconds,
            };
            foreach (var field in otherFields ?? Array.Empty<KeyValuePair<string, object?>>())
            {
                fields[field.Key] = field.Value;
            }
            return new TokenResponse(fields);
        }

        /// <summary>What a call fails with: the exception of the code's family, such as <see cref="P21HttpException"/> for
        /// <see cref="P21ErrorCode.Unauthorized"/>.</summary>
        /// <param name="code">Why the call failed.</param>
        /// <param name="message">What happened.</param>
        /// <param name="hint">What to do.</param>
        /// <param name="httpStatus">HTTP status of the server's reply; 0: there was none.</param>
        /// <param name="retryAfter">How long to wait before another try.</param>
        /// <param name="isRetryable">Whether the same call can succeed later.</param>
        /// <returns>The exception, to be thrown or to be put into a task; it is an <see cref="IP21Error"/>.</returns>
        public static Exception Error(
            P21ErrorCode code, string message = "", string hint = "", int httpStatus = 0, TimeSpan? retryAfter = null, bool isRetryable = false) =>
            new P21Failure
            {
                Code = code,
                Message = message,
                Hint = hint,
                HttpStatus = httpStatus,
                RetryAfter = retryAfter,
                IsRetryable = isRetryable,
            }.ToException();
    }
}
