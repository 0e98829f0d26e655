using System;
using System.IO;
using System.Net.Http;
using System.Threading;
using System.Threading.Tasks;

namespace LibP21Auth.Interop
{
    /// <summary>Looks at the beginning of a response's body and leaves the body whole for the next reader.</summary>
    internal static class ResponseBody
    {
        /// <summary>More than any rejection that P21 or a proxy is known to send; the verdict needs no more.</summary>
        private const int Limit = 64 * 1024;

        internal static async Task<byte[]> PeekAsync(HttpResponseMessage response, CancellationToken cancel)
        {
            var content = response.Content;
            if (content == null)
            {
                return Array.Empty<byte>();
            }
            var stream = await content.ReadAsStreamAsync().ConfigureAwait(false);
            var head = new byte[Limit];
            int length = 0;
            long start = stream.CanSeek ? stream.Position : 0;
            while (length < head.Length)
            {
                int read = await stream.ReadAsync(head, length, head.Length - length, cancel).ConfigureAwait(false);
                if (read == 0)
                {
                    break;
                }
                length += read;
            }
            Array.Resize(ref head, length);
            if (stream.CanSeek)
            {
                // Buffered by HttpClient already.
                stream.Position = start;
            }
            else
            {
                Replace(response, new StreamContent(new Rejoined(head, stream)));
            }
            return head;
        }

        private static void Replace(HttpResponseMessage response, HttpContent content)
        {
            foreach (var header in response.Content!.Headers)
            {
                content.Headers.TryAddWithoutValidation(header.Key, header.Value);
            }
            response.Content = content;
        }

        /// <summary>What was read already, then the rest.</summary>
        private sealed class Rejoined : Stream
        {
            private readonly byte[] head;
            private readonly Stream rest;
            private int at;

            internal Rejoined(byte[] head, Stream rest)
            {
                this.head = head;
                this.rest = rest;
            }

            public override bool CanRead => true;

            public override bool CanSeek => false;

            public override bool CanWrite => false;

            public override long Length => throw new NotSupportedException();

            public override long Position
            {
                get => throw new NotSupportedException();
                set => throw new NotSupportedException();
            }

            public override int Read(byte[] buffer, int offset, int count)
            {
                int taken = TakeHead(buffer, offset, count);
                return taken > 0 || count == 0 ? taken : rest.Read(buffer, offset, count);
            }

            public override Task<int> ReadAsync(byte[] buffer, int offset, int count, CancellationToken cancellationToken)
            {
                int taken = TakeHead(buffer, offset, count);
                return taken > 0 || count == 0 ? Task.FromResult(taken) : rest.ReadAsync(buffer, offset, count, cancellationToken);
            }

            private int TakeHead(byte[] buffer, int offset, int count)
            {
                int taken = Math.Min(count, head.Length - at);
                Buffer.BlockCopy(head, at, buffer, offset, taken);
                at += taken;
                return taken;
            }

            public override void Flush()
            {
            }

            public override long Seek(long offset, SeekOrigin origin) => throw new NotSupportedException();

            public override void SetLength(long value) => throw new NotSupportedException();

            public override void Write(byte[] buffer, int offset, int count) => throw new NotSupportedException();

            protected override void Dispose(bool disposing)
            {
                if (disposing)
                {
                    rest.Dispose();
                }
                base.Dispose(disposing);
            }
        }
    }
}
