using System;
using System.Collections.Generic;
using System.Globalization;
using System.IO;
using System.Linq;
using System.Reflection;
using System.Text.RegularExpressions;
using LibP21Auth;
using NUnit.Framework;

namespace LibP21Auth.Tests
{
    using Fields = IDictionary<string, object>;

    /// <summary>The scenarios of <c>tests/scenarios</c> that need no steps of time, against the emulator.</summary>
    [TestFixture]
    public class ScenarioTests
    {
        // Answers that lead to a backoff of random length.
        private static readonly string[] Transient = { "status", "html", "empty", "unreachable" };

        private static readonly Dictionary<string, string> Bodies = new Dictionary<string, string>
        {
            { "token_error", "<TokenError>bad</TokenError>" },
            { "permission", "{\"Message\":\"You are not authorized to access API\"}" },
            { "header_lost", "{\"Error\":\"invalid_request\",\"Description\":\"Authorization header was not present or 'Bearer' was missing.\",\"Uri\":\"\"}" },
            { "unknown", "?" },
        };

        public static IEnumerable<TestCaseData> Timeless()
        {
            var parse = typeof(TokenManager).Assembly.GetType("LibP21Auth.Interop.Json", true).GetMethod("Parse", BindingFlags.Static | BindingFlags.NonPublic);
            foreach (var file in Directory.GetFiles(Path.Combine(Files.Root, "tests", "scenarios"), "*.json").OrderBy(f => f))
            {
                foreach (Fields scenario in (IEnumerable<object>)parse.Invoke(null, new object[] { File.ReadAllText(file) }))
                {
                    if (!Items(scenario, "steps").Any(step => Text(step, "do").StartsWith("advance", StringComparison.Ordinal))
                        && !Items(scenario, "server").Any(answer => answer.ContainsKey("takes")))
                    {
                        yield return new TestCaseData(scenario).SetName("Scenario " + Path.GetFileNameWithoutExtension(file) + ": " + Text(scenario, "name"));
                    }
                }
            }
        }

        [TestCaseSource(nameof(Timeless))]
        public void Scenario(IDictionary<string, object> scenario)
        {
            // Chance is not fixed here: a backoff may be drawn next to nothing and be over before the next step.
            int draws = Items(scenario, "server").Any(a => Transient.Contains(Text(a, "answer"))) ? 3 : 1;
            for (int left = draws; left > 0; left--)
            {
                string failure = Run(scenario);
                if (failure == null)
                {
                    return;
                }
                if (left == 1)
                {
                    Assert.Fail(failure);
                }
            }
        }

        /// <summary>What did not come out as written, or null.</summary>
        private static string Run(Fields scenario)
        {
            using (var p21 = new Emulator("--tls"))
            {
                int issued = 0;
                foreach (var answer in Items(scenario, "server"))
                {
                    issued += Text(answer, "answer") == "token" ? 1 : 0;
                    p21.Fault(Fault(answer, issued));
                }
                var managers = new List<TokenManager> { new TokenManager(Options(p21, scenario)) };
                try
                {
                    int number = 0;
                    foreach (var step in Items(scenario, "steps"))
                    {
                        string place = "step " + ++number + " (" + Text(step, "do") + "): ";
                        object got = Do(step, managers, p21);
                        if (step.TryGetValue("expect", out var expected) && !Agrees(expected, got))
                        {
                            return place + "got " + Show(got) + " instead of " + Show(expected);
                        }
                        foreach (var counter in new[] { "requests token.requests", "router_requests router.requests" }.Select(c => c.Split(' ')))
                        {
                            if (step.TryGetValue(counter[0], out var count) && p21.Count(counter[1]) != (long)count)
                            {
                                return place + p21.Count(counter[1]) + " " + counter[0] + " instead of " + count;
                            }
                        }
                    }
                    return p21.Count("faults.pending") == 0 ? null : "the server was not asked for everything";
                }
                finally
                {
                    managers.ForEach(m => m.Dispose());
                }
            }
        }

        private static object Do(Fields step, List<TokenManager> managers, Emulator p21)
        {
            var manager = managers[(int)(step.TryGetValue("client", out var n) ? (long)n : 0)];
            string token = step.TryGetValue("token", out var t) ? "token-" + t : null;
            var flags = step.TryGetValue("flags", out var f)
                ? ((IEnumerable<object>)f).Aggregate(TokenFlags.None, (all, flag) => all | (TokenFlags)Enum.Parse(typeof(TokenFlags), ((string)flag).Replace("_", ""), true))
                : TokenFlags.None;
            switch (Text(step, "do"))
            {
                case "token":
                    var minValid = TimeSpan.FromSeconds(step.TryGetValue("min_valid_s", out var s) ? (long)s : 0);
                    var wait = step.TryGetValue("wait_ms", out var ms) && (long)ms > 0 ? TimeSpan.FromMilliseconds((long)ms) : (TimeSpan?)null;
                    return Outcome(() => manager.Snapshot(minValid, flags, wait).AccessToken);
                case "ui_url":
                    return Outcome(() => manager.GetUiServerUrl(flags));
                case "report":
                    int status = (int)(step.TryGetValue("status", out var given) ? (long)given : 401);
                    string body = Text(step, "body");
                    var verdict = manager.Report(token, status, System.Text.Encoding.UTF8.GetBytes(Bodies.TryGetValue(body, out var known) ? known : body));
                    return Regex.Replace(verdict.ToString(), "(?<!^)([A-Z])", "_$1").ToUpperInvariant();
                case "invalidate":
                    manager.Invalidate(token);
                    return null;
                case "open":
                    managers.Add(new TokenManager(Options(p21, step)));
                    return null;
                case "update":
                    manager.Update(Options(p21, step));
                    return null;
                case "close":
                    manager.Dispose();
                    return null;
                default:
                    throw new InvalidOperationException("nothing called " + Text(step, "do"));
            }
        }

        private static object Outcome(Func<string> call)
        {
            try
            {
                string text = call();
                return text.StartsWith("token-", StringComparison.Ordinal) ? long.Parse(text.Substring(6), CultureInfo.InvariantCulture) : (object)text;
            }
            catch (Exception error) when (error is IP21Error)
            {
                return error;
            }
        }

        private static bool Agrees(object expected, object got)
        {
            if (!(expected is Fields error))
            {
                return Equals(expected, got);
            }
            if (!(got is IP21Error failure) || failure.CodeName != "P21_E_" + error["error"])
            {
                return false;
            }
            // The clock runs here and chance is not fixed: a backoff is at most what the file says.
            return !error.TryGetValue("retry_after_s", out var most)
                || failure.RetryAfter?.TotalSeconds <= Convert.ToDouble(most, CultureInfo.InvariantCulture) + 0.01;
        }

        private static string Fault(Fields answer, int number)
        {
            string path = "{\"path\":\"" + (answer.ContainsKey("router") ? "/router" : "/token") + "\",\"action\":";
            string kind = Text(answer, "answer");
            switch (kind)
            {
                case "html":
                case "empty":
                    return path + Quoted(kind) + "}";
                case "unreachable":
                    return path + "\"close\"}";
                case "token":
                    return path + Answer(answer, 200, "{\"AccessToken\":\"token-" + number + "\",\"ExpiresInSeconds\":" + answer["lifetime"] + "}");
                case "refused":
                    return path + Answer(answer, 401, "{\"error\":\"invalid_grant\"}");
                case "status":
                    return path + Answer(answer, (long)answer["status"], "");
                case "url":
                    return path + Answer(answer, 200, "{\"Url\":" + Quoted((string)answer["url"]) + "}");
                case "dead":
                    return path + Answer(answer, 401, "<TokenError>expired</TokenError>");
                default:
                    throw new InvalidOperationException("no answer called " + kind);
            }
        }

        private static string Answer(Fields answer, long status, string body)
        {
            string wait = answer.TryGetValue("retry_after", out var seconds) ? ",\"Retry-After\":\"" + seconds + "\"" : "";
            return "{\"answer\":{\"status\":" + status + ",\"headers\":{\"Content-Type\":\"application/json\"" + wait + "},\"body\":" + Quoted(body) + "}}}";
        }

        private static P21Options Options(Emulator p21, Fields of)
        {
            var changes = of.TryGetValue("options", out var given) ? (Fields)given : new Dictionary<string, object>();
            var options = new P21Options { Username = "user", Password = "secret", MaxRetries = 0, CaFile = p21.CaFile };
            foreach (var change in changes)
            {
                options.Set(change.Key, change.Value == null ? null : Convert.ToString(change.Value, CultureInfo.InvariantCulture));
            }
            // The emulator's address in the scenario's spelling; another host is the same emulator by its other name.
            string host = p21.BaseUrl.Replace("https://", "");
            string written = Regex.Replace(options.BaseUrl ?? "https://p21.example.com", @"p21\.example\.com(:443)?", host, RegexOptions.IgnoreCase);
            options.BaseUrl = Regex.Replace(written, @"play\.example\.com", host.Replace("127.0.0.1", "localhost"));
            return options;
        }

        private static IEnumerable<Fields> Items(Fields of, string name) { return ((IEnumerable<object>)of[name]).Cast<Fields>(); }

        private static string Text(Fields of, string name) { return (string)of[name]; }

        private static string Quoted(string text) { return "\"" + text.Replace("\\", "\\\\").Replace("\"", "\\\"") + "\""; }

        private static string Show(object value)
        {
            return value is Fields fields ? string.Join(", ", fields.Select(f => f.Key + " " + f.Value)) : Convert.ToString(value, CultureInfo.InvariantCulture);
        }
    }
}
