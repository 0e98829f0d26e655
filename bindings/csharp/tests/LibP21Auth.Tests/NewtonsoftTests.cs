using System.Net.Http;
using System.Threading.Tasks;
using LibP21Auth.Newtonsoft;
using NUnit.Framework;
using Newtonsoft.Json.Linq;

namespace UserCode
{
    /// <summary>Code that declares <c>JObject</c>, with the one <c>using</c> of the variant.</summary>
    [TestFixture]
    public class NewtonsoftTests
    {
        private sealed class OldManager
        {
            private readonly string baseUrl;
            private JObject tokenData;

            internal OldManager(string baseUrl) { this.baseUrl = baseUrl; }

            internal async Task<string> GetTokenAsync()
            {
                var expires = tokenData?["ExpiresInSeconds"]?.Value<int>() ?? 0;
                if (tokenData == null || expires < 300)
                {
                    tokenData = await P21Auth.GetTokenV2Async(baseUrl, "demo", "demo-password");
                }
                return tokenData["AccessToken"].ToString();
            }
        }

        [Test]
        public async Task CodeWithJObjectWorks()
        {
            using (var p21 = new LibP21Auth.Tests.Emulator())
            {
                string token = await new OldManager(p21.BaseUrl).GetTokenAsync();
                JObject again = await P21Auth.GetTokenV2Async(p21.BaseUrl, "demo", "demo-password");
                Assert.That(again["AccessToken"].ToString(), Is.EqualTo(token));
                Assert.That(again["Claims"]["iss"].ToString(), Is.EqualTo("P21.Soa"));
                Assert.That(again.Value<int>("ExpiresIn"), Is.GreaterThan(86000));
                JObject key = await P21Auth.GetConsumerTokenAsync(p21.BaseUrl, LibP21Auth.Tests.Emulator.Key);
                Assert.That(key["AppKey"].Type, Is.EqualTo(JTokenType.Null));
                var manager = new TokenManager(p21.BaseUrl, "demo", "demo-password");
                Assert.That(await manager.GetTokenAsync(), Is.EqualTo(token));
                using (HttpClient client = P21Auth.CreateAuthorizedClient(token))
                {
                    (await client.GetAsync(p21.BaseUrl + "/odataservice/odata/table/customer")).EnsureSuccessStatusCode();
                }
                Assert.That(await P21Auth.GetUiServerUrlAsync(p21.BaseUrl, token), Does.EndWith("/uiserver0"));
                JObject parsed = P21Auth.ParseTokenResponse(new HttpResponseMessage { Content = new StringContent("{\"access_token\":\"t\"}") });
                Assert.That(parsed["AccessToken"].ToString(), Is.EqualTo("t"));
            }
        }
    }
}
