// The figures of benches/RESULTS.md for C#, all from one run: bench.dll hit, and cold|first ours|guide.
using System;
using System.Collections.Generic;
using System.Diagnostics;
using System.Linq;
using System.Net.Http;
using System.Runtime.InteropServices;
using System.Text;
using System.Threading.Tasks;
using Newtonsoft.Json.Linq;

public static class Bench
{
    public static async Task Main(string[] args)
    {
        string baseUrl = Environment.GetEnvironmentVariable("P21_BASE_URL")!;
        bool guide = args.Length > 1 && args[1] == "guide";
        switch (args[0])
        {
            case "hit":
                await Hit(baseUrl);
                break;
            case "cold":
                await Cold(guide, baseUrl, args[2]);
                break;
            case "first":
                // The time is taken from outside, from the start of the process.
                Console.WriteLine((await Token(guide, baseUrl, "demo-password")).Length);
                break;
        }
    }

    /// <summary>A line for each subject: name, nanoseconds by the wall clock, nanoseconds of the processor, bytes allocated; medians of
    /// rounds by turns.</summary>
    private static async Task Hit(string baseUrl)
    {
        var options = new LibP21Auth.P21Options { AllowedHosts = new[] { "reports.example.com" } };
        var ours = new LibP21Auth.TokenManager(baseUrl, "demo", "demo-password", options);
        var theirs = new GuideManager(baseUrl, "demo", "demo-password");
        await ours.GetTokenAsync();
        await theirs.GetTokenAsync();
        Uri own = new Uri(ours.Url("/odataservice/odata/table/customer")), allowed = new Uri("https://reports.example.com/sales");
        // Each another than the one before.
        string[] paths = Enumerable.Range(0, 16).Select(n => "/odataservice/odata/table/table_" + n.ToString("D2")).ToArray();
        uint next = 0;
        var subjects = new Dictionary<string, Func<int>>
        {
            ["GetToken"] = () => ours.GetToken().Length,
            ["GetTokenAsync"] = () => ours.GetTokenAsync().Result.Length,
            ["GuideGetTokenAsync"] = () => theirs.GetTokenAsync().Result.Length,
            ["BaseUrl"] = () => ours.BaseUrl.Length,
            ["Url"] = () => ours.Url("/odataservice/odata/table/customer").Length,
            ["UrlOfAnother"] = () => ours.Url(paths[next++ % paths.Length]).Length,
            ["Join"] = () => (baseUrl + paths[next++ % paths.Length]).Length,
            ["OwnHost"] = () => ours.MaySendTo(own) ? 1 : throw new InvalidOperationException("own"),
            ["AllowedHost"] = () => ours.MaySendTo(allowed) ? 1 : throw new InvalidOperationException("allowed"),
        };
        var rounds = subjects.Keys.ToDictionary(name => name, _ => new List<(double Wall, double Processor, long Bytes)>());
        for (int round = 0; round < 60; round++)
        {
            foreach (var (name, call) in subjects)
            {
                rounds[name].Add(Round(call));
            }
        }
        foreach (var (name, all) in rounds)
        {
            // Not those that the compiler has yet to learn from.
            var late = all.Skip(20).ToList();
            Console.WriteLine(FormattableString.Invariant(
                $"{name} {Median(late.Select(r => r.Wall)):F1} {Median(late.Select(r => r.Processor)):F1} {late.Min(r => r.Bytes)}"));
        }
    }

    private static double Median(IEnumerable<double> values) => values.OrderBy(value => value).ElementAt(values.Count() / 2);

    private static (double Wall, double Processor, long Bytes) Round(Func<int> call)
    {
        const int Calls = 200_000;
        int length = 0;
        long allocated = GC.GetAllocatedBytesForCurrentThread();
        double processor = ProcessorNanoseconds();
        long start = Stopwatch.GetTimestamp();
        for (int i = 0; i < Calls; i++)
        {
            length += call();
        }
        double wall = (Stopwatch.GetTimestamp() - start) * 1e9 / Stopwatch.Frequency;
        processor = ProcessorNanoseconds() - processor;
        GC.KeepAlive(length);
        return (wall / Calls, processor / Calls, (GC.GetAllocatedBytesForCurrentThread() - allocated) / Calls);
    }

    [DllImport("libc")]
    private static extern int clock_gettime(int clock, long[] time);

    /// <summary>What this thread has used, on Linux.</summary>
    private static double ProcessorNanoseconds()
    {
        const int ThreadCpuTime = 3;
        var time = new long[2];
        _ = clock_gettime(ThreadCpuTime, time);
        return time[0] * 1e9 + time[1];
    }

    private static async Task Cold(bool guide, string baseUrl, string password)
    {
        var ours = new LibP21Auth.TokenManager(baseUrl, "demo", password);
        var theirs = new GuideManager(baseUrl, "demo", password);
        var callers = Enumerable.Range(0, 50).Select(_ => guide ? theirs.GetTokenAsync() : ours.GetTokenAsync()).ToArray();
        try
        {
            await Task.WhenAll(callers);
        }
        catch (HttpRequestException)
        {
        }
    }

    private static Task<string> Token(bool guide, string baseUrl, string password) => guide
        ? new GuideManager(baseUrl, "demo", password).GetTokenAsync()
        : new LibP21Auth.TokenManager(
            baseUrl, "demo", password, new LibP21Auth.P21Options { CaFile = Environment.GetEnvironmentVariable("P21_CA_FILE") }).GetTokenAsync();

    /// <summary>What the community guide's TokenManager does: the reply in a JObject, its age compared at each call.</summary>
    private sealed class GuideManager
    {
        private readonly string url;
        private readonly string body;
        private JObject? reply;
        private DateTime since = DateTime.MinValue;

        internal GuideManager(string baseUrl, string username, string password)
        {
            url = baseUrl + "/api/security/token/v2";
            body = new JObject { ["username"] = username, ["password"] = password }.ToString();
        }

        internal async Task<string> GetTokenAsync()
        {
            int lifetime = reply?["ExpiresInSeconds"]?.Value<int>() ?? 0;
            double age = (DateTime.UtcNow - since).TotalSeconds;
            if (reply == null || age > lifetime - 300)
            {
                using var handler = new HttpClientHandler { ServerCertificateCustomValidationCallback = (_, _, _, _) => true };
                using var client = new HttpClient(handler);
                client.DefaultRequestHeaders.Add("Accept", "application/json");
                var response = await client.PostAsync(url, new StringContent(body, Encoding.UTF8, "application/json"));
                response.EnsureSuccessStatusCode();
                reply = JObject.Parse(await response.Content.ReadAsStringAsync());
                since = DateTime.UtcNow;
            }
            return reply["AccessToken"]!.ToString();
        }
    }
}
