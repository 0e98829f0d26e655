// What has to be seen from outside of a process: loading, unloading, the end. The tests run it.
using System;
using System.IO;
using System.Reflection;
using System.Runtime.CompilerServices;
using System.Threading.Tasks;
using LibP21Auth;

public static class Probe
{
    public static int Main(string[] args)
    {
        try
        {
            switch (args[0])
            {
                case "load":
                    Console.WriteLine("loaded " + Version());
                    return 0;
                case "bytes":
                    // As in a single-file application: the assembly has no place on disk.
                    AppDomain.CurrentDomain.AssemblyResolve += (sender, e) =>
                        Assembly.Load(File.ReadAllBytes(Path.Combine(args[1], new AssemblyName(e.Name).Name + ".dll")));
                    Console.WriteLine("loaded " + Version() + (Location().Length == 0 ? " from memory" : " from " + Location()));
                    return 0;
                case "exit":
                    return Exit(args[1]);
                case "token":
                    Console.WriteLine(Token(args[1], args[2]));
                    return 0;
                case "profile":
                    Console.WriteLine(Profile(args[1], args.Length > 2 ? args[2] : null));
                    return 0;
#if NETFRAMEWORK
                case "shadow":
                    return Shadow(args[1]);
#endif
                default:
                    return 2;
            }
        }
        catch (DllNotFoundException error)
        {
            Console.WriteLine(error.Message);
            return 1;
        }
    }

    // Not inlined, so that the assembly is not wanted before the handler for it is there.
    [MethodImpl(MethodImplOptions.NoInlining)]
    private static string Version() { return P21Auth.NativeVersion; }

    [MethodImpl(MethodImplOptions.NoInlining)]
    private static string Location() { return typeof(P21Auth).Assembly.Location; }

    /// <summary>Ends while a request is under way, one caller waits in the library and another awaits.</summary>
    private static int Exit(string baseUrl)
    {
        var manager = new TokenManager(baseUrl, "demo", "demo-password");
        var awaiting = manager.GetTokenAsync();
        var waiting = Task.Run(() => manager.GetToken());
        Console.In.ReadLine();
        return awaiting.IsCompleted || waiting.IsCompleted ? 3 : 0;
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    private static string Token(string baseUrl, string store)
    {
        var options = new P21Options { BaseUrl = baseUrl, Username = "demo", Password = "demo-password", Store = store };
        return new TokenManager(options).GetToken();
    }

    /// <summary>What comes of a profile that is named, or of that of the environment; with another password, if there is one.</summary>
    [MethodImpl(MethodImplOptions.NoInlining)]
    private static string Profile(string name, string password)
    {
        try
        {
            var options = name == "-" ? P21Options.FromEnvironment() : P21Options.FromProfile(name);
            if (password == null)
            {
                using (var manager = name == "-" ? TokenManager.FromEnvironment() : TokenManager.FromProfile(name))
                {
                    return manager.GetToken();
                }
            }
            options.Password = password;
            using (var manager = new TokenManager(options))
            {
                return manager.GetToken();
            }
        }
        catch (Exception error) when (error is IP21Error)
        {
            return error.GetType().Name + ": " + error.Message;
        }
    }

#if NETFRAMEWORK
    private static int Shadow(string folder)
    {
        var domain = AppDomain.CreateDomain("shadow", null, new AppDomainSetup
        {
            ApplicationBase = AppDomain.CurrentDomain.BaseDirectory,
            ApplicationName = "probe",
            ShadowCopyFiles = "true",
            CachePath = folder,
        });
        var inside = (Inside)domain.CreateInstanceAndUnwrap(typeof(Inside).Assembly.FullName, typeof(Inside).FullName);
        Console.WriteLine(inside.Report());
        try
        {
            inside.Fail();
        }
        catch (Exception error)
        {
            // An exception crosses the border of the domain whole.
            Console.WriteLine(error.GetType().Name + " " + ((IP21Error)error).Code);
        }
        AppDomain.Unload(domain);
        Console.WriteLine("unloaded");
        return 0;
    }

    public sealed class Inside : MarshalByRefObject
    {
        public string Report()
        {
            string location = typeof(P21Auth).Assembly.Location;
            bool copied = Path.GetDirectoryName(location) != AppDomain.CurrentDomain.BaseDirectory.TrimEnd('/');
            return "loaded " + P21Auth.NativeVersion + (copied ? " from a copy" : " from " + location);
        }

        public void Fail() { new TokenManager(new P21Options { BaseUrl = "https://p21.example.com" }); }
    }
#endif
}
