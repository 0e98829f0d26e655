using System;
using System.Threading;
using LibP21Auth.Interop;

namespace LibP21Auth
{
    /// <summary>What an error object of the library says, copied, and the exception that it becomes.</summary>
    [Serializable]
    internal sealed class P21Failure
    {
        internal P21ErrorCode Code;
        internal string CodeName = "";
        internal int HttpStatus;
        internal string Message = "";
        internal string Hint = "";
        internal TimeSpan? RetryAfter;
        internal bool IsRetryable;

        /// <summary>What a user reads: what happened, then what to do. The Python package says the same words.</summary>
        internal string Text => CodeName + ": " + Message + (Hint.Length == 0 ? "" : " Hint: " + Hint);

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
            var failure = new P21Failure
            {
                Code = (P21ErrorCode)status,
                CodeName = Utf8.Read(NativeMethods.p21_status_name(status)) ?? "",
            };
            failure.Message = failure.CodeName;
            if (error is { IsInvalid: false })
            {
                failure.HttpStatus = NativeMethods.p21_error_http_status(error);
                failure.Message = Utf8.Read(NativeMethods.p21_error_message(error)) ?? failure.CodeName;
                failure.Hint = Utf8.Read(NativeMethods.p21_error_hint(error)) ?? "";
                long wait = NativeMethods.p21_error_retry_after_ms(error);
                failure.RetryAfter = wait < 0 ? (TimeSpan?)null : TimeSpan.FromMilliseconds(wait);
                failure.IsRetryable = NativeMethods.p21_error_is_retryable(error) != 0;
                GC.KeepAlive(error);
            }
            return failure;
        }

        /// <summary>A configuration error found on this side of the border.</summary>
        internal static P21ConfigException Config(string message, string hint) => new P21ConfigException(
            new P21Failure { Code = P21ErrorCode.Config, CodeName = "P21_E_CONFIG", Message = message, Hint = hint });

        /// <summary>A refusal of this side in the family that users of HttpClient catch.</summary>
        internal static P21HttpException Redirect(string message, string hint) => new P21HttpException(
            new P21Failure { Code = P21ErrorCode.Redirect, CodeName = "P21_E_REDIRECT", Message = message, Hint = hint });

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
