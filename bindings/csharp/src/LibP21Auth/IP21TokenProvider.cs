using System.Net.Http;
using System.Threading;
using System.Threading.Tasks;

namespace LibP21Auth
{
    /// <summary>What code that uses tokens needs of a <see cref="TokenManager"/>: depend on this and put something else in its place in tests.</summary>
    public interface IP21TokenProvider
    {
        /// <inheritdoc cref="TokenManager.GetToken()"/>
        string GetToken();

        /// <inheritdoc cref="TokenManager.GetTokenAsync(CancellationToken)"/>
        Task<string> GetTokenAsync(CancellationToken cancellationToken = default);

        /// <inheritdoc cref="TokenManager.GetUiServerUrlAsync(CancellationToken)"/>
        Task<string> GetUiServerUrlAsync(CancellationToken cancellationToken = default);

        /// <inheritdoc cref="TokenManager.ReportAsync(HttpResponseMessage, CancellationToken)"/>
        Task<P21Verdict> ReportAsync(HttpResponseMessage response, CancellationToken cancellationToken = default);

        /// <inheritdoc cref="TokenManager.Invalidate(string)"/>
        void Invalidate(string? token = null);
    }
}
