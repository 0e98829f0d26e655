using System.Reflection;
using System.Runtime.InteropServices;

[assembly: AssemblyTitle("LibP21Auth.Newtonsoft")]
[assembly: AssemblyProduct("libp21auth")]
[assembly: AssemblyDescription("Access tokens for Epicor Prophet 21 APIs: fetched once, shared, always valid. Unofficial; not affiliated with Epicor.")]
// Follows the minor version alone: .NET Framework asks for a binding redirect whenever it changes.
[assembly: AssemblyVersion("0.1.0.0")]
[assembly: AssemblyFileVersion("0.1.0.0")]
[assembly: AssemblyInformationalVersion("0.1.0")]
[assembly: ComVisible(false)]
