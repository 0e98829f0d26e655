using System.Linq;
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

        [Test]
        public async Task NothingElseNeedsToBeImported()
        {
            using (var p21 = new LibP21Auth.Tests.Emulator())
            using (var http = new HttpClient())
            {
                var options = new P21Options { MinRefreshInterval = System.TimeSpan.Zero };
                JObject first = await P21Auth.GetTokenV2Async(http, p21.BaseUrl, "demo", "demo-password", options);
                p21.Revoke();
                using (var client = P21Auth.CreateAuthorizedClient((string)first["AccessToken"]))
                using (var response = await client.GetAsync(p21.BaseUrl + "/odataservice/odata/table/customer"))
                {
                    var verdict = await P21Auth.ReportAsync(first, response);
                    Assert.That(verdict, Is.EqualTo(LibP21Auth.P21Verdict.Retry));
                    Assert.That(P21Auth.VerdictHint(verdict), Is.Not.Empty);
                }
                JObject second = await P21Auth.GetTokenV2Async(p21.BaseUrl, "demo", "demo-password", options);
                Assert.That((string)second["AccessToken"], Is.Not.EqualTo((string)first["AccessToken"]));
                using (var manager = new TokenManager(new P21Options(options) { BaseUrl = p21.BaseUrl, ConsumerKey = LibP21Auth.Tests.Emulator.Key }))
                using (var client = P21Auth.CreateAuthorizedClient(manager))
                {
                    (await client.GetAsync("odataservice/odata/table/customer")).EnsureSuccessStatusCode();
                }
                Assert.That(P21Auth.NativeVersion, Is.Not.Empty);
                try
                {
                    await P21Auth.RequestTokenAsync(new P21Options { BaseUrl = p21.BaseUrl, Username = "demo", Password = "wrong" });
                    Assert.Fail("no error");
                }
                catch (System.Exception error) when (error is LibP21Auth.IP21Error)
                {
                    Assert.That(error, Is.InstanceOf<HttpRequestException>());
                }
            }
        }

        /// <summary>Every member of the other class is here, with JObject in the place of TokenResponse.</summary>
        [Test]
        public void ItHasAllThatTheOtherHas()
        {
            System.Func<System.Reflection.MethodInfo, string> shape = method => method.ReturnType.ToString().Replace("LibP21Auth.TokenResponse", typeof(JObject).ToString())
                + " " + method.Name + "(" + string.Join(", ", method.GetParameters().Select(
                    p => (p.ParameterType.ToString().Replace("LibP21Auth.TokenResponse", typeof(JObject).ToString())) + " " + p.Name + (p.IsOptional ? " = " + p.DefaultValue : ""))) + ")";
            const System.Reflection.BindingFlags All = System.Reflection.BindingFlags.Static | System.Reflection.BindingFlags.Public;
            Assert.That(
                typeof(P21Auth).GetMethods(All).Select(shape).Where(s => !s.Contains("ToJObject")),
                Is.EquivalentTo(typeof(LibP21Auth.P21Auth).GetMethods(All).Select(shape)));
            foreach (var pair in new[] { new[] { typeof(TokenManager), typeof(LibP21Auth.TokenManager) }, new[] { typeof(P21Options), typeof(LibP21Auth.P21Options) } })
            {
                Assert.That(pair[0].BaseType, Is.EqualTo(pair[1]));
                Assert.That(pair[0].GetConstructors().Select(c => c.ToString()), Is.EquivalentTo(pair[1].GetConstructors().Select(c => c.ToString())));
            }
        }
    }
}
