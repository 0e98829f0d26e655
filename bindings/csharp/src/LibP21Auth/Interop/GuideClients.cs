using System;
using System.Collections.Generic;
using System.Net.Http;
using System.Security.Cryptography;
using System.Text;
using System.Threading;
using System.Threading.Tasks;

namespace LibP21Auth.Interop
{
    /// <summary>The managers behind the functions that the community guide names, which get the credentials anew at each call.</summary>
    /// <remarks>Callers of these functions subtract five minutes themselves, and heal a 401 by calling again without telling anyone. So
    /// their tokens always have more than the refresh margin left, and are at most 15 minutes old.</remarks>
    internal static class GuideClients
    {
        private const int Most = 256;
        private static readonly TimeSpan MaxAge = TimeSpan.FromSeconds(900);
        private static readonly TimeSpan DefaultMargin = TimeSpan.FromSeconds(300);

        // Credentials are not kept here as keys: a keyed hash of them is.
        private static readonly byte[] HashKey = Guid.NewGuid().ToByteArray();
        private static readonly Dictionary<string, LinkedListNode<KeyValuePair<string, TokenManager>>> Known =
            new Dictionary<string, LinkedListNode<KeyValuePair<string, TokenManager>>>();
        private static readonly LinkedList<KeyValuePair<string, TokenManager>> ByUse = new LinkedList<KeyValuePair<string, TokenManager>>();

        internal static Task<TokenResponse> TokenAsync(P21Options options, CancellationToken cancel)
        {
            try
            {
                options.MaxTokenAge ??= MaxAge;
                return Manager(options).GetResponseAsync((uint)(options.RefreshMargin ?? DefaultMargin).TotalSeconds, cancel);
            }
            catch (Exception error)
            {
                // An async function fails by its task.
                return Task.FromException<TokenResponse>(error);
            }
        }

        internal static Task<string> UiUrlAsync(P21Options options, CancellationToken cancel)
        {
            try
            {
                return Manager(options).GetUiServerUrlAsync(cancel);
            }
            catch (Exception error)
            {
                return Task.FromException<string>(error);
            }
        }

        internal static async Task<P21Verdict> ReportAsync(string token, HttpResponseMessage response, CancellationToken cancel)
        {
            var body = await ResponseBody.PeekAsync(response, cancel).ConfigureAwait(false);
            var verdict = P21Verdict.GiveUp;
            foreach (var manager in Managers(token))
            {
                verdict = manager.Report(token, (int)response.StatusCode, body);
            }
            return verdict;
        }

        /// <summary>The one that returned the token last; if none did, all: each drops the token only if it is its current one.</summary>
        private static List<TokenManager> Managers(string token)
        {
            var all = new List<TokenManager>();
            lock (Known)
            {
                foreach (var entry in ByUse)
                {
                    if (entry.Value.Returned(token))
                    {
                        return new List<TokenManager> { entry.Value };
                    }
                    all.Add(entry.Value);
                }
            }
            return all;
        }

        private static TokenManager Manager(P21Options options)
        {
            string key = Key(options);
            lock (Known)
            {
                if (Known.TryGetValue(key, out var node))
                {
                    ByUse.Remove(node);
                    ByUse.AddFirst(node);
                    return node.Value.Value;
                }
            }
            var manager = new TokenManager(options);
            lock (Known)
            {
                if (Known.TryGetValue(key, out var other))
                {
                    manager.Dispose();
                    return other.Value.Value;
                }
                Known[key] = ByUse.AddFirst(new KeyValuePair<string, TokenManager>(key, manager));
                if (ByUse.Count > Most)
                {
                    // Not disposed of, someone may be waiting in it: its handle closes it once no one uses it any more.
                    Known.Remove(ByUse.Last!.Value.Key);
                    ByUse.RemoveLast();
                }
            }
            return manager;
        }

        private static string Key(P21Options options)
        {
            var text = Encoding.Unicode.GetBytes(options.Canonical());
            using (var hash = new HMACSHA256(HashKey))
            {
                string key = Convert.ToBase64String(hash.ComputeHash(text));
                Array.Clear(text, 0, text.Length);
                return key;
            }
        }
    }
}
