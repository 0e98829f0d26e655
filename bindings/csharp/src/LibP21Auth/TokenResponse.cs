using System;
using System.Collections.Generic;
using System.Diagnostics;
using System.Diagnostics.CodeAnalysis;
using System.Text.Json.Serialization;
using LibP21Auth.Interop;

namespace LibP21Auth
{
    /// <summary>A token and what the server said with it.</summary>
    /// <remarks>
    /// <para>Every field of the replies of all P21 versions is there, always: empty or null where the server sent that or nothing. It can be
    /// read by member or, like a JSON object, by name.</para>
    /// <para>Immutable and safe for use by any number of threads. <see cref="ToString"/> shows no secret, and neither do serializers,
    /// structured loggers and debuggers: the secrets are fields, where those read properties, and there is nothing to enumerate.</para>
    /// </remarks>
    [DebuggerDisplay("{ToString(),nq}")]
    public sealed class TokenResponse
    {
        private static readonly string[] Always =
        {
            "AccessToken", "TokenType", "RefreshToken", "ExpiresInSeconds", "ExpiresIn", "UserName", "Scope", "SessionId", "ConsumerUid", "AppKey",
        };

        /// <summary>The access token, for the header <c>Authorization: Bearer …</c>.</summary>
        [NonSerialized, JsonIgnore, DebuggerBrowsable(DebuggerBrowsableState.Never)]
        public readonly string AccessToken;

        /// <summary>The refresh token; consumer keys get an empty one. No P21 endpoint is known that takes it.</summary>
        [NonSerialized, JsonIgnore, DebuggerBrowsable(DebuggerBrowsableState.Never)]
        public readonly string? RefreshToken;

        /// <summary>Application key, null on all servers seen.</summary>
        [NonSerialized, JsonIgnore, DebuggerBrowsable(DebuggerBrowsableState.Never)]
        public readonly string? AppKey;

        [DebuggerBrowsable(DebuggerBrowsableState.Never)]
        private readonly IDictionary<string, object?> fields;

        internal TokenResponse(IDictionary<string, object?> json)
        {
            fields = json;
            foreach (var name in Always)
            {
                if (!json.ContainsKey(name))
                {
                    json[name] = null;
                }
            }
            AccessToken = Text("AccessToken") ?? "";
            RefreshToken = Text("RefreshToken");
            AppKey = Text("AppKey");
        }

        internal static TokenResponse Parse(string json) => new TokenResponse(Json.Object(json));

        /// <summary>The same reply with the seconds that are left now.</summary>
        internal TokenResponse With(long secondsLeft)
        {
            var json = new Dictionary<string, object?>(fields) { ["ExpiresInSeconds"] = secondsLeft, ["ExpiresIn"] = secondsLeft };
            return new TokenResponse(json);
        }

        /// <summary>Kind of token, normally <c>Bearer</c>.</summary>
        public string TokenType => Text("TokenType") ?? "";

        /// <summary>Seconds that the token had left when this object was made, however long ago the server issued it.</summary>
        public int ExpiresInSeconds => (int)Math.Min(int.MaxValue, Number("ExpiresInSeconds"));

        /// <summary>The same as <see cref="ExpiresInSeconds"/>; consumer-key replies use this name.</summary>
        public int ExpiresIn => (int)Math.Min(int.MaxValue, Number("ExpiresIn"));

        /// <summary>P21 user of the token, empty without one.</summary>
        public string? UserName => Text("UserName");

        /// <summary>API scope of the consumer key, <c>;</c>-separated paths such as <c>/api;/p21sdk</c>.</summary>
        public string? Scope => Text("Scope");

        /// <summary>Id of the middleware session.</summary>
        public string? SessionId => Text("SessionId");

        /// <summary>Number of the consumer key.</summary>
        public string? ConsumerUid => Text("ConsumerUid");

        /// <summary>The claims inside the token, or <see langword="null"/> if it is not a JWT: <c>Claims["sub"]</c>.</summary>
        public TokenValue? Claims => this["Claims"];

        /// <summary>A field by the server's name for it, or <see langword="null"/> if there is none of that name.</summary>
        /// <param name="name">Name of the field, case matters.</param>
        public TokenValue? this[string name] => fields.TryGetValue(name, out var value) ? new TokenValue(value) : null;

        /// <summary>A field as another type.</summary>
        /// <typeparam name="T">A type that <see cref="TokenValue.Value{T}"/> knows.</typeparam>
        /// <param name="name">Name of the field, case matters.</param>
        /// <returns>The value; the default of <typeparamref name="T"/> if there is no such field.</returns>
        /// <exception cref="InvalidCastException">The value cannot be converted.</exception>
        /// <exception cref="FormatException">The text is not a number.</exception>
        /// <exception cref="OverflowException">The number does not fit.</exception>
        public T? Value<T>(string name) => this[name] is { } value ? value.Value<T>() : default;

        /// <summary>Whether there is a field of that name.</summary>
        /// <param name="name">Name of the field, case matters.</param>
        public bool ContainsKey(string name) => fields.ContainsKey(name);

        /// <summary>A field, if there is one of that name.</summary>
        /// <param name="name">Name of the field, case matters.</param>
        /// <param name="value">The field, or <see langword="null"/>.</param>
        /// <returns>Whether there is a field of that name.</returns>
        public bool TryGetValue(string name, [NotNullWhen(true)] out TokenValue? value) => (value = this[name]) != null;

        /// <summary>A field, as <c>JsonElement</c> has it.</summary>
        /// <param name="name">Name of the field, case matters.</param>
        /// <exception cref="KeyNotFoundException">There is no field of that name.</exception>
        public TokenValue GetProperty(string name) => this[name] ?? throw new KeyNotFoundException("the reply has no field " + name);

        /// <inheritdoc cref="TryGetValue"/>
        public bool TryGetProperty(string name, [NotNullWhen(true)] out TokenValue? value) => TryGetValue(name, out value);

#if NET5_0_OR_GREATER
        /// <summary>The reply for code that declares a <see cref="System.Text.Json.JsonElement"/>; secrets are in it.</summary>
        /// <param name="response">The reply.</param>
        public static implicit operator System.Text.Json.JsonElement(TokenResponse response) =>
            System.Text.Json.JsonSerializer.SerializeToElement((response ?? throw P21Failure.Missing("reply")).fields);
#endif

        /// <summary>A copy of all fields, secrets included: strings, numbers, booleans, null, and a dictionary for <c>Claims</c>.</summary>
        public IDictionary<string, object?> ToDictionary() => new Dictionary<string, object?>(fields);

        /// <summary>Type, fingerprint (8 hex digits of SHA-256) and remaining life; never the token.</summary>
        public override string ToString() =>
            "TokenResponse { AccessToken = " + Fingerprint.Of(AccessToken) + ", UserName = " + UserName + ", ExpiresInSeconds = " + ExpiresInSeconds + " }";

        private string? Text(string name) => (string?)this[name];

        private long Number(string name) => Value<long?>(name) ?? 0;
    }
}
