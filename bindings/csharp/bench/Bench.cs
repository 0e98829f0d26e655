// The figures of benches/RESULTS.md for C#, all from one run: bench.dll hit|cold|first, and the same for the guide's own class.
using System;
using System.Diagnostics;
using System.Linq;
using System.Net.Http;
using System.Text;
using System.Threading.Tasks;
using Newtonsoft.Json.Linq;

public static class Bench
{
    public static async Task Main(string[] args)
    {
        string baseUrl = Environment.GetEnvironmentVariable("P21_BASE_URL")!;
        bool guide = args[1] == "guide";
        switch (args[0])
        {
            case "hit":
                await Hit(guide, baseUrl);
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

    private static async Task Hit(bool guide, string baseUrl)
    {
        var ours = new LibP21Auth.TokenManager(baseUrl, "demo", "demo-password");
        var theirs = new GuideManager(baseUrl, "demo", "demo-password");
        if (guide)
        {
            await theirs.GetTokenAsync();
            Report("GetTokenAsync", () => theirs.GetTokenAsync().Result);
            return;
        }
        ours.GetToken();
        Report("GetToken", () => ours.GetToken());
        Report("GetTokenAsync", () => ours.GetTokenAsync().Result);
    }

    private static void Report(string name, Func<string> call)
    {
        const int Calls = 200_000;
        int length = 0;
        double best = double.MaxValue;
        long bytes = 0;
        for (int round = 0; round < 60; round++)
        {
            long allocated = GC.GetAllocatedBytesForCurrentThread();
            long start = Stopwatch.GetTimestamp();
            for (int i = 0; i < Calls; i++)
            {
                length += call().Length;
            }
            long end = Stopwatch.GetTimestamp();
            bytes = (GC.GetAllocatedBytesForCurrentThread() - allocated) / Calls;
            best = Math.Min(best, (end - start) * 1e9 / Stopwatch.Frequency / Calls);
        }
        Console.WriteLine($"{name} {best:F1} {bytes}");
        GC.KeepAlive(length);
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
