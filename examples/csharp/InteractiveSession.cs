// An Interactive session belongs to the token that opened it: a snapshot keeps that token for it, even if the cache gets a new one.
using System;
using System.Net.Http;
using System.Threading.Tasks;
using LibP21Auth;

public static class InteractiveSession
{
    public static async Task<int> Main()
    {
        try
        {
            using (var manager = TokenManager.FromEnvironment())
            {
                await WorkAsync(manager);
            }
            return 0;
        }
        catch (Exception error) when (error is IP21Error || error is HttpRequestException || error is OperationCanceledException)
        {
            Console.Error.WriteLine(error.Message);
            return 1;
        }
    }

    private static async Task WorkAsync(TokenManager manager)
    {
        // Two hours of life are enough for this job.
        TokenSnapshot snapshot = await manager.SnapshotAsync(minValid: TimeSpan.FromHours(2));
        string sessions = await manager.GetUiServerUrlAsync() + "/api/ui/interactive/sessions/";
        using (HttpClient session = P21Auth.CreateAuthorizedClient(snapshot))
        {
            Check(await session.PostAsync(sessions, new StringContent("")));
            Console.WriteLine("session opened");
            try
            {
                // Other code in this process makes the manager fetch another token: the session lives on.
                await manager.GetTokenAsync(TokenFlags.ForceRefresh);
                Check(await session.GetAsync(sessions));
            }
            finally
            {
                Check(await session.DeleteAsync(sessions));
                Console.WriteLine("session closed");
            }
        }
    }

    private static void Check(HttpResponseMessage response)
    {
        response.EnsureSuccessStatusCode();
        // An IIS that restarts, and a proxy, answer with a page of theirs and status 200.
        if (response.Content.Headers.ContentType?.MediaType != "application/json")
        {
            throw new HttpRequestException(response.RequestMessage.RequestUri + " did not return JSON");
        }
    }
}
