using System;
using System.Net;
using System.Net.Http;
using System.Runtime.Serialization;
using System.Threading.Tasks;

namespace LibP21Auth
{
    /// <summary>What every exception of this package tells, no matter what family it belongs to.</summary>
    /// <remarks>The <see cref="Exception.Message"/> says what happened and, after "Hint:", what to do about it in P21's terms. No
    /// password, key or token is in any of it.</remarks>
    public interface IP21Error
    {
        /// <summary>Why the call failed.</summary>
        P21ErrorCode Code { get; }

        /// <summary>The code's name as in the C header, such as <c>P21_E_UNAUTHORIZED</c>.</summary>
        string CodeName { get; }

        /// <summary>HTTP status of the server's reply, 0 if there was none.</summary>
        int HttpStatus { get; }

        /// <summary>What to do next, in P21's terms; empty where there is nothing to say.</summary>
        string Hint { get; }

        /// <summary>How long to wait before another try, or <see langword="null"/> if that is not known. During a cool-down calls fail
        /// at once with what is left of it.</summary>
        TimeSpan? RetryAfter { get; }

        /// <summary>Whether the same call can succeed later with no changes.</summary>
        bool IsRetryable { get; }
    }

    /// <summary>The server, the network or the token store failed; or the server refused the credentials (<see cref="P21ErrorCode.Unauthorized"/>).</summary>
    [Serializable]
    public sealed class P21HttpException : HttpRequestException, IP21Error
    {
        private readonly P21Failure failure;

        internal P21HttpException(P21Failure failure, Exception? inner = null)
#if NET8_0_OR_GREATER
            : base(Kind(failure.Code), failure.Text, inner, failure.HttpStatus == 0 ? null : (HttpStatusCode?)failure.HttpStatus)
#else
            : base(failure.Text, inner)
#endif
            => this.failure = failure;

        /// <summary>A failure that users of HttpClient would not look for under its own type: a time-out, whose text a task would lose, or
        /// a server's unusable reply.</summary>
        internal static P21HttpException Around(Exception error) =>
            new P21HttpException((error as P21TimeoutException)?.Failure ?? ((P21ParseException)error).Failure, error);

#if NET8_0_OR_GREATER
        private static HttpRequestError Kind(P21ErrorCode code) => code switch
        {
            P21ErrorCode.Dns => HttpRequestError.NameResolutionError,
            P21ErrorCode.Connect => HttpRequestError.ConnectionError,
            P21ErrorCode.Tls => HttpRequestError.SecureConnectionError,
            P21ErrorCode.Proxy => HttpRequestError.ProxyTunnelError,
            P21ErrorCode.Io => HttpRequestError.ResponseEnded,
            P21ErrorCode.Parse or P21ErrorCode.NoAccessToken or P21ErrorCode.NoUrl => HttpRequestError.InvalidResponse,
            P21ErrorCode.TooLarge => HttpRequestError.ConfigurationLimitExceeded,
            _ => HttpRequestError.Unknown,
        };
#endif

        /// <inheritdoc/>
        public P21ErrorCode Code => failure.Code;

        /// <inheritdoc/>
        public string CodeName => failure.CodeName;

        /// <inheritdoc/>
        public int HttpStatus => failure.HttpStatus;

        /// <inheritdoc/>
        public string Hint => failure.Hint;

        /// <inheritdoc/>
        public TimeSpan? RetryAfter => failure.RetryAfter;

        /// <inheritdoc/>
        public bool IsRetryable => failure.IsRetryable;

#if !NET5_0_OR_GREATER
        /// <summary>HTTP status of the server's reply, or <see langword="null"/> if there was none.</summary>
        public HttpStatusCode? StatusCode => failure.HttpStatus == 0 ? (HttpStatusCode?)null : (HttpStatusCode)failure.HttpStatus;
#endif

#if !NET8_0_OR_GREATER
        private P21HttpException(SerializationInfo info, StreamingContext context) : base(info.GetString(nameof(Message)), null)
            => failure = (P21Failure)info.GetValue(nameof(P21Failure), typeof(P21Failure));

        /// <summary>Carries the exception over an AppDomain's border, as test runners and ASP.NET do on .NET Framework.</summary>
        public override void GetObjectData(SerializationInfo info, StreamingContext context)
        {
            base.GetObjectData(info, context);
            info.AddValue(nameof(P21Failure), failure);
        }
#endif
    }

    /// <summary>The call timed out. It is what HttpClient throws then, and like there the inner exception is a <see cref="TimeoutException"/>.</summary>
    [Serializable]
    public sealed class P21TimeoutException : TaskCanceledException, IP21Error
    {
        private readonly P21Failure failure;

        internal P21TimeoutException(P21Failure failure) : base(failure.Text, new TimeoutException(failure.Message)) => this.failure = failure;

        internal P21Failure Failure => failure;

        /// <inheritdoc/>
        public P21ErrorCode Code => failure.Code;

        /// <inheritdoc/>
        public string CodeName => failure.CodeName;

        /// <inheritdoc/>
        public int HttpStatus => failure.HttpStatus;

        /// <inheritdoc/>
        public string Hint => failure.Hint;

        /// <inheritdoc/>
        public TimeSpan? RetryAfter => failure.RetryAfter;

        /// <inheritdoc/>
        public bool IsRetryable => failure.IsRetryable;

#if !NET8_0_OR_GREATER
        private P21TimeoutException(SerializationInfo info, StreamingContext context) : base(info, context)
            => failure = (P21Failure)info.GetValue(nameof(P21Failure), typeof(P21Failure));

        /// <summary>Carries the exception over an AppDomain's border, as test runners and ASP.NET do on .NET Framework.</summary>
        public override void GetObjectData(SerializationInfo info, StreamingContext context)
        {
            base.GetObjectData(info, context);
            info.AddValue(nameof(P21Failure), failure);
        }
#endif
    }

    /// <summary>The server's reply is not what it should be: no token in it, an HTML page, broken JSON or XML.</summary>
    [Serializable]
    public sealed class P21ParseException : InvalidOperationException, IP21Error
    {
        private readonly P21Failure failure;

        internal P21ParseException(P21Failure failure) : base(failure.Text) => this.failure = failure;

        internal P21Failure Failure => failure;

        /// <inheritdoc/>
        public P21ErrorCode Code => failure.Code;

        /// <inheritdoc/>
        public string CodeName => failure.CodeName;

        /// <inheritdoc/>
        public int HttpStatus => failure.HttpStatus;

        /// <inheritdoc/>
        public string Hint => failure.Hint;

        /// <inheritdoc/>
        public TimeSpan? RetryAfter => failure.RetryAfter;

        /// <inheritdoc/>
        public bool IsRetryable => failure.IsRetryable;

#if !NET8_0_OR_GREATER
        private P21ParseException(SerializationInfo info, StreamingContext context) : base(info, context)
            => failure = (P21Failure)info.GetValue(nameof(P21Failure), typeof(P21Failure));

        /// <summary>Carries the exception over an AppDomain's border, as test runners and ASP.NET do on .NET Framework.</summary>
        public override void GetObjectData(SerializationInfo info, StreamingContext context)
        {
            base.GetObjectData(info, context);
            info.AddValue(nameof(P21Failure), failure);
        }
#endif
    }

    /// <summary>An option or argument is missing, malformed, unknown or contradicts another. Nothing was sent.</summary>
    [Serializable]
    public sealed class P21ConfigException : ArgumentException, IP21Error
    {
        private readonly P21Failure failure;

        internal P21ConfigException(P21Failure failure) : base(failure.Text) => this.failure = failure;

        /// <inheritdoc/>
        public P21ErrorCode Code => failure.Code;

        /// <inheritdoc/>
        public string CodeName => failure.CodeName;

        /// <inheritdoc/>
        public int HttpStatus => failure.HttpStatus;

        /// <inheritdoc/>
        public string Hint => failure.Hint;

        /// <inheritdoc/>
        public TimeSpan? RetryAfter => failure.RetryAfter;

        /// <inheritdoc/>
        public bool IsRetryable => failure.IsRetryable;

#if !NET8_0_OR_GREATER
        private P21ConfigException(SerializationInfo info, StreamingContext context) : base(info, context)
            => failure = (P21Failure)info.GetValue(nameof(P21Failure), typeof(P21Failure));

        /// <summary>Carries the exception over an AppDomain's border, as test runners and ASP.NET do on .NET Framework.</summary>
        public override void GetObjectData(SerializationInfo info, StreamingContext context)
        {
            base.GetObjectData(info, context);
            info.AddValue(nameof(P21Failure), failure);
        }
#endif
    }

    /// <summary>The <see cref="TokenManager"/> was disposed of, before the call or while it was waiting.</summary>
    [Serializable]
    public sealed class P21ClosedException : ObjectDisposedException, IP21Error
    {
        private readonly P21Failure failure;

        internal P21ClosedException(P21Failure failure) : base(null, failure.Text) => this.failure = failure;

        /// <inheritdoc/>
        public P21ErrorCode Code => failure.Code;

        /// <inheritdoc/>
        public string CodeName => failure.CodeName;

        /// <inheritdoc/>
        public int HttpStatus => failure.HttpStatus;

        /// <inheritdoc/>
        public string Hint => failure.Hint;

        /// <inheritdoc/>
        public TimeSpan? RetryAfter => failure.RetryAfter;

        /// <inheritdoc/>
        public bool IsRetryable => failure.IsRetryable;

#if !NET8_0_OR_GREATER
        private P21ClosedException(SerializationInfo info, StreamingContext context) : base(info, context)
            => failure = (P21Failure)info.GetValue(nameof(P21Failure), typeof(P21Failure));

        /// <summary>Carries the exception over an AppDomain's border, as test runners and ASP.NET do on .NET Framework.</summary>
        public override void GetObjectData(SerializationInfo info, StreamingContext context)
        {
            base.GetObjectData(info, context);
            info.AddValue(nameof(P21Failure), failure);
        }
#endif
    }
}
