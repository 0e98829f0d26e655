using System;
using System.Runtime.CompilerServices;
using System.Threading;

namespace LibP21Auth.Interop
{
    /// <summary>One client of the library: its handle, its generation word, and a method for each call, which throws on failure.</summary>
    /// <remarks>Safe for use by any number of threads. <see cref="Dispose"/> wakes those that wait with <see cref="P21ClosedException"/>.</remarks>
    internal sealed unsafe class NativeClient : IDisposable
    {
        private readonly ClientHandle handle;
        private readonly long* word;
        private volatile uint timeoutMs;

        internal NativeClient(P21Options options)
        {
            using (var config = options.ToConfig())
            {
                handle = Open(config, options);
            }
            word = WordOf(handle);
            timeoutMs = TimeoutOf(options);
        }

        [MethodImpl(MethodImplOptions.NoInlining)]
        private static ClientHandle Open(ConfigHandle config, P21Options options)
        {
            int status = NativeMethods.p21_client_new(config, out var handle, out var error);
            P21Log.Drain();
            using (error)
            {
                if (status != 0)
                {
                    throw options.InTheirWords(P21Failure.Read(status, error)).ToException();
                }
            }
            return handle;
        }

        [MethodImpl(MethodImplOptions.NoInlining)]
        private static long* WordOf(ClientHandle handle)
        {
            P21Failure.Check(NativeMethods.p21_client_generation(handle.Key, out var word, out var error), error);
            return (long*)word;
        }

        /// <summary>Changes whenever the token that a caller would get may have changed; its address stays valid for the life of the process.</summary>
        internal long Generation => Volatile.Read(ref *word);

        public void Dispose() => handle.Dispose();

        internal void Update(P21Options options)
        {
            using (var config = options.ToConfig())
            {
                int status = NativeMethods.p21_client_update(handle.Key, config, out var error);
                Done(status, error);
            }
            timeoutMs = TimeoutOf(options);
        }

        /// <summary>The longest a call may wait.</summary>
        internal uint TimeoutMs => timeoutMs;

        /// <summary>30 s unless the options say otherwise.</summary>
        private static uint TimeoutOf(P21Options options) => (uint)(options.Timeout ?? TimeSpan.FromSeconds(30)).TotalMilliseconds;

        /// <summary>A token with as much life as is asked for, or <see langword="null"/> if there is none yet; starts the fetch.</summary>
        internal Issued? TryToken(TokenFlags flags, uint minValidS, bool withResponse)
        {
            try
            {
                // A forced refresh cannot be asked for without a wait.
                var issued = flags == TokenFlags.None ? Token(TokenFlags.NoWait, 0, minValidS, withResponse) : Token(flags, 1, minValidS, withResponse);
                return issued != null && (issued.IsReusable || issued.SecondsLeft >= minValidS) ? issued : null;
            }
            catch (P21TimeoutException error) when (error.RetryAfter == TimeSpan.Zero)
            {
                // This call's wait is over; the request goes on.
                return null;
            }
        }

        /// <summary>A token, or <see langword="null"/> where it may not wait and would have to.</summary>
        internal Issued? Token(TokenFlags flags, uint waitMs, uint minValidS, bool withResponse)
        {
            // Before the call, so that a change during it is seen at the next one.
            long generation = Generation;
            int status;
            TokenHandle token;
            ErrorHandle error;
            var patience = new Patience(waitMs == 0 ? timeoutMs : waitMs);
            do
            {
                status = NativeMethods.p21_token_snapshot(handle.Key, (uint)flags, patience.Slice, minValidS, out token, out error);
            }
            while (patience.GoesOn(status, error));
            using (token)
            {
                if (status == (int)P21ErrorCode.Pending)
                {
                    error.Dispose();
                    return null;
                }
                Done(status, error);
                return new Issued(word, generation, token, withResponse);
            }
        }

        internal P21Verdict Report(string token, int httpStatus, byte[] body, int length)
        {
            int status = NativeMethods.p21_token_report(
                handle.Key, Utf8.Bytes(token, "the token"), httpStatus, body, (UIntPtr)(uint)length, out int verdict, out var error);
            Done(status, error);
            return (P21Verdict)verdict;
        }

        internal void Invalidate(string? token)
        {
            var text = token == null ? null : Utf8.Bytes(token, "the token");
            int status = NativeMethods.p21_token_invalidate(handle.Key, text, out var error);
            Done(status, error);
        }

        /// <summary>The UI server's URL, or <see langword="null"/> where it may not wait and would have to.</summary>
        internal string? UiUrl(TokenFlags flags, uint waitMs = 0)
        {
            int status;
            NativeString url;
            ErrorHandle error;
            var patience = new Patience(waitMs == 0 ? timeoutMs : waitMs);
            do
            {
                status = NativeMethods.p21_ui_url(handle.Key, (uint)flags, patience.Slice, out url, out error);
            }
            while (patience.GoesOn(status, error));
            using (url)
            {
                if (status == (int)P21ErrorCode.Pending)
                {
                    error.Dispose();
                    return null;
                }
                Done(status, error);
                return url.Take();
            }
        }

        internal string Stats()
        {
            int status = NativeMethods.p21_client_stats(handle.Key, out var json, out var error);
            using (json)
            {
                Done(status, error);
                return json.Take()!;
            }
        }

        private void Done(int status, ErrorHandle? error)
        {
            // The handle's finalizer must not close the client under a call.
            GC.KeepAlive(this);
            P21Log.Drain();
            if (status == (int)P21ErrorCode.InvalidHandle && handle.IsClosed)
            {
                error?.Dispose();
                throw new P21ClosedException(new P21Failure
                {
                    Code = P21ErrorCode.Closed,
                    Message = "this client is closed",
                    Hint = "Open a new one.",
                });
            }
            P21Failure.Check(status, error);
        }
    }
}
