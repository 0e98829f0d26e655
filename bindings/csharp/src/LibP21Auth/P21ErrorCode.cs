namespace LibP21Auth
{
    /// <summary>Why a call failed. The numbers are those of the C header and never change.</summary>
    public enum P21ErrorCode
    {
        /// <summary>No error.</summary>
        Ok = 0,
        /// <summary>A required argument is missing.</summary>
        NullArgument = 1,
        /// <summary>A text is not valid Unicode.</summary>
        InvalidUtf8 = 2,
        /// <summary>An argument has no meaning, such as flags that exclude each other.</summary>
        InvalidArgument = 3,
        /// <summary>The object was disposed of.</summary>
        InvalidHandle = 4,
        /// <summary>No option has this name.</summary>
        UnknownOption = 5,
        /// <summary>A buffer is too small.</summary>
        BufferTooSmall = 6,
        /// <summary>An option is missing, malformed, or contradicts another option.</summary>
        Config = 7,
        /// <summary>The client was disposed of while the call was waiting.</summary>
        Closed = 8,
        /// <summary>Only a cached token was asked for, and there is none.</summary>
        NoCachedToken = 9,
        /// <summary>The call must not wait, and the token is still being fetched.</summary>
        Pending = 10,
        /// <summary>The access token that the caller supplied has expired.</summary>
        TokenExpired = 11,
        /// <summary>The shared token store cannot be used.</summary>
        Store = 50,
        /// <summary>The host name cannot be resolved.</summary>
        Dns = 100,
        /// <summary>The connection to the P21 server failed.</summary>
        Connect = 101,
        /// <summary>The TLS handshake failed, usually because the certificate is not trusted.</summary>
        Tls = 102,
        /// <summary>The call timed out.</summary>
        Timeout = 103,
        /// <summary>The connection broke.</summary>
        Io = 104,
        /// <summary>The forward proxy refused the request or failed.</summary>
        Proxy = 105,
        /// <summary>The server returned an HTTP status that has no code of its own.</summary>
        Http = 150,
        /// <summary>The token endpoint rejected the username, password or consumer key.</summary>
        Unauthorized = 151,
        /// <summary>The server understood the request and refused it.</summary>
        Forbidden = 152,
        /// <summary>There is no P21 API at this address.</summary>
        NotFound = 153,
        /// <summary>The server is throttling requests.</summary>
        RateLimited = 154,
        /// <summary>The server failed (HTTP 5xx).</summary>
        Server = 155,
        /// <summary>A redirect leads to a place where credentials must not go.</summary>
        Redirect = 156,
        /// <summary>The server rejects new tokens as fast as it issues them.</summary>
        Rejected = 157,
        /// <summary>The response could not be parsed.</summary>
        Parse = 200,
        /// <summary>The response contains no usable access token.</summary>
        NoAccessToken = 201,
        /// <summary>The UI router's response contains no usable UI server URL.</summary>
        NoUrl = 202,
        /// <summary>The reply is larger than <see cref="P21Options.MaxResponseBytes"/>.</summary>
        TooLarge = 203,
        /// <summary>The library failed inside; the next call works.</summary>
        Panic = 250,
        /// <summary>The process ran out of memory, threads, open files or handles.</summary>
        NoMemory = 251,
        /// <summary>An internal invariant was violated. Please report it.</summary>
        Internal = 252,
    }
}
