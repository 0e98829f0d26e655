// A Windows service on .NET Framework that does a job every minute. Install it with sc.exe or run it with --console.
using System;
using System.Net.Http;
using System.ServiceProcess;
using System.Threading;
using System.Threading.Tasks;
using LibP21Auth;

public sealed class ServiceLoop : ServiceBase
{
    private readonly CancellationTokenSource stopping = new CancellationTokenSource();
    private Task loop;

    public static void Main(string[] args)
    {
        if (args.Length > 0 && args[0] == "--console")
        {
            new ServiceLoop().RunAsync(rounds: 2, pause: TimeSpan.FromMilliseconds(1)).GetAwaiter().GetResult();
        }
        else
        {
            Run(new ServiceLoop { ServiceName = "P21 orders" });
        }
    }

    protected override void OnStart(string[] args)
    {
        loop = Task.Run(() => RunAsync(int.MaxValue, TimeSpan.FromMinutes(1)));
    }

    protected override void OnStop()
    {
        stopping.Cancel();
        loop.Wait();
    }

    private async Task RunAsync(int rounds, TimeSpan pause)
    {
        using (var manager = TokenManager.FromEnvironment())
        using (var client = P21Auth.CreateAuthorizedClient(manager))
        {
            for (int round = 0; round < rounds && !stopping.IsCancellationRequested; round++)
            {
                TimeSpan wait = pause;
                try
                {
                    var response = await client.GetAsync(manager.Url("/odataservice/odata/table/customer?$top=1"), stopping.Token);
                    response.EnsureSuccessStatusCode();
                    Console.WriteLine("round " + (round + 1) + " done");
                }
                catch (HttpRequestException error)
                {
                    // A service does not die of a server that restarts; and it need not ask before the library would.
                    Console.Error.WriteLine(error.Message);
                    if (error is IP21Error failure && failure.RetryAfter > wait)
                    {
                        wait = failure.RetryAfter.Value;
                    }
                }
                catch (OperationCanceledException)
                {
                    // A time-out, or the service stops: the loop's condition knows.
                }
                await Task.WhenAny(Task.Delay(wait, stopping.Token));
            }
        }
    }
}
