using System;
using System.Collections.Generic;
using System.Linq;
using System.Reflection;
using LibP21Auth;
using NUnit.Framework;

namespace LibP21Auth.Tests
{
    [TestFixture]
    public class OptionsTests
    {
        [Test]
        public void EveryOptionOfTheLibraryHasAPropertyAndTheOtherWayRound()
        {
            var native = typeof(TokenManager).Assembly.GetType("LibP21Auth.Interop.Native", true);
            var names = (string[])native.GetProperty("OptionNames", BindingFlags.Static | BindingFlags.NonPublic).GetValue(null);
            var set = new List<string>();
            foreach (var property in typeof(P21Options).GetProperties())
            {
                var options = new P21Options();
                object value = SampleOf(property.PropertyType);
                property.SetValue(options, value);
                set.Add(options.ToString().Replace("P21Options { ", "").Replace(" }", "").Split(' ')[0]);
                var got = property.GetValue(options);
                Assert.That(got is P21Secret secret ? secret.Reveal() : got, Is.EqualTo(value is P21Secret planted ? planted.Reveal() : value), property.Name);
                property.SetValue(options, null);
                Assert.That(options.ToString(), Is.EqualTo("P21Options {  }"), property.Name);
            }
            Assert.That(set, Is.EquivalentTo(names));
        }

        [Test]
        public void TimesAreWrittenInTheLibrarysUnit()
        {
            using (var p21 = new Emulator())
            {
                var options = new P21Options(p21.Options()) { Timeout = TimeSpan.FromMilliseconds(0.5), RefreshMargin = TimeSpan.FromSeconds(1.5) };
                Assert.That(options.Timeout, Is.EqualTo(TimeSpan.FromMilliseconds(1)));
                Assert.That(options.RefreshMargin, Is.EqualTo(TimeSpan.FromSeconds(2)));
                new TokenManager(options).Dispose();
            }
        }

        [Test]
        public void BadOptionsAreReportedWhenAManagerIsOpened()
        {
            var unknown = Assert.Throws<P21ConfigException>(() => new TokenManager(new P21Options().Set("verify_ssl", "0")));
            Assert.That(unknown.Code, Is.EqualTo(P21ErrorCode.UnknownOption));
            Assert.That(unknown.Hint, Does.Contain("tls_verify"));
            var malformed = Assert.Throws<P21ConfigException>(
                () => new TokenManager(new P21Options { BaseUrl = "https://p21.example.com", Username = "a", Password = "b", MaxRetries = -1 }));
            Assert.That(malformed.Message, Does.Contain("max_retries"));
            Assert.Throws<P21ConfigException>(() => new TokenManager(null));
            var zero = Assert.Throws<P21ConfigException>(() => new TokenManager("https://p21.example.com", "a", "b\0c"));
            Assert.That(zero.Message, Does.Contain("password").And.Contains("NUL"));
            Assert.Throws<P21ConfigException>(() => new TokenManager("https://p21.example.com", "a\uD800", "b"));
        }

        [Test]
        public void WhatNoOptionCanBeIsRefusedByItsName()
        {
            foreach (var bad in new Dictionary<string, Action<P21Options>>
            {
                { "auth_mode", o => o.AuthMode = (P21AuthMode)99 },
                { "auth_mode ", o => o.AuthMode = (P21AuthMode)(-1) },
                { "timeout_ms", o => o.Timeout = System.Threading.Timeout.InfiniteTimeSpan },
                { "connect_timeout_ms", o => o.ConnectTimeout = System.Threading.Timeout.InfiniteTimeSpan },
                { "store_timeout_ms", o => o.StoreTimeout = TimeSpan.FromDays(1) },
                { "max_token_age_s", o => o.MaxTokenAge = System.Threading.Timeout.InfiniteTimeSpan },
                { "refresh_margin_s", o => o.RefreshMargin = System.Threading.Timeout.InfiniteTimeSpan },
                { "min_refresh_interval_s", o => o.MinRefreshInterval = System.Threading.Timeout.InfiniteTimeSpan },
                { "default_lifetime_s", o => o.DefaultLifetime = TimeSpan.Zero },
                { "bad_credentials_cooldown_s", o => o.BadCredentialsCooldown = System.Threading.Timeout.InfiniteTimeSpan },
                { "max_retries", o => o.MaxRetries = int.MaxValue },
                { "max_response_bytes", o => o.MaxResponseBytes = long.MinValue },
            })
            {
                var options = new P21Options { BaseUrl = "https://p21.example.com", Username = "a", Password = "b" };
                bad.Value(options);
                Assert.That(Assert.Throws<P21ConfigException>(() => new TokenManager(options)).Message, Does.Contain(bad.Key.Trim()));
            }
        }

        [Test]
        public void UnusualPasswordsArriveWhole()
        {
            const string Odd = "p\u00e4ss#w=o\"r'd \u20ac\U0001F511";
            using (var p21 = new Emulator())
            {
                p21.Configure("{\"users\":[{\"name\":\"odd\",\"password\":\"p\\u00e4ss#w=o\\\"r'd \\u20ac\\ud83d\\udd11\"}]}");
                using (var manager = new TokenManager(p21.BaseUrl, "odd", Odd))
                {
                    Assert.That(manager.GetToken(), Is.Not.Empty);
                }
            }
        }

        [Test]
        public void TheEnvironmentIsReadUnderAnyPrefix()
        {
            var variables = new Dictionary<string, string>
            {
                { "P21_CS_BASE_URL", "play.example.com" }, { "P21_CS_USERNAME", "person" }, { "P21_CS_CONSUMER_KEY", "a-key" },
                { "P21_CS_CONSUMER_USERNAME", "service" }, { "P21_CS_VERIFY_SSL", "False" }, { "P21_CS_TIMEOUT_MS", "1500" },
                { "P21_CS_PROXY", "" }, { "P21_CS_SOMETHING_ELSE", "ignored" },
            };
            foreach (var variable in variables)
            {
                Environment.SetEnvironmentVariable(variable.Key, variable.Value);
            }
            try
            {
                var options = P21Options.FromEnvironment("P21_CS_");
                Assert.That(options.BaseUrl, Is.EqualTo("play.example.com"));
                Assert.That(options.Username, Is.EqualTo("service"));
                Assert.That(options.TlsVerify, Is.False);
                Assert.That(options.Timeout, Is.EqualTo(TimeSpan.FromSeconds(1.5)));
                Assert.That(options.Proxy, Is.Null);
                using (var manager = TokenManager.FromEnvironment("P21_CS_"))
                {
                    Assert.That(manager.BaseUrl, Is.EqualTo("https://play.example.com"));
                }
            }
            finally
            {
                foreach (var variable in variables.Keys)
                {
                    Environment.SetEnvironmentVariable(variable, null);
                }
            }
        }

        [Test]
        public void WhatIsMissingIsNamedUnderThePrefixInUse()
        {
            var error = Assert.Throws<P21ConfigException>(() => TokenManager.FromEnvironment("P21_NOWHERE_"));
            Assert.That(error.Hint, Does.Contain("P21_NOWHERE_BASE_URL").And.Not.Contain(" P21_BASE_URL"));
        }

        [Test]
        public void NoSecretIsShown()
        {
            var options = new P21Options
            {
                BaseUrl = "https://p21.example.com", Username = "api.user", Password = "planted-1", ConsumerKey = "planted-2",
                AccessToken = "planted-3", StoreKey = "planted-4", Proxy = "http://u:planted-5@proxy:3128",
            }.Set("pasword", "planted-6");
            Assert.That(options.ToString(), Does.Contain("api.user").And.Contains("consumer_key").And.Not.Contains("planted"));
        }

        private static object SampleOf(Type type)
        {
            type = Nullable.GetUnderlyingType(type) ?? type;
            return type == typeof(string) ? "text"
                : type == typeof(P21Secret) ? (P21Secret)"text"
                : type == typeof(bool) ? true
                : type == typeof(int) ? 3
                : type == typeof(long) ? 5000L
                : type == typeof(TimeSpan) ? TimeSpan.FromSeconds(7)
                : type == typeof(P21AuthMode) ? (object)P21AuthMode.V1Query
                : new[] { "one", "two" };
        }
    }
}
