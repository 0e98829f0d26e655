using System;
using System.Security.Cryptography;
using System.Text;

namespace LibP21Auth.Interop
{
    /// <summary>What a token is called where it must not be shown.</summary>
    internal static class Fingerprint
    {
        /// <summary>The first 8 hex digits of the token's SHA-256, as in the library's log.</summary>
        internal static string Of(string token)
        {
            using (var sha = SHA256.Create())
            {
                var hash = sha.ComputeHash(Encoding.UTF8.GetBytes(token));
                return "#" + BitConverter.ToString(hash, 0, 4).Replace("-", "").ToLowerInvariant();
            }
        }
    }
}
