using System;
using System.Runtime.InteropServices;
using System.Text;

namespace LibP21Auth.Interop
{
    /// <summary>Text over the border: NUL-terminated UTF-8 both ways.</summary>
    internal static class Utf8
    {
        private static readonly UTF8Encoding Strict = new UTF8Encoding(false, true);

        /// <summary>Bytes for the library. A NUL inside would cut the text short without a word, so it is refused.</summary>
        internal static byte[] Bytes(string text, string name)
        {
            if (text.IndexOf('\0') >= 0)
            {
                throw P21Failure.Config(name + " contains a NUL character", "Remove the character with the code 0 from the text.");
            }
            try
            {
                var bytes = new byte[Strict.GetByteCount(text) + 1];
                Strict.GetBytes(text, 0, text.Length, bytes, 0);
                return bytes;
            }
            catch (EncoderFallbackException)
            {
                throw P21Failure.Config(name + " holds half of a surrogate pair", "The text is not valid Unicode.");
            }
        }

        internal static string? Read(IntPtr text)
        {
            if (text == IntPtr.Zero)
            {
                return null;
            }
            unsafe
            {
                var start = (byte*)text;
                int length = 0;
                while (start[length] != 0)
                {
                    length++;
                }
                return Encoding.UTF8.GetString(start, length);
            }
        }
    }
}
