using System;
using System.Collections.Generic;
using System.Linq;
using System.Net;
using System.Net.Http;
using System.Threading;
using System.Threading.Tasks;
using LibP21Auth;
using NUnit.Framework;

namespace LibP21Auth.Tests
{
    /// <summary>Sources other than a manager: fakes, snapshots, and what a container makes of them.</summary>
    [TestFixture]
    public class SourceTests
    {
        /// <summary>The least that a fake needs.</summary>
        private sealed class Fake : P21TokenSource
        {
            private readonly Func<P21AccessToken> token;

            internal Fake(Func<P21AccessToken> token) { this.token = token; }

            internal P21Verdict Verdict { get; set; } = P21Verdict.GiveUp;

            internal int Reports { get; private set; }

            public override Uri BaseAddress { get { return new Uri("https://p21.example.com/prefix/"); } }

            public override Task<P21AccessToken> GetAccessTokenAsync(CancellationToken cancellationToken = default)
            {
                try
                {
                    return Task.FromResult(token());
                }
                catch (Exception error)
                {
                    return Task.FromException<P21AccessToken>(error);
                }
            }

            public override Task<P21Verdict> ReportAsync(HttpResponseMessage response, CancellationToken cancellationToken = default)
            {
                Reports++;
                return Task.FromResult(Verdict);
            }
        }

        private sealed class Server : HttpMessageHandler
        {
            internal readonly List<string> Tokens = new List<string>();

            internal HttpStatusCode Status { get; set; } = HttpStatusCode.OK;

            protected override Task<HttpResponseMessage> SendAsync(HttpRequestMessage request, CancellationToken cancellationToken)
            {
                Tokens.Add(request.Headers.Authorization.ToString());
                return Task.FromResult(new HttpResponseMessage(Status) { RequestMessage = request, Content = new StringContent("fine") });
            }
        }

        private static HttpClient Client(P21TokenSource source, Server server)
        {
            return new HttpClient(new P21AuthHandler(source) { InnerHandler = server }) { BaseAddress = source.BaseAddress };
        }

        [Test]
        public async Task AFakeIsEnoughForTheHandler()
        {
            int calls = 0;
            var server = new Server();
            var fake = new Fake(() => P21ModelFactory.AccessToken("token-" + ++calls));
            using (var client = Client(fake, server))
            {
                Assert.That(await client.GetStringAsync("x"), Is.EqualTo("fine"));
                Assert.That(server.Tokens, Is.EqualTo(new[] { "Bearer token-1" }));
                foreach (var elsewhere in new[] { "https://elsewhere.example/x", "http://p21.example.com/x", "https://p21.example.com:444/x" })
                {
                    Assert.ThrowsAsync<P21ConfigException>(() => client.GetStringAsync(elsewhere));
                }
                server.Status = HttpStatusCode.Unauthorized;
                fake.Verdict = P21Verdict.Retry;
                var response = await client.GetAsync("x");
                Assert.That(response.StatusCode, Is.EqualTo(HttpStatusCode.Unauthorized));
                Assert.That(server.Tokens.Skip(1), Is.EqualTo(new[] { "Bearer token-2", "Bearer token-3" }));
                Assert.That(fake.Reports, Is.EqualTo(2));
            }
        }

        [Test]
        public async Task AFakesOtherMembersHaveDefaults()
        {
            var expiry = DateTimeOffset.UtcNow.AddHours(1);
            var fake = new Fake(() => P21ModelFactory.AccessToken("abc", expiry));
            Assert.That(fake.GetAccessToken().Value, Is.EqualTo("abc"));
            var snapshot = await fake.SnapshotAsync();
            Assert.That(snapshot.AccessToken, Is.EqualTo("abc"));
            Assert.That(snapshot.ExpiresAt, Is.EqualTo(expiry));
            Assert.That(snapshot.ExpiresIn.TotalMinutes, Is.InRange(59, 60));
            Assert.That(snapshot.ToResponse().AccessToken, Is.EqualTo("abc"));
            Assert.ThrowsAsync<NotSupportedException>(() => fake.GetUiServerUrlAsync());
            fake.Invalidate();
            var pinned = snapshot.AsTokenSource();
            Assert.That(pinned.BaseAddress, Is.EqualTo(fake.BaseAddress));
            Assert.That((await pinned.SnapshotAsync()), Is.SameAs(snapshot));
            Assert.That(pinned.MaySendTo(new Uri("https://p21.example.com/x")), Is.True);
            Assert.That(pinned.MaySendTo(new Uri("https://elsewhere.example/x")), Is.False);
        }

        /// <summary>What a service of a user's does, as the page on testing shows it.</summary>
        private static async Task<string> AlertOf(HttpClient client)
        {
            try
            {
                await client.GetStringAsync("x");
                return null;
            }
            catch (Exception error) when (error is IP21Error failure && failure.Code == P21ErrorCode.Unauthorized)
            {
                return error.Message;
            }
        }

        [Test]
        public async Task AServiceThatAlertsOnABadPasswordIsTestedWithoutAServer()
        {
            var refused = P21ModelFactory.Error(P21ErrorCode.Unauthorized, "the server refused user demo", "Ask anyone who changed the password.", 401, TimeSpan.FromMinutes(1));
            using (var client = Client(new Fake(() => { throw refused; }), new Server()))
            {
                Assert.That(await AlertOf(client), Is.EqualTo("P21_E_UNAUTHORIZED: the server refused user demo Hint: Ask anyone who changed the password."));
            }
            using (var client = Client(new Fake(() => P21ModelFactory.AccessToken("abc")), new Server()))
            {
                Assert.That(await AlertOf(client), Is.Null);
            }
        }

        [Test]
        public void TheFactoryMakesEveryFamily()
        {
            foreach (P21ErrorCode code in Enum.GetValues(typeof(P21ErrorCode)))
            {
                var error = P21ModelFactory.Error(code, "a message", "a hint", 503, TimeSpan.FromSeconds(3), true);
                var failure = (IP21Error)error;
                Assert.That(failure.Code, Is.EqualTo(code));
                Assert.That(error.Message, Does.Contain(failure.CodeName + ": a message Hint: a hint"));
                Assert.That(new object[] { failure.HttpStatus, failure.RetryAfter, failure.IsRetryable }, Is.EqualTo(new object[] { 503, TimeSpan.FromSeconds(3), true }));
            }
            Assert.That(P21ModelFactory.Error(P21ErrorCode.Timeout), Is.InstanceOf<P21TimeoutException>());
            Assert.That(P21ModelFactory.Error(P21ErrorCode.NoAccessToken), Is.InstanceOf<P21ParseException>());
            var reply = P21ModelFactory.TokenResponse("abc", 60, new Dictionary<string, object> { { "Scope", "/api" } });
            Assert.That(reply["ExpiresInSeconds"].Value<int>(), Is.EqualTo(60));
            Assert.That(reply.Scope, Is.EqualTo("/api"));
            Assert.That(reply["UserName"].IsNull, Is.True);
        }

        [Test]
        public void NothingElseConstructsAHandler()
        {
            Assert.That(
                typeof(P21AuthHandler).GetConstructors().Select(c => string.Join(",", c.GetParameters().Select(p => p.ParameterType.Name))),
                Is.EqualTo(new[] { "P21TokenSource" }));
        }

#if NET
        /// <summary>A container that knows what it is told.</summary>
        private sealed class Container : IServiceProvider, Microsoft.Extensions.DependencyInjection.IServiceProviderIsService
        {
            private readonly Dictionary<Type, object> services;

            internal Container(params (Type Type, object Service)[] services) =>
                this.services = services.ToDictionary(s => s.Type, s => s.Service);

            // As the real ones: a list of anything is always to be had, if need be an empty one.
            public object GetService(Type type) =>
                services.TryGetValue(type, out var service) ? service
                : type == typeof(Microsoft.Extensions.DependencyInjection.IServiceProviderIsService) ? this
                : type.IsGenericType && type.GetGenericTypeDefinition() == typeof(IEnumerable<>) ? Array.CreateInstance(type.GetGenericArguments()[0], 0)
                : null;

            public bool IsService(Type type) => GetService(type) != null;
        }

        [Test]
        public async Task AContainersHandlerSendsTheToken()
        {
            using var p21 = new Emulator();
            using var manager = p21.Open();
            foreach (var container in new[]
            {
                new Container((typeof(P21TokenSource), manager)),
                new Container((typeof(P21TokenSource), manager), (typeof(TokenManager), manager), (typeof(HttpMessageHandler), new HttpClientHandler())),
            })
            {
                foreach (var handler in new[]
                {
                    Microsoft.Extensions.DependencyInjection.ActivatorUtilities.CreateInstance<P21AuthHandler>(container),
                    (P21AuthHandler)Microsoft.Extensions.DependencyInjection.ActivatorUtilities.CreateFactory(typeof(P21AuthHandler), Type.EmptyTypes)(container, null),
                })
                {
                    handler.InnerHandler = P21Auth.CreateHttpHandler(manager);
                    using var client = new HttpClient(handler) { BaseAddress = manager.BaseAddress };
                    (await client.GetAsync("odataservice/odata/table/customer")).EnsureSuccessStatusCode();
                }
            }
            Assert.That(p21.TokenRequests, Is.EqualTo(1));
        }
#endif
    }
}
