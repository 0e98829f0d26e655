// A C# compiler for machines without an SDK: Roslyn's own command line, then emit. Test use only.
// Usage: dotnet csc.dll [csc options]; @file.rsp works as with csc.
//        dotnet csc.dll -batch:FILE: several compilations, which warms the compiler up once; an option on each line, an empty line after each.
using System;
using System.Collections.Generic;
using System.Collections.Immutable;
using System.IO;
using System.Linq;
using Microsoft.CodeAnalysis;
using Microsoft.CodeAnalysis.CSharp;
using Microsoft.CodeAnalysis.Emit;
using Microsoft.CodeAnalysis.Text;

public static class Csc
{
    private static readonly Dictionary<string, PortableExecutableReference> Loaded = new Dictionary<string, PortableExecutableReference>();

    public static int Main(string[] args)
    {
        if (args.Length != 1 || !args[0].StartsWith("-batch:"))
        {
            return Compile(args);
        }
        int status = 0;
        var one = new List<string>();
        foreach (var line in File.ReadLines(args[0].Substring("-batch:".Length)))
        {
            if (line.Length > 0)
            {
                one.Add(line);
                continue;
            }
            status |= Compile(one.ToArray());
            one.Clear();
        }
        return status;
    }

    private static PortableExecutableReference Load(string file)
    {
        if (!Loaded.TryGetValue(file, out var reference))
        {
            Loaded[file] = reference = MetadataReference.CreateFromFile(file);
        }
        return reference;
    }

    private static int Compile(string[] args)
    {
        // -nostdlib means here: references are given one by one, none of this runtime's own is added.
        bool ownReferences = !args.Contains("-nostdlib");
        var command = CSharpCommandLineParser.Default.Parse(
            args.Where(a => a != "-nostdlib"), Environment.CurrentDirectory, null);
        if (command.Errors.Any(d => d.Severity == DiagnosticSeverity.Error))
        {
            foreach (var error in command.Errors) Console.Error.WriteLine(error);
            return 1;
        }

        var trees = command.SourceFiles.Select(f => CSharpSyntaxTree.ParseText(
            SourceText.From(File.ReadAllText(f.Path), System.Text.Encoding.UTF8), command.ParseOptions, f.Path));
        var references = command.MetadataReferences
            .Select(r => (MetadataReference)Load(r.Reference).WithProperties(r.Properties)).ToList();
        if (ownReferences)
        {
            string runtime = Path.GetDirectoryName(typeof(object).Assembly.Location)!;
            references.AddRange(((string)AppContext.GetData("TRUSTED_PLATFORM_ASSEMBLIES")!)
                .Split(Path.PathSeparator).Where(f => f.StartsWith(runtime))
                .Select(Load));
        }

        var options = command.CompilationOptions.WithStrongNameProvider(
            new DesktopStrongNameProvider(ImmutableArray.Create(Environment.CurrentDirectory)))
            // For -pathmap.
            .WithSourceReferenceResolver(new SourceFileResolver(ImmutableArray<string>.Empty, Environment.CurrentDirectory, command.PathMap));
        var compilation = CSharpCompilation.Create(
            command.CompilationName ?? Path.GetFileNameWithoutExtension(command.OutputFileName!), trees, references, options);
        string output = Path.Combine(command.OutputDirectory, command.OutputFileName!);
        EmitResult result;
        using (var assembly = File.Create(output))
        using (var symbols = command.EmitPdb ? File.Create(Path.ChangeExtension(output, ".pdb")) : null)
        using (var documentation = command.DocumentationPath is null ? null : File.Create(command.DocumentationPath))
        {
            result = compilation.Emit(assembly, symbols, documentation,
                options: command.EmitOptions.WithDebugInformationFormat(DebugInformationFormat.PortablePdb));
        }

        foreach (var d in result.Diagnostics)
        {
            if (d.Severity >= DiagnosticSeverity.Warning && !d.IsSuppressed) Console.Error.WriteLine(d);
        }
        return result.Success ? 0 : 1;
    }
}
