// Runs the NUnit 3 tests of an assembly in this process. Test use only.
// Usage: runner Tests.dll [pattern of full names]; the last line is 'N passed, N failed, N skipped'.
using System;
using System.Collections.Generic;
using System.IO;
using System.Reflection;
using NUnit.Framework.Api;
using NUnit.Framework.Interfaces;
using NUnit.Framework.Internal;

internal sealed class Listener : ITestListener
{
    // Taken before NUnit redirects Console.Out.
    private readonly TextWriter Out = Console.Out;

    public void TestStarted(ITest test) { }

    public void TestOutput(TestOutput output) { Out.Write(output.Text); }

    public void SendMessage(TestMessage message) { }

    public void TestFinished(ITestResult result)
    {
        if (result.Test.IsSuite && result.ResultState.Site != FailureSite.SetUp && result.ResultState.Site != FailureSite.TearDown) return;
        Out.WriteLine("{0,-8} {1} ({2:F0} ms)", result.ResultState.Status, result.FullName, result.Duration * 1000);
        if (result.ResultState.Status == TestStatus.Failed) Out.WriteLine(result.Message + "\n" + result.StackTrace);
        if (result.ResultState.Status == TestStatus.Skipped) Out.WriteLine("         " + result.Message);
        Out.Flush();
    }
}

internal static class Runner
{
    private static int Main(string[] args)
    {
        string path = Path.GetFullPath(args[0]);
        AppDomain.CurrentDomain.AssemblyResolve += (sender, e) =>
        {
            string file = Path.Combine(Path.GetDirectoryName(path), new AssemblyName(e.Name).Name + ".dll");
            return File.Exists(file) ? Assembly.LoadFrom(file) : null;
        };
        return Run(path, args.Length > 1 ? args[1] : null);
    }

    private static int Run(string path, string pattern)
    {
        var runner = new NUnitTestAssemblyRunner(new DefaultTestAssemblyBuilder());
        runner.Load(Assembly.LoadFrom(path), new Dictionary<string, object> { ["SynchronousEvents"] = true });
        var filter = pattern == null
            ? TestFilter.Empty
            : TestFilter.FromXml("<filter><test re=\"1\">" + System.Security.SecurityElement.Escape(pattern) + "</test></filter>");
        var result = runner.Run(new Listener(), filter);
        Console.WriteLine("{0} passed, {1} failed, {2} skipped", result.PassCount, result.FailCount, result.SkipCount);
        return result.FailCount == 0 && result.PassCount > 0 && result.ResultState.Status != TestStatus.Failed ? 0 : 1;
    }
}
