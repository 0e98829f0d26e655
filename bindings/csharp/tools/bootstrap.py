"""Compiles Csc.cs with Roslyn, driven from Python (pythonnet on the .NET 8 runtime), so that no SDK is needed.

Usage: bootstrap.py DOTNET_ROOT ROSLYN_FOLDER Csc.cs OUT.dll
"""

import glob
import json
import os
import sys

from clr_loader import get_coreclr
from pythonnet import set_runtime

root, roslyn, source, out = map(os.path.abspath, sys.argv[1:5])
framework = glob.glob(root + "/shared/Microsoft.NETCore.App/*")[0]
config = {
    "runtimeOptions": {
        "tfm": "net8.0",
        "framework": {"name": "Microsoft.NETCore.App", "version": os.path.basename(framework)},
    }
}
host_config = os.path.join(roslyn, "host.runtimeconfig.json")
with open(host_config, "w") as file:
    json.dump(config, file)
set_runtime(get_coreclr(runtime_config=host_config, dotnet_root=root))

import clr  # noqa: E402

clr.AddReference(os.path.join(roslyn, "Microsoft.CodeAnalysis.dll"))
clr.AddReference(os.path.join(roslyn, "Microsoft.CodeAnalysis.CSharp.dll"))

import System  # noqa: E402
from Microsoft.CodeAnalysis import MetadataReference, NullableContextOptions, OutputKind, SyntaxTree  # noqa: E402
from Microsoft.CodeAnalysis.CSharp import CSharpCompilation, CSharpCompilationOptions, CSharpSyntaxTree  # noqa: E402
from System.Collections.Generic import List  # noqa: E402


def is_managed(path):
    try:
        System.Reflection.AssemblyName.GetAssemblyName(path)
        return True
    except System.BadImageFormatException:
        return False


references = List[MetadataReference]()
for path in glob.glob(framework + "/*.dll") + glob.glob(roslyn + "/Microsoft.CodeAnalysis*.dll"):
    if is_managed(path):
        references.Add(MetadataReference.CreateFromFile(path))
trees = List[SyntaxTree]()
with open(source) as file:
    trees.Add(CSharpSyntaxTree.ParseText(file.read()))
options = CSharpCompilationOptions(OutputKind.ConsoleApplication).WithNullableContextOptions(NullableContextOptions.Enable)
stream = System.IO.File.Create(out)
result = CSharpCompilation.Create("csc", trees, references, options).Emit(stream)
stream.Close()
for diagnostic in result.Diagnostics:
    if not result.Success:
        print(diagnostic.ToString())
with open(os.path.splitext(out)[0] + ".runtimeconfig.json", "w") as file:
    json.dump(config, file)
sys.exit(0 if result.Success else 1)
