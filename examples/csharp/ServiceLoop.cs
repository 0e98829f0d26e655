// A service that does its job every minute, no matter what the server does meanwhile. On .NET Framework it is a Windows service, to be installed
// with sc.exe or run with --console; on .NET it is a program for systemd, a container or the console.
using System;
using System.Net.Http;
#if NETFRAMEWORK
using System.ServiceProcess;
#endif
using System.Threading;
using System.Threading.Tasks;
using LibP21Auth;

public sealed class ServiceLoop
{
    private readonly TimeSpan pause;

    public ServiceLoop(TimeSpan pause)
    {
        this.pause = pause;
    }

    public async Task RunAsync(CancellationToken stopping)
    {
        var options = P21Options.FromEnvironment();
        using (var manager = new TokenManager(options))
        using (var client = P21Auth.CreateAuthorizedClient(manager))
        {
            client.Timeout = options.Timeout ?? TimeSpan.FromSeconds(30);
            for (int round = 1; !stopping.IsCancellationRequested; round++)
            {
                TimeSpan wait = pause;
                try
                {
                    await WorkAsync(client, stopping);
                    Console.WriteLine("round " + round + " done");
                }
                // Everything that a server or a network can do to a round; a bug in the work itself still ends the service.
                catch (Exception error) when (error is IP21Error || error is HttpRequestException || error is OperationCanceledException)
                {
                    if (stopping.IsCancellationRequested)
                    {
                        return;
                    }
                    // HttpClient's own time-out says only that a task was canceled.
                    string what = error is OperationCanceledException && !(error is IP21Error) ? "no reply within " + client.Timeout : error.Message;
                    Console.Error.WriteLine("round " + round + " failed: " + what);
                    // There is no point in asking before the library would.
                    if (error is IP21Error failure && failure.RetryAfter > wait)
                    {
                        wait = failure.RetryAfter.Value;
                    }
                }
                await Task.WhenAny(Task.Delay(wait, stopping));
            }
        }
    }

    private static async Task WorkAsync(HttpClient client, CancellationToken stopping)
    {
        using (var response = await client.GetAsync("odataservice/odata/table/customer?$top=1", stopping))
        {
            response.EnsureSuccessStatusCode();
            string type = response.Content.Headers.ContentType?.MediaType;
            if (type != "application/json")
            {
                throw new HttpRequestException("the customers came as " + (type ?? "nothing") + " instead of JSON: the server may be restarting");
            }
        }
    }
}

public static class Program
{
    public static async Task Main(string[] args)
    {
#if NETFRAMEWORK
        if (args.Length == 0 || args[0] != "--console")
        {
            ServiceBase.Run(new WindowsService());
            return;
        }
#endif
        using (var stop = new CancellationTokenSource())
        {
            Console.CancelKeyPress += (sender, e) =>
            {
                e.Cancel = true;
                stop.Cancel();
            };
            await new ServiceLoop(TimeSpan.FromMinutes(1)).RunAsync(stop.Token);
        }
    }
}

#if NETFRAMEWORK
public sealed class WindowsService : ServiceBase
{
    private readonly CancellationTokenSource stop = new CancellationTokenSource();
    private Task loop;

    public WindowsService()
    {
        ServiceName = "P21 orders";
    }

    protected override void OnStart(string[] args)
    {
        loop = Task.Run(() => new ServiceLoop(TimeSpan.FromMinutes(1)).RunAsync(stop.Token));
    }

    protected override void OnStop()
    {
        stop.Cancel();
        loop.Wait();
    }
}
#endif
