using System;
using System.IO;

namespace LibP21Auth.Interop
{
    /// <summary>Tells from a library's headers whether this process can load it: the system's own message seldom says what is wrong, and to
    /// load a file that is cut short may end the process.</summary>
    internal static class LibraryFile
    {
        private const uint Elf = 0x464C457F;
        private const ushort Mz = 0x5A4D;
        private const uint Pe = 0x4550;

        /// <summary>What doesn't fit, or <see langword="null"/> if all is well or the format is unknown.</summary>
        internal static string? Problem(string path)
        {
            try
            {
                string? built = ProcessorOf(path);
                if (built != null && built != Platform.Architecture)
                {
                    return "is built for " + built + ", but this process is " + Platform.Architecture;
                }
                // Of what a symbolic link leads to, unlike that of a FileInfo.
                using var file = Open(path);
                long length = file.BaseStream.Length;
                long least = built == null ? 0 : LeastLength(path);
                return least > length ? "the file is cut short: it has " + length + " of at least " + least + " bytes" : null;
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
        internal static string? ProcessorOf(string path)
        {
            using (var file = Open(path))
            {
                uint magic = file.ReadUInt32();
                if (magic == Elf)
                {
                    return Name(UInt16At(file, 18), x64: 62, x86: 3, arm64: 183, arm: 40);
                }
                if ((ushort)magic == Mz)
                {
                    file.BaseStream.Position = UInt32At(file, 0x3C);
                    return file.ReadUInt32() == Pe ? Name(file.ReadUInt16(), x64: 0x8664, x86: 0x14C, arm64: 0xAA64, arm: 0x1C4) : null;
                }
                return null;
            }
        }

        /// <summary>The end of the last segment or section that the headers tell of.</summary>
        private static long LeastLength(string path)
        {
            using (var file = Open(path))
            {
                if (file.ReadUInt32() != Elf)
                {
                    long header = UInt32At(file, 0x3C);
                    // The table behind the optional header: for each section its size and place in the file.
                    return Last(UInt16At(file, header + 6), header + 24 + UInt16At(file, header + 20), 40, at => (long)UInt32At(file, at + 20) + UInt32At(file, at + 16));
                }
                bool wide = UInt32At(file, 4) % 256 == 2;
                long Word(long at) => wide ? (long)UInt64At(file, at) : UInt32At(file, at);
                int counts = wide ? 54 : 42;
                // The table of sections is the last thing in the file.
                long sections = Word(wide ? 40 : 32) + UInt16At(file, counts + 4) * UInt16At(file, counts + 6);
                return Math.Max(sections, Last(
                    UInt16At(file, counts + 2), Word(wide ? 32 : 28), UInt16At(file, counts), at => Word(at + (wide ? 8 : 4)) + Word(at + (wide ? 32 : 16))));
            }
        }

        private static long Last(int count, long table, int size, Func<long, long> end)
        {
            long last = 0;
            for (int i = 0; i < count; i++)
            {
                last = Math.Max(last, end(table + i * (long)size));
            }
            return last;
        }

        private static BinaryReader Open(string path) =>
            new BinaryReader(new FileStream(path, FileMode.Open, FileAccess.Read, FileShare.ReadWrite | FileShare.Delete));

        private static ushort UInt16At(BinaryReader file, long at)
        {
            file.BaseStream.Position = at;
            return file.ReadUInt16();
        }

        private static uint UInt32At(BinaryReader file, long at)
        {
            file.BaseStream.Position = at;
            return file.ReadUInt32();
        }

        private static ulong UInt64At(BinaryReader file, long at)
        {
            file.BaseStream.Position = at;
            return file.ReadUInt64();
        }

        private static string? Name(ushort machine, ushort x64, ushort x86, ushort arm64, ushort arm) =>
            machine == x64 ? "x64" : machine == x86 ? "x86" : machine == arm64 ? "arm64" : machine == arm ? "arm" : null;
    }
}
