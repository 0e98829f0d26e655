using System;
using System.Collections.Generic;
using System.Diagnostics;
using System.Globalization;
using System.Linq;
using System.Runtime.CompilerServices;
using LibP21Auth.Interop;

namespace LibP21Auth
{
    /// <summary>How to ask for a token.</summary>
    public enum P21AuthMode
    {
        /// <summary>JSON with user and password; the default with a password.</summary>
        V2Password,
        /// <summary>JSON with the consumer key; the default with a consumer key.</summary>
        V2Consumer,
        /// <summary>User and password in HTTP headers, for old servers. They may end up in the logs of proxies.</summary>
        V1Password,
        /// <summary>Consumer key in HTTP headers, for old servers.</summary>
        V1Consumer,
        /// <summary>User and password in the query, for very old servers.</summary>
        V1Query,
        /// <summary>A token of your own; no token request is ever made.</summary>
        Token,
    }

    /// <summary>The settings of a <see cref="TokenManager"/>. What is left <see langword="null"/> has the library's default.</summary>
    /// <remarks>
    /// <para>Values are checked when a manager is opened with them: a <see cref="P21ConfigException"/> then says what is missing, malformed
    /// or contradictory. A manager copies the options, so a later change here changes nothing there; see <see cref="TokenManager.Update"/>.</para>
    /// <para>Times are rounded up to whole seconds, or milliseconds for timeouts. Not safe for use by several threads at once while it is being changed.</para>
    /// </remarks>
    [DebuggerDisplay("{ToString(),nq}")]
    public class P21Options
    {
        private static readonly string[] ModeNames = { "v2_password", "v2_consumer", "v1_password", "v1_consumer", "v1_query", "token" };
        [DebuggerBrowsable(DebuggerBrowsableState.Never)]
        private readonly Dictionary<string, string> values;
        /// <summary>That of the variables which were read, for hints that name a variable.</summary>
        private string prefix = "P21_";
        private string? profile;

        /// <summary>Every option at its default.</summary>
        public P21Options()
        {
            values = new Dictionary<string, string>(StringComparer.Ordinal);
        }

        /// <summary>A copy.</summary>
        /// <param name="other">What to copy; <see langword="null"/>: every option at its default.</param>
        public P21Options(P21Options? other)
        {
            values = other == null
                ? new Dictionary<string, string>(StringComparer.Ordinal)
                : new Dictionary<string, string>(other.values, StringComparer.Ordinal);
            prefix = other?.prefix ?? prefix;
            profile = other?.profile;
        }

        /// <summary>Address of the P21 middleware, such as <c>https://p21.example.com</c> or <c>https://play.example.com:3443</c>. Without a
        /// scheme, https is meant; a trailing <c>/api</c> is dropped.</summary>
        public string? BaseUrl { get => Get("base_url"); set => Put("base_url", value); }

        /// <summary>How to ask for a token. By default it follows from the credentials; the V1 modes are only used when named here.</summary>
        public P21AuthMode? AuthMode
        {
            get => Array.IndexOf(ModeNames, Get("auth_mode") ?? "") is var mode and >= 0 ? (P21AuthMode)mode : (P21AuthMode?)null;
            // One that has no name is refused like any other malformed value, when a manager is opened.
            set => Put("auth_mode", value is { } mode ? ModeNames.ElementAtOrDefault((int)mode) ?? mode.ToString() : null);
        }

        /// <summary>P21 user. Optional with a consumer key, where it names a P21 user for auditing; the Interactive API requires it.</summary>
        public string? Username { get => Get("username"); set => Put("username", value); }

        /// <summary>Password of the P21 user.</summary>
        public P21Secret? Password { get => Get("password"); set => Put("password", value?.Reveal()); }

        /// <summary>File that holds the password; read again before each token request.</summary>
        public string? PasswordFile { get => Get("password_file"); set => Put("password_file", value); }

        /// <summary>Where the password is kept: <c>file:PATH</c>, <c>env:NAME</c>, <c>systemd:NAME</c>, <c>command:LINE</c>,
        /// <c>keyring:SERVICE/ACCOUNT</c> or <c>wincred:TARGET</c>. Read again before each token request, <c>env:</c> when a manager is opened or updated.</summary>
        public string? PasswordFrom { get => Get("password_from"); set => Put("password_from", value); }

        /// <summary>Consumer key from SOA Admin.</summary>
        public P21Secret? ConsumerKey { get => Get("consumer_key"); set => Put("consumer_key", value?.Reveal()); }

        /// <summary>File that holds the consumer key; read again before each token request.</summary>
        public string? ConsumerKeyFile { get => Get("consumer_key_file"); set => Put("consumer_key_file", value); }

        /// <summary>Where the consumer key is kept; forms as for <see cref="PasswordFrom"/>.</summary>
        public string? ConsumerKeyFrom { get => Get("consumer_key_from"); set => Put("consumer_key_from", value); }

        /// <summary>An access token of your own (<see cref="P21AuthMode.Token"/>); a leading "Bearer " is dropped.</summary>
        public P21Secret? AccessToken { get => Get("access_token"); set => Put("access_token", value?.Reveal()); }

        /// <summary>File that contains an access token. It is read at the start, and again after the token has expired or was reported.</summary>
        public string? AccessTokenFile { get => Get("access_token_file"); set => Put("access_token_file", value); }

        /// <summary>Where an access token is kept; forms as for <see cref="PasswordFrom"/>. Read at the start and again once the token has expired
        /// or was reported.</summary>
        public string? AccessTokenFrom { get => Get("access_token_from"); set => Put("access_token_from", value); }

        /// <summary>Header that carries the consumer key with <see cref="P21AuthMode.V1Consumer"/>: <c>client_secret</c> (default),
        /// <c>consumer_key</c> or <c>appkey</c>.</summary>
        public string? V1ConsumerHeaders { get => Get("v1_consumer_headers"); set => Put("v1_consumer_headers", value); }

        /// <summary>Further hosts to which <see cref="P21AuthHandler"/> may send the token, besides those of <see cref="BaseUrl"/> and of the UI server.</summary>
        public IEnumerable<string>? AllowedHosts { get => GetList("allowed_hosts"); set => PutList("allowed_hosts", value); }

        /// <summary>A token older than this is replaced although it has not expired, so that changed scopes and revocations arrive. Default: a day.
        /// Zero: by its lifetime alone.</summary>
        public TimeSpan? MaxTokenAge { get => GetSeconds("max_token_age_s"); set => PutSeconds("max_token_age_s", value); }

        /// <summary>A token is refreshed in the background this long before it expires, but at most a tenth of its lifetime before. Default: 300 s.</summary>
        public TimeSpan? RefreshMargin { get => GetSeconds("refresh_margin_s"); set => PutSeconds("refresh_margin_s", value); }

        /// <summary>Forced refreshes and rejected tokens cause at most one token request in this time. Default: 5 s.</summary>
        public TimeSpan? MinRefreshInterval { get => GetSeconds("min_refresh_interval_s"); set => PutSeconds("min_refresh_interval_s", value); }

        /// <summary>Lifetime of a token if the response states none. Default: 3000 s.</summary>
        public TimeSpan? DefaultLifetime { get => GetSeconds("default_lifetime_s"); set => PutSeconds("default_lifetime_s", value); }

        /// <summary>After the server refused the credentials, no request for this long, then 10 times, then 30 times as long: this keeps P21
        /// accounts from being locked. Default: 60 s. Zero: off.</summary>
        public TimeSpan? BadCredentialsCooldown { get => GetSeconds("bad_credentials_cooldown_s"); set => PutSeconds("bad_credentials_cooldown_s", value); }

        /// <summary>Longest time for a whole call, retries included. Default: 30 s; 1 ms to 1 h.</summary>
        public TimeSpan? Timeout { get => GetMilliseconds("timeout_ms"); set => PutMilliseconds("timeout_ms", value); }

        /// <summary>Longest time to connect to the server. Default: 10 s; 1 ms to 1 h.</summary>
        public TimeSpan? ConnectTimeout { get => GetMilliseconds("connect_timeout_ms"); set => PutMilliseconds("connect_timeout_ms", value); }

        /// <summary>Retries after a transient failure, within <see cref="Timeout"/>. Default: 2; 0 to 10.</summary>
        public int? MaxRetries { get => (int?)GetNumber("max_retries"); set => PutNumber("max_retries", value); }

        /// <summary>Largest token reply that is read, in bytes. Default: 1 MiB; 1 KiB to 64 MiB.</summary>
        public long? MaxResponseBytes { get => GetNumber("max_response_bytes"); set => PutNumber("max_response_bytes", value); }

        /// <summary>Allow plain http to other machines than this one. Credentials and tokens then cross the network unprotected.</summary>
        public bool? AllowHttp { get => GetFlag("allow_http"); set => PutFlag("allow_http", value); }

        /// <summary><see langword="false"/>: accept any certificate, for development only; this manager alone is affected.</summary>
        public bool? TlsVerify { get => GetFlag("tls_verify"); set => PutFlag("tls_verify", value); }

        /// <summary>PEM file with additional certificate authorities to trust, besides those of the operating system.</summary>
        public string? CaFile { get => Get("ca_file"); set => Put("ca_file", value); }

        /// <summary>SHA-256 of the server's certificate, in hex, with or without colons; several during a renewal. Exactly these are then accepted,
        /// from any issuer.</summary>
        public IEnumerable<string>? TlsPinSha256 { get => GetList("tls_pin_sha256"); set => PutList("tls_pin_sha256", value); }

        /// <summary>URL of a forward proxy, perhaps with user and password, or <c>direct</c> for none. Not set: <c>HTTPS_PROXY</c>, <c>HTTP_PROXY</c> and <c>NO_PROXY</c>, or the
        /// system's settings on Windows and macOS.</summary>
        public P21Secret? Proxy { get => Get("proxy"); set => Put("proxy", value?.Reveal()); }

        /// <summary>Hosts that are reached without the proxy.</summary>
        public IEnumerable<string>? NoProxy { get => GetList("no_proxy"); set => PutList("no_proxy", value); }

        /// <summary><c>host:port:address</c>, to connect to this address instead of the one in DNS; several are allowed.</summary>
        public IEnumerable<string>? Resolve { get => GetList("resolve"); set => PutList("resolve", value); }

        /// <summary>User-Agent header. Default: libp21auth and its version.</summary>
        public string? UserAgent { get => Get("user_agent"); set => Put("user_agent", value); }

        /// <summary>Where tokens are shared: <c>memory</c> (this process, the default), <c>file</c> or <c>file:///folder</c> (the processes of a user
        /// on a machine), <c>redis://host:port/db</c> or <c>rediss://host:port/db</c> (several machines).</summary>
        public P21Secret? Store { get => Get("store"); set => Put("store", value?.Reveal()); }

        /// <summary><see langword="true"/>: fail when the store cannot be used. Otherwise go on with the next narrower one and say so in the stats.</summary>
        public bool? StoreRequired { get => GetFlag("store_required"); set => PutFlag("store_required", value); }

        /// <summary>Longest time for one command of the store. Default: 500 ms; 1 ms to 1 h.</summary>
        public TimeSpan? StoreTimeout { get => GetMilliseconds("store_timeout_ms"); set => PutMilliseconds("store_timeout_ms", value); }

        /// <summary>Additional secret for the store's encryption, so that a stolen store cannot be attacked by guessing the password.</summary>
        public P21Secret? StoreKey { get => Get("store_key"); set => Put("store_key", value?.Reveal()); }

        /// <summary>File that holds the store key.</summary>
        public string? StoreKeyFile { get => Get("store_key_file"); set => Put("store_key_file", value); }

        /// <summary>Where the store key is kept; forms as for <see cref="PasswordFrom"/>.</summary>
        public string? StoreKeyFrom { get => Get("store_key_from"); set => Put("store_key_from", value); }

        /// <summary>Sets an option by the library's name for it, such as <c>timeout_ms</c>.</summary>
        /// <param name="name">Name of the option. An unknown one is reported, with near misses, when a manager is opened.</param>
        /// <param name="value">Its value as text, in the library's unit; <see langword="null"/>: back to the default.</param>
        /// <returns>These options.</returns>
        public P21Options Set(string name, string? value)
        {
            if (name == null)
            {
                throw P21Failure.Config("the name of an option is null", "Use a name such as base_url.");
            }
            if (value == null)
            {
                values.Remove(name);
            }
            else
            {
                values[name] = value;
            }
            return this;
        }

        /// <summary>The options that environment variables set: <see cref="BaseUrl"/> from <c>P21_BASE_URL</c>, <see cref="Timeout"/> from
        /// <c>P21_TIMEOUT_MS</c> and so on.</summary>
        /// <param name="prefix">Prefix of the names, so that play and production can live side by side: <c>P21_PLAY_</c>.</param>
        /// <returns>New options. Empty variables count as not set and unknown ones are ignored. <c>P21_VERIFY_SSL</c> is another name of
        /// <c>P21_TLS_VERIFY</c>; <c>P21_CONSUMER_USERNAME</c> beats <c>P21_USERNAME</c> when a consumer key is used.</returns>
        /// <exception cref="DllNotFoundException">The native library, which knows the names, cannot be loaded.</exception>
        public static P21Options FromEnvironment(string prefix = "P21_")
        {
            // The variables are read here and not by the library: on Unix a variable that .NET code set never reaches native code.
            string? Read(string name) => Environment.GetEnvironmentVariable(prefix + name) is { Length: > 0 } value ? value : null;

            var options = new P21Options { prefix = prefix, profile = Read("PROFILE") };
            foreach (var name in Native.OptionNames)
            {
                options.Set(name, Read(name.ToUpperInvariant()));
            }
            if (options.TlsVerify == null)
            {
                options.Set("tls_verify", Read("VERIFY_SSL"));
            }
            bool withPassword = options.AuthMode is P21AuthMode.V2Password or P21AuthMode.V1Password or P21AuthMode.V1Query;
            if ((options.Get("consumer_key") ?? options.ConsumerKeyFile ?? options.ConsumerKeyFrom) != null && !withPassword && Read("CONSUMER_USERNAME") is { } username)
            {
                options.Username = username;
            }
            return options;
        }

        /// <summary>The options of a profile: a section of <c>profiles.toml</c> in the user's configuration folder. What is set here afterwards comes
        /// before it.</summary>
        /// <param name="name">Name of the profile. One that is missing or malformed is reported when a manager is opened.</param>
        /// <returns>New options.</returns>
        public static P21Options FromProfile(string name) => new P21Options { profile = name ?? throw P21Failure.Missing("profile") };

        /// <summary>A failure of these options whose hint names the variables that were read.</summary>
        internal P21Failure InTheirWords(P21Failure failure)
        {
            failure.Hint = prefix == "P21_" ? failure.Hint : failure.Hint.Replace("P21_", prefix);
            return failure;
        }

        /// <summary>The names of the options that are set, with the values of those that tell whose they are. A secret is never shown, even
        /// under a misspelt name.</summary>
        public override string ToString() => "P21Options { " + string.Join(", ", values.OrderBy(v => v.Key, StringComparer.Ordinal)
            .Select(v => v.Key is "base_url" or "auth_mode" or "username" ? v.Key + " = " + v.Value : v.Key)) + " }";

        /// <summary>One text that differs whenever two sets of options differ.</summary>
        internal string Canonical() => profile + "\0" + string.Join("\0", values.OrderBy(v => v.Key, StringComparer.Ordinal)
            .Select(v => v.Key + "\0" + v.Value.Length.ToString(CultureInfo.InvariantCulture) + "\0" + v.Value));

        /// <summary>The options for the library. A bad value is remembered there and reported when a client is opened.</summary>
        internal ConfigHandle ToConfig()
        {
            Native.Load();
            return MakeConfig();
        }

        /// <summary>A secret that a variable holds: on Unix one that .NET code set never reaches the library.</summary>
        private static KeyValuePair<string, string> Resolved(KeyValuePair<string, string> option)
        {
            const string End = "_from", Form = "env:";
            string text = option.Value.TrimStart();
            if (!option.Key.EndsWith(End, StringComparison.Ordinal) || !text.StartsWith(Form, StringComparison.Ordinal)
                || Environment.GetEnvironmentVariable(text.Substring(Form.Length)) is not { Length: > 0 } secret)
            {
                // The library says what is wrong with it.
                return option;
            }
            return new KeyValuePair<string, string>(option.Key.Substring(0, option.Key.Length - End.Length), secret);
        }

        [MethodImpl(MethodImplOptions.NoInlining)]
        private ConfigHandle MakeConfig()
        {
            P21Failure.Check(NativeMethods.p21_config_new(out var config, out var error), error);
            if (profile != null)
            {
                NativeMethods.p21_config_load_profile(config, Utf8.Bytes(profile, "the profile"), IntPtr.Zero);
            }
            foreach (var option in values.Select(Resolved))
            {
                byte[] value = Utf8.Bytes(option.Value, option.Key);
                try
                {
                    NativeMethods.p21_config_set(config, Utf8.Bytes(option.Key, "the name of an option"), value, IntPtr.Zero);
                }
                finally
                {
                    Array.Clear(value, 0, value.Length);
                }
            }
            return config;
        }

        internal string? Get(string name) => values.TryGetValue(name, out var value) ? value : null;

        private void Put(string name, string? value) => Set(name, value);

        private long? GetNumber(string name) =>
            long.TryParse(Get(name), NumberStyles.AllowLeadingSign, CultureInfo.InvariantCulture, out long number) ? number : (long?)null;

        private void PutNumber(string name, long? value) => Put(name, value?.ToString(CultureInfo.InvariantCulture));

        private bool? GetFlag(string name)
        {
            switch (Get(name)?.ToLowerInvariant())
            {
                case "1": case "true": case "yes": case "on": return true;
                case "0": case "false": case "no": case "off": return false;
                default: return null;
            }
        }

        private void PutFlag(string name, bool? value) => Put(name, value is { } flag ? (flag ? "1" : "0") : null);

        private IEnumerable<string>? GetList(string name) => Get(name) is { } list
            ? list.Split(new[] { ',', ' ', '\t', '\r', '\n' }, StringSplitOptions.RemoveEmptyEntries)
            : null;

        private void PutList(string name, IEnumerable<string>? value) => Put(name, value == null ? null : string.Join(",", value));

        private TimeSpan? GetSeconds(string name) =>
            GetNumber(name) is { } seconds ? TimeSpan.FromSeconds(seconds) : (TimeSpan?)null;

        private void PutSeconds(string name, TimeSpan? value) => PutNumber(name, AwayFromZero(value?.TotalSeconds));

        private TimeSpan? GetMilliseconds(string name) =>
            GetNumber(name) is { } ms ? TimeSpan.FromMilliseconds(ms) : (TimeSpan?)null;

        private void PutMilliseconds(string name, TimeSpan? value) => PutNumber(name, AwayFromZero(value?.TotalMilliseconds));

        /// <summary>A negative time, such as <see cref="System.Threading.Timeout.InfiniteTimeSpan"/>, stays one and is refused when a
        /// manager is opened; rounded up it would become 0, which means something else.</summary>
        private static long? AwayFromZero(double? number) => (long?)(number < 0 ? Math.Floor(number.Value) : number is { } n ? Math.Ceiling(n) : number);
    }
}
