// A minute in the life of examples/csharp/ServiceLoop.cs: revocations, 503s, pages of HTML, resets and replies that never come, from the
// token endpoint and from the API. Every failure must be logged with its hint, none may end the service, and the server must not be asked
// more often than the library promises.
using System;
using System.Collections.Generic;
using System.IO;
using System.Linq;
using System.Text;
using System.Threading;
using System.Threading.Tasks;
using LibP21Auth;
using LibP21Auth.Tests;

public static class ServiceMinute
{
    private const string Token = "/token";
    private const string Api = "/odata";

    private sealed class Trouble
    {
        internal string Path;
        internal string Fault;
        internal string Says;
    }

    private static readonly Trouble[] Troubles =
    {
        new Trouble { Path = Token, Fault = "\"action\":{\"answer\":{\"status\":503}}", Says = "P21_E_SERVER" },
        new Trouble { Path = Api, Fault = "\"action\":{\"answer\":{\"status\":503}}", Says = "503" },
        new Trouble { Path = Token, Fault = "\"action\":\"html\"", Says = "P21_E_PARSE" },
        new Trouble { Path = Api, Fault = "\"action\":\"html\"", Says = "instead of JSON" },
        new Trouble { Path = Token, Fault = "\"hang\":true", Says = "P21_E_TIMEOUT" },
        new Trouble { Path = Api, Fault = "\"hang\":true", Says = "no reply within" },
        new Trouble { Path = Token, Fault = "\"action\":\"reset\"", Says = "P21_E_IO" },
        new Trouble { Path = Api, Fault = "\"action\":\"reset\"", Says = "failed: " },
    };

    public static int Main(string[] args)
    {
        var said = new Lines();
        var uncaught = new List<string>();
        var output = Console.Out;
        Console.SetOut(said);
        Console.SetError(said);
        AppDomain.CurrentDomain.UnhandledException += (sender, e) => uncaught.Add(e.ExceptionObject.ToString());
        TaskScheduler.UnobservedTaskException += (sender, e) => uncaught.Add(e.Exception.ToString());
        int flights = 0;
        P21Log.Received += (sender, e) => flights += e.Name == "token.refreshed" || e.Name == "token.failed" ? 1 : 0;

        var problems = new List<string>();
        int rounds = 0, done = 0, most = 1;
        long requests, issued;
        using (var p21 = new Emulator())
        using (var stop = new CancellationTokenSource())
        {
            foreach (var setting in new[]
            {
                "BASE_URL=" + p21.BaseUrl, "USERNAME=" + Emulator.User, "PASSWORD=" + Emulator.Password, "TIMEOUT_MS=1000", "MIN_REFRESH_INTERVAL_S=1",
            })
            {
                Environment.SetEnvironmentVariable("P21_" + setting.Split('=')[0], setting.Split(new[] { '=' }, 2)[1]);
            }
            var service = new ServiceLoop(TimeSpan.FromMilliseconds(100)).RunAsync(stop.Token);
            var end = DateTime.UtcNow.AddSeconds(args.Length > 0 ? int.Parse(args[0]) : 60);
            for (int i = 0; i < Troubles.Length || DateTime.UtcNow < end; i++)
            {
                var trouble = Troubles[i % Troubles.Length];
                string name = trouble.Path + " " + trouble.Fault;
                int before = said.Count;
                p21.Fault("{\"path\":\"" + trouble.Path + "\",\"times\":0," + trouble.Fault + "}");
                p21.Revoke();
                // One for the revocation, and one that a request which hung asked for in the end.
                most += 2;
                if (!said.WaitFor(before, line => line.Contains(" failed: ") && line.Contains(trouble.Says)))
                {
                    problems.Add(name + ": no line says " + trouble.Says);
                }
                p21.ClearFaults();
                p21.Release();
                if (!said.WaitFor(said.Count, line => line.EndsWith(" done", StringComparison.Ordinal)))
                {
                    problems.Add(name + ": the service did not recover");
                }
            }
            stop.Cancel();
            if (!service.Wait(10000))
            {
                problems.Add("the service did not stop");
            }
            requests = p21.TokenRequests;
            issued = p21.Count("token.issued");
        }
        GC.Collect();
        GC.WaitForPendingFinalizers();
        Console.SetOut(output);

        foreach (var line in said.All())
        {
            rounds++;
            done += line.EndsWith(" done", StringComparison.Ordinal) ? 1 : 0;
            if (!line.EndsWith(" done", StringComparison.Ordinal)
                && (!line.Contains(" failed: ") || line.Contains("task was canceled") || (line.Contains("P21_E_") && !line.Contains(" Hint: "))))
            {
                problems.Add("not a good line: " + line);
            }
        }
        problems.AddRange(uncaught.Select(u => "uncaught: " + u));
        // A flight makes one try and at most max_retries (2) more.
        if (requests > 3 * flights || issued > most)
        {
            problems.Add(requests + " token requests in " + flights + " flights, " + issued + " tokens of at most " + most);
        }
        problems.ForEach(Console.WriteLine);
        Console.WriteLine("{0} passed, {1} failed, 0 skipped: {2} rounds, {3} of them failed, {4} token requests", done, problems.Count, rounds, rounds - done, requests);
        return problems.Count == 0 && done > 0 ? 0 : 1;
    }

    /// <summary>What the service writes, line by line.</summary>
    private sealed class Lines : TextWriter
    {
        private readonly List<string> lines = new List<string>();

        public override Encoding Encoding { get { return Encoding.UTF8; } }

        internal int Count { get { lock (lines) { return lines.Count; } } }

        public override void Write(char value) { }

        public override void WriteLine(string value)
        {
            lock (lines)
            {
                lines.Add(value);
                Monitor.PulseAll(lines);
            }
        }

        internal string[] All() { lock (lines) { return lines.ToArray(); } }

        /// <summary>Waits for such a line after this many; half a minute is more than the longest backoff.</summary>
        internal bool WaitFor(int from, Predicate<string> wanted)
        {
            var end = DateTime.UtcNow.AddSeconds(40);
            lock (lines)
            {
                while (!lines.Skip(from).Any(line => wanted(line)))
                {
                    if (DateTime.UtcNow > end)
                    {
                        return false;
                    }
                    Monitor.Wait(lines, 1000);
                }
                return true;
            }
        }
    }
}
