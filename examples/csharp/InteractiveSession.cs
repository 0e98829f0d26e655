// An Interactive session belongs to the token that opened it: a snapshot keeps that token for it, whatever the cache does meanwhile.
using System;
using System.Net.Http;
using System.Threading.Tasks;
using LibP21Auth;

public static class InteractiveSession
{
    public static async Task Main()
    {
        using (var manager = TokenManager.FromEnvironment())
        {
            // Two hours of life are enough for this job.
            TokenSnapshot snapshot = await manager.SnapshotAsync(minValid: TimeSpan.FromHours(2));
            string sessions = await manager.GetUiServerUrlAsync() + "/api/ui/interactive/sessions/";
            using (HttpClient session = P21Auth.CreateAuthorizedClient(snapshot))
            {
                (await session.PostAsync(sessions, new StringContent(""))).EnsureSuccessStatusCode();
                Console.WriteLine("session opened");
                try
                {
                    // Somebody else in this process makes the manager fetch another token: the session lives on.
                    await manager.GetTokenAsync(TokenFlags.ForceRefresh);
                    (await session.GetAsync(sessions)).EnsureSuccessStatusCode();
                }
                finally
                {
                    (await session.DeleteAsync(sessions)).EnsureSuccessStatusCode();
                    Console.WriteLine("session closed");
                }
            }
        }
    }
}
