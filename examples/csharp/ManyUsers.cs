// A web application acts for its users under one consumer key: P21 then books each change under the right name.
using System;
using System.Collections.Concurrent;
using System.Linq;
using System.Threading.Tasks;
using LibP21Auth;

public sealed class UserTokens : IDisposable
{
    private readonly ConcurrentDictionary<string, Lazy<TokenManager>> managers =
        new ConcurrentDictionary<string, Lazy<TokenManager>>(StringComparer.OrdinalIgnoreCase);
    private readonly P21Options options;

    public UserTokens(P21Options options)
    {
        this.options = options;
    }

    /// <summary>The user's token. Users never share one, each is fetched once.</summary>
    public Task<string> GetTokenAsync(string user)
    {
        return managers.GetOrAdd(user, name => new Lazy<TokenManager>(
            () => new TokenManager(new P21Options(options) { Username = name }))).Value.GetTokenAsync();
    }

    public void Dispose()
    {
        foreach (var manager in managers.Values.Where(m => m.IsValueCreated))
        {
            manager.Value.Dispose();
        }
    }
}

public static class ManyUsers
{
    public static async Task<int> Main()
    {
        try
        {
            // P21_BASE_URL and P21_CONSUMER_KEY; the user differs from request to request.
            using (var tokens = new UserTokens(P21Options.FromEnvironment()))
            {
                var requests = Enumerable.Range(0, 100).Select(i => tokens.GetTokenAsync("user" + (i % 10)));
                string[] all = await Task.WhenAll(requests);
                Console.WriteLine(all.Length + " requests, " + all.Distinct().Count() + " tokens");
            }
            return 0;
        }
        catch (Exception error) when (error is IP21Error)
        {
            Console.Error.WriteLine(error.Message);
            return 1;
        }
    }
}
