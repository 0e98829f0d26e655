using System;
using System.Collections.Generic;
using System.Diagnostics;
using System.IO;
using System.Linq;
using System.Net;
#if NET
using System.Net.Http;
#endif
using System.Net.Sockets;
using System.Text.RegularExpressions;
using LibP21Auth;
using NUnit.Framework;

namespace LibP21Auth.Tests
{
    /// <summary>What a user reads when it does not work: the cause, and what to do in P21's terms.</summary>
    [TestFixture]
    public class ErrorTests
    {
        private const string Planted = "planted-secret-3141";

        [Test]
        public void TheSixFailuresSayWhatToDo()
        {
            using (var p21 = new Emulator())
            {
                var wrong = Fail<P21HttpException>(new P21Options { BaseUrl = p21.BaseUrl, Username = "demo", Password = Planted });
                Assert.That(wrong.Code, Is.EqualTo(P21ErrorCode.Unauthorized));
                Assert.That(wrong.Message, Does.StartWith("P21_E_UNAUTHORIZED: ").And.Contains(" Hint: ").And.Contains("User Maintenance"));
                var again = Fail<P21HttpException>(new P21Options { BaseUrl = p21.BaseUrl, Username = "demo", Password = Planted });
                Assert.That(again.RetryAfter, Is.GreaterThan(TimeSpan.FromSeconds(50)));
                Assert.That(again.Message, Does.Contain("next try in"));

                var key = Fail<P21HttpException>(new P21Options { BaseUrl = p21.BaseUrl, ConsumerKey = Planted });
                Assert.That(key.Message, Does.Contain("SOA Admin"));

                var address = Fail<P21HttpException>(new P21Options { BaseUrl = p21.BaseUrl + "/wrong", Username = "demo", Password = Planted });
                Assert.That(address.Code, Is.EqualTo(P21ErrorCode.NotFound));
                Assert.That(address.Message, Does.Contain(p21.BaseUrl + "/wrong/api/security/token/v2"));
            }
            var refused = Fail<P21HttpException>(Closed());
            Assert.That(refused.Code, Is.EqualTo(P21ErrorCode.Connect));
            Assert.That(refused.IsRetryable, Is.True);
            using (var p21 = new Emulator("--tls"))
            {
                var untrusted = Fail<P21HttpException>(new P21Options { BaseUrl = p21.BaseUrl, Username = "demo", Password = Planted });
                Assert.That(untrusted.Code, Is.EqualTo(P21ErrorCode.Tls));
                Assert.That(untrusted.Message, Does.Contain(p21.Pin).And.Contains("ca_file"));
            }
            var missing = Assert.Throws<P21ConfigException>(() => new TokenManager(new P21Options { BaseUrl = "https://p21.example.com" }));
            Assert.That(missing.Message, Does.Contain("password").And.Contains("consumer_key"));
            Assert.That(missing.CodeName, Is.EqualTo("P21_E_CONFIG"));
        }

        [Test]
        public void TheWordsAreThoseOfPython()
        {
            string package = Path.Combine(Files.Root, "bindings", "python", "src");
            if (!File.Exists(Path.Combine(package, "p21auth", "__init__.py")))
            {
                Assert.Ignore("NOT TESTED: the Python package is not there to compare with");
            }
            using (var p21 = new Emulator())
            using (var tls = new Emulator("--tls"))
            {
                var cases = new[]
                {
                    new P21Options { BaseUrl = p21.BaseUrl, Username = "demo", Password = Planted },
                    new P21Options { BaseUrl = p21.BaseUrl, ConsumerKey = Planted },
                    new P21Options { BaseUrl = p21.BaseUrl + "/wrong", Username = "demo", Password = Planted },
                    Closed(),
                    new P21Options { BaseUrl = tls.BaseUrl, Username = "demo", Password = Planted },
                    new P21Options { BaseUrl = "https://p21.example.com" },
                };
                foreach (var options in cases)
                {
                    Assert.That(Plain(Message(options)), Is.EqualTo(Plain(Python(package, options))));
                }
            }
        }

        [Test]
        public void TheRetryThatThePageShowsNeverRepeatsARefusedPassword()
        {
            string page = File.ReadAllText(Path.Combine(Files.Root, "bindings", "csharp", "README.md"));
            Assert.That(page, Does.Contain("shouldRetry = error => error is IP21Error { IsRetryable: true };"));
            Predicate<Exception> shouldRetry = error => error is IP21Error failure && failure.IsRetryable;
            using (var p21 = new Emulator())
            {
                var refused = new P21Options { BaseUrl = p21.BaseUrl, Username = "demo", Password = Planted };
                Assert.That(shouldRetry(Fail<P21HttpException>(refused)), Is.False);
                // The same again during the cool-down, which has a RetryAfter.
                Assert.That(shouldRetry(Fail<P21HttpException>(refused)), Is.False);
                Assert.That(p21.TokenRequests, Is.EqualTo(1));
                p21.Fault("{\"path\":\"/token\",\"times\":0,\"action\":{\"answer\":{\"status\":503}}}");
                Assert.That(shouldRetry(Fail<P21HttpException>(new P21Options(p21.Options()) { MaxRetries = 0 })), Is.True);
            }
        }

        [Test]
        public void CodesHaveTheNamesOfTheLibrary()
        {
            var name = typeof(TokenManager).Assembly.GetType("LibP21Auth.Interop.NativeMethods", true)
                .GetMethod("p21_status_name", System.Reflection.BindingFlags.Static | System.Reflection.BindingFlags.NonPublic);
            foreach (P21ErrorCode code in Enum.GetValues(typeof(P21ErrorCode)))
            {
                var told = System.Runtime.InteropServices.Marshal.PtrToStringAnsi((IntPtr)name.Invoke(null, new object[] { (int)code }));
                if (code != P21ErrorCode.Ok)
                {
                    Assert.That(((IP21Error)P21ModelFactory.Error(code)).CodeName, Is.EqualTo(told));
                }
            }
        }

#if NET
        [Test]
        public void TheKindOfFailureIsToldInHttpClientsTerms()
        {
            using var tls = new Emulator("--tls");
            foreach (var (options, kind) in new[]
            {
                (Closed(), HttpRequestError.ConnectionError),
                (new P21Options { BaseUrl = "https://nowhere.invalid", Username = "a", Password = "b" }, HttpRequestError.NameResolutionError),
                (new P21Options { BaseUrl = tls.BaseUrl, Username = "a", Password = "b" }, HttpRequestError.SecureConnectionError),
            })
            {
                options.MaxRetries = 0;
                using var manager = new TokenManager(options);
                Assert.That(Assert.Throws<P21HttpException>(() => manager.GetToken()).HttpRequestError, Is.EqualTo(kind));
                using var client = P21Auth.CreateAuthorizedClient(manager);
                Assert.That(Assert.CatchAsync<HttpRequestException>(() => client.GetAsync("x")).HttpRequestError, Is.EqualTo(kind));
            }
            Assert.That(((HttpRequestException)P21ModelFactory.Error(P21ErrorCode.Server, httpStatus: 503)).StatusCode, Is.EqualTo(HttpStatusCode.ServiceUnavailable));
        }
#endif

        [Test]
        public void NoFailureShowsASecret()
        {
            using (var p21 = new Emulator())
            {
                var body = "{\"ErrorMessage\":\"bad: " + Planted + "\"}";
                p21.Fault("{\"path\":\"/token\",\"times\":0,\"action\":{\"answer\":{\"status\":400,\"body\":\"" + body.Replace("\"", "\\\"") + "\"}}}");
                using (var manager = new TokenManager(p21.BaseUrl, "demo", Planted))
                {
                    var error = Assert.Throws<P21HttpException>(() => manager.GetToken());
                    Assert.That(error.ToString() + manager.Stats()["last_error"], Does.Not.Contain(Planted));
                    Assert.That(string.Join(" ", ((IDictionary<string, object>)manager.Stats()["last_error"]).Values), Does.Not.Contain(Planted));
                }
            }
        }

        private static T Fail<T>(P21Options options) where T : Exception
        {
            using (var manager = new TokenManager(options))
            {
                var error = Assert.Throws<T>(() => manager.GetToken());
                Assert.That(error.ToString(), Does.Not.Contain(Planted));
                return error;
            }
        }

        private static string Message(P21Options options)
        {
            try
            {
                using (var manager = new TokenManager(options))
                {
                    return manager.GetToken();
                }
            }
            catch (Exception error) when (error is IP21Error)
            {
                // .NET Framework adds the parameter's or object's name to some.
                return error.Message;
            }
        }

        private static P21Options Closed()
        {
            var listener = new TcpListener(IPAddress.Loopback, 0);
            listener.Start();
            int port = ((IPEndPoint)listener.LocalEndpoint).Port;
            listener.Stop();
            return new P21Options { BaseUrl = "http://127.0.0.1:" + port, Username = "demo", Password = Planted, MaxRetries = 0 };
        }

        private static string Python(string package, P21Options options)
        {
            const string Script = "import sys, p21auth\n"
                + "try:\n p21auth.Client(**dict(a.split('=', 1) for a in sys.argv[1:])).get_token()\n"
                + "except p21auth.P21Error as error:\n print(error)\n";
            var arguments = new Dictionary<string, string>
            {
                { "base_url", options.BaseUrl }, { "username", options.Username }, { "password", options.Password?.Reveal() },
                { "consumer_key", options.ConsumerKey?.Reveal() }, { "max_retries", options.MaxRetries == null ? null : options.MaxRetries.ToString() },
            };
            string script = Path.GetTempFileName();
            File.WriteAllText(script, Script);
            var start = new ProcessStartInfo("python3", script + " " + string.Join(" ", arguments.Where(a => a.Value != null).Select(a => a.Key + "=" + a.Value)))
            {
                UseShellExecute = false,
                RedirectStandardOutput = true,
            };
            start.EnvironmentVariables["PYTHONPATH"] = package;
            start.EnvironmentVariables["PYTHONDONTWRITEBYTECODE"] = "1";
            using (var process = Process.Start(start))
            {
                string output = process.StandardOutput.ReadToEnd();
                process.WaitForExit();
                File.Delete(script);
                return output.Trim();
            }
        }

        /// <summary>Without the parts that differ between two tries: times, and whether a cool-down has begun.</summary>
        private static string Plain(string text)
        {
            return Regex.Replace(text, @" \(next try in [^)]*\)", "");
        }
    }
}
