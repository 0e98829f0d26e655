using System;
using System.Diagnostics;
using System.IO;
using System.Net.Http;
using System.Text;
using System.Text.RegularExpressions;
using LibP21Auth;

namespace LibP21Auth.Tests
{
    /// <summary>A P21 emulator in a process of its own, on a free port: another port is another identity, so tests don't meet.</summary>
    internal sealed class Emulator : IDisposable
    {
        internal const string User = "demo";
        internal const string Password = "demo-password";
        internal const string Key = "00000000-0000-4000-8000-000000000001";

        private static readonly HttpClient Http = new HttpClient { Timeout = TimeSpan.FromSeconds(60) };
        private static readonly System.Collections.Generic.HashSet<string> Addresses = new System.Collections.Generic.HashSet<string>();
        private readonly string caFile;
        private Process process;

        internal Emulator(string arguments = "")
        {
            caFile = Path.Combine(Path.GetTempPath(), "p21-" + Guid.NewGuid().ToString("N") + ".pem");
            string hello;
            do
            {
                // Not another one at a port that an earlier one had: the library still has that one's token, and would ask for none.
                Dispose();
                process = Process.Start(new ProcessStartInfo
                {
                    FileName = Files.Cli,
                    Arguments = "mock --json --until-stdin-ends --ca-file " + caFile + " " + arguments,
                    UseShellExecute = false,
                    RedirectStandardInput = true,
                    RedirectStandardOutput = true,
                });
                hello = process.StandardOutput.ReadLine();
                BaseUrl = Field(hello, "base_url");
            }
            while (IsKnown(BaseUrl) && !arguments.Contains("--port"));
            ControlUrl = Field(hello, "control_url");
            Pin = Field(hello, "tls_pin_sha256");
        }

        private static bool IsKnown(string address)
        {
            lock (Addresses)
            {
                return !Addresses.Add(address);
            }
        }

        internal string BaseUrl { get; }

        /// <summary>SHA-256 of the server's certificate; null for plain http.</summary>
        internal string Pin { get; }

        internal string CaFile { get { return caFile; } }

        private string ControlUrl { get; }

        internal P21Options Options()
        {
            return new P21Options { BaseUrl = BaseUrl, Username = User, Password = Password };
        }

        internal TokenManager Open()
        {
            return new TokenManager(BaseUrl, User, Password);
        }

        internal long Count(string counter)
        {
            return Number(Control("GET", "counters", null), counter);
        }

        internal long TokenRequests { get { return Count("token.requests"); } }

        internal void Configure(string json) { Control("POST", "config", json); }

        internal void Fault(string json) { Control("POST", "faults", json); }

        internal void ClearFaults() { Control("DELETE", "faults", null); }

        internal void Advance(int seconds) { Control("POST", "time", "{\"advance_s\":" + seconds + "}"); }

        internal void Revoke() { Control("POST", "revoke", "{}"); }

        internal void Hold(string path = null) { Control("POST", "hold", path == null ? "{}" : "{\"path\":\"" + path + "\"}"); }

        internal void Release() { Control("POST", "release", "{}"); }

        /// <summary>Waits until a counter is at least that.</summary>
        internal void WaitFor(string counter, int atLeast) { Control("GET", "wait?timeout_ms=30000&" + counter + "=" + atLeast, null); }

        internal string LastRequests() { return Control("GET", "last", null); }

        public void Dispose()
        {
            if (process == null)
            {
                return;
            }
            process.StandardInput.Close();
            process.WaitForExit();
            process.Dispose();
            File.Delete(caFile);
        }

        private string Control(string method, string call, string body)
        {
            if (BaseUrl.StartsWith("https:", StringComparison.Ordinal))
            {
                using (var own = new HttpClient(TrustingHandler()))
                {
                    return Send(own, method, call, body);
                }
            }
            return Send(Http, method, call, body);
        }

        private static HttpMessageHandler TrustingHandler()
        {
            return new HttpClientHandler { ServerCertificateCustomValidationCallback = (a, b, c, d) => true };
        }

        private string Send(HttpClient http, string method, string call, string body)
        {
            using (var request = new HttpRequestMessage(new HttpMethod(method), ControlUrl + call))
            {
                if (body != null)
                {
                    request.Content = new StringContent(body, Encoding.UTF8, "application/json");
                }
                using (var response = http.SendAsync(request).GetAwaiter().GetResult())
                {
                    string text = response.Content.ReadAsStringAsync().GetAwaiter().GetResult();
                    if (!response.IsSuccessStatusCode)
                    {
                        throw new InvalidOperationException(call + ": " + text);
                    }
                    return text;
                }
            }
        }

        private static string Field(string json, string name)
        {
            var match = Regex.Match(json, "\"" + name + "\":\"([^\"]*)\"");
            return match.Success ? match.Groups[1].Value : null;
        }

        private static long Number(string json, string name)
        {
            var match = Regex.Match(json, "\"" + Regex.Escape(name) + "\":(\\d+)");
            return match.Success ? long.Parse(match.Groups[1].Value) : 0;
        }
    }

    /// <summary>Where the test run finds what it needs: test.sh says so; <c>dotnet test</c> finds it in the repository.</summary>
    internal static class Files
    {
        internal static readonly string Root = Environment.GetEnvironmentVariable("P21AUTH_ROOT") ?? Above("Cargo.lock");
        internal static readonly string Cli = Built("P21AUTH_CLI", "p21auth");
        internal static readonly string Library = Built("P21AUTH_LIBRARY", "libp21auth.so");

#if NET
        /// <summary>What runs a program: this process' own host, unless that is a test runner's.</summary>
        internal static string Dotnet
        {
            get
            {
                return Path.GetFileNameWithoutExtension(Environment.ProcessPath) == "dotnet" ? Environment.ProcessPath
                    : Environment.GetEnvironmentVariable("DOTNET_HOST_PATH") ?? "dotnet";
            }
        }
#endif

        static Files()
        {
            // The tests' own process loads it too.
            Environment.SetEnvironmentVariable("P21AUTH_LIBRARY", Library);
        }

        private static string Built(string variable, string name)
        {
            string built = Environment.GetEnvironmentVariable(variable) ?? Path.Combine(Root, "target", "debug", name);
            return File.Exists(built) ? built : throw new InvalidOperationException("there is no " + built + ": run cargo build --workspace, or set " + variable);
        }

        private static string Above(string name)
        {
            string folder = Path.GetDirectoryName(typeof(Files).Assembly.Location);
            while (!File.Exists(Path.Combine(folder, name)))
            {
                folder = Path.GetDirectoryName(folder) ?? throw new InvalidOperationException("the tests are outside of the repository: set P21AUTH_ROOT");
            }
            return folder;
        }
    }
}
