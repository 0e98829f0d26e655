using System.Net.Http;
using System.Threading.Tasks;

namespace LibP21Auth.Interop
{
    /// <summary>Which request bodies can be sent twice.</summary>
    internal static class Replay
    {
        internal const long DefaultLimit = 1024 * 1024;

        /// <summary>Whether the body can be sent twice; one that is known to be short is put into memory for that.</summary>
        internal static async Task<bool> PrepareAsync(HttpContent? content, long limit)
        {
            if (content == null || await IsRepeatableAsync(content).ConfigureAwait(false))
            {
                return true;
            }
            if (!(content.Headers.ContentLength <= limit))
            {
                return false;
            }
            await content.LoadIntoBufferAsync().ConfigureAwait(false);
            return true;
        }

        /// <summary>Whether the content can be read again as it is, however long it may be.</summary>
        private static async Task<bool> IsRepeatableAsync(HttpContent content)
        {
            switch (content)
            {
                // Texts and forms are of this kind too.
                case ByteArrayContent:
                    return true;
                case MultipartContent parts:
                    foreach (var part in parts)
                    {
                        if (!await IsRepeatableAsync(part).ConfigureAwait(false))
                        {
                            return false;
                        }
                    }
                    return true;
                case StreamContent:
                    // It goes back to where it began by itself.
                    return (await content.ReadAsStreamAsync().ConfigureAwait(false)).CanSeek;
                default:
                    // One writes an object out each time, the other lies in memory; neither is there on .NET Framework.
                    return content.GetType().FullName is "System.Net.Http.Json.JsonContent" or "System.Net.Http.ReadOnlyMemoryContent";
            }
        }
    }
}
