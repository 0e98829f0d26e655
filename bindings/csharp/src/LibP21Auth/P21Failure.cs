using System;
using System.Text.RegularExpressions;
using LibP21Auth.Interop;

namespace LibP21Auth
{
    /// <summary>What an error object of the library says, copied, and the exception that it becomes.</summary>
    [Serializable]
    internal sealed class P21Failure
    {
        internal P21ErrorCode Code;
        internal int HttpStatus;
        internal string Message = "";
        internal string Hint = "";
        internal TimeSpan? RetryAfter;
        internal bool IsRetryable;

        /// <summary>As the header spells it: <c>P21_E_NO_ACCESS_TOKEN</c> for <see cref="P21ErrorCode.NoAccessToken"/>.</summary>
        internal string CodeName => "P21_E_" + Regex.Replace(Code.ToString(), "(?<=[a-z])(?=[A-Z])", "_").ToUpperInvariant();

        /// <summary>What a user reads: what happened, then what to do. The Python package says the same words.</summary>
        internal string Text =>
            CodeName + (Message.Length == 0 ? "" : ": " + Message) + (Hint.Length == 0 ? "" : " Hint: " + Hint);

        /// <summary>Throws unless <paramref name="status"/> is success; frees <paramref name="error"/> in any case.</summary>
        internal static void Check(int status, ErrorHandle? error = null)
        {
            using (error)
            {
                if (status != 0)
                {
                    throw Read(status, error).ToException();
                }
            }
        }

        internal static P21Failure Read(int status, ErrorHandle? error)
        {
            var failure = new P21Failure { Code = (P21ErrorCode)status };
            if (error is { IsInvalid: false })
            {
                failure.HttpStatus = NativeMethods.p21_error_http_status(error);
                failure.Message = Utf8.Read(NativeMethods.p21_error_message(error)) ?? "";
                failure.Hint = Utf8.Read(NativeMethods.p21_error_hint(error)) ?? "";
                long wait = NativeMethods.p21_error_retry_after_ms(error);
                failure.RetryAfter = wait < 0 ? (TimeSpan?)null : TimeSpan.FromMilliseconds(wait);
                failure.IsRetryable = NativeMethods.p21_error_is_retryable(error) != 0;
                GC.KeepAlive(error);
            }
            return failure;
        }

        /// <summary>A configuration error found on this side of the border.</summary>
        internal static P21ConfigException Config(string message, string hint) =>
            new P21ConfigException(new P21Failure { Code = P21ErrorCode.Config, Message = message, Hint = hint });

        /// <summary>An argument that must not be null.</summary>
        internal static P21ConfigException Missing(string what) => Config("the " + what + " is null", "Pass one.");

        /// <summary>The exception of the family that code written with HttpClient catches.</summary>
        internal Exception ToException()
        {
            switch (Code)
            {
                case P21ErrorCode.Timeout:
                    return new P21TimeoutException(this);
                case P21ErrorCode.Closed:
                case P21ErrorCode.InvalidHandle:
                    return new P21ClosedException(this);
                case P21ErrorCode.Parse:
                case P21ErrorCode.NoAccessToken:
                case P21ErrorCode.NoUrl:
                case P21ErrorCode.TooLarge:
                    return new P21ParseException(this);
                case P21ErrorCode.NullArgument:
                case P21ErrorCode.InvalidUtf8:
                case P21ErrorCode.InvalidArgument:
                case P21ErrorCode.UnknownOption:
                case P21ErrorCode.BufferTooSmall:
                case P21ErrorCode.Config:
                    return new P21ConfigException(this);
                default:
                    return new P21HttpException(this);
            }
        }
    }
}
