using System;
using System.IO;

namespace LibP21Auth.Interop
{
    /// <summary>Tells from a library's header whether this process can load it: the system's own message seldom says what is wrong.</summary>
    internal static class Bitness
    {
        /// <summary>What doesn't fit, or <see langword="null"/> if all is well or the format is unknown.</summary>
        internal static string? Mismatch(string path)
        {
            try
            {
                string? built = Of(path);
                return built == null || built == Platform.Architecture
                    ? null
                    : "is built for " + built + ", but this process is " + Platform.Architecture;
            }
            catch (EndOfStreamException)
            {
                return "not a library: the file is cut short";
            }
            catch (Exception error) when (error is IOException or UnauthorizedAccessException)
            {
                return error.Message;
            }
        }

        /// <summary>The processor that a program or library is built for; <see langword="null"/> for an unknown format.</summary>
        internal static string? Of(string path)
        {
            using (var file = new FileStream(path, FileMode.Open, FileAccess.Read, FileShare.ReadWrite | FileShare.Delete))
            using (var reader = new BinaryReader(file))
            {
                uint magic = reader.ReadUInt32();
                if (magic == 0x464C457F) // ELF
                {
                    file.Position = 18;
                    return Name(reader.ReadUInt16(), x64: 62, x86: 3, arm64: 183, arm: 40);
                }
                if ((magic & 0xFFFF) == 0x5A4D) // MZ
                {
                    file.Position = 0x3C;
                    file.Position = reader.ReadUInt32();
                    return reader.ReadUInt32() == 0x4550 ? Name(reader.ReadUInt16(), x64: 0x8664, x86: 0x14C, arm64: 0xAA64, arm: 0x1C4) : null;
                }
                return null;
            }
        }

        private static string? Name(ushort machine, ushort x64, ushort x86, ushort arm64, ushort arm) =>
            machine == x64 ? "x64" : machine == x86 ? "x86" : machine == arm64 ? "arm64" : machine == arm ? "arm" : null;
    }
}
