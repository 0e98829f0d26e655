using System;
using System.Collections;
using System.Collections.Generic;
using System.Diagnostics;
using System.Linq;
using System.Reflection;
using LibP21Auth;
using NUnit.Framework;

namespace LibP21Auth.Tests
{
    /// <summary>What walks over objects finds no secret: serializers, structured loggers, debuggers.</summary>
    [TestFixture]
    public class StructureTests
    {
        private const string Planted = "planted-secret-3141";

        private static readonly TokenResponse Response = P21Auth.ParseTokenResponse(
            "{\"AccessToken\":\"" + Planted + "\",\"RefreshToken\":\"" + Planted + "\",\"AppKey\":\"" + Planted + "\",\"ExpiresIn\":60}");

        private static P21Options Options()
        {
            return new P21Options
            {
                BaseUrl = "https://p21.example.com", Username = "user", Password = Planted, StoreKey = Planted,
                Proxy = "http://u:" + Planted + "@proxy:3128", Store = "redis://:" + Planted + "@127.0.0.1:1/0",
            };
        }

        public static IEnumerable<TestCaseData> Objects()
        {
            var token = P21ModelFactory.AccessToken(Planted);
            var snapshot = P21ModelFactory.TokenSnapshot(token, new Uri("https://p21.example.com"));
            foreach (var one in new object[]
            {
                Response, token, snapshot, snapshot.ToResponse(), snapshot.AsTokenSource(), Options(),
                new P21Options { ConsumerKey = Planted }, new P21Options { AccessToken = Planted }, (P21Secret)Planted,
                new TokenManager(new P21Options(Options()) { Store = null }),
                new P21AuthHandler(snapshot.AsTokenSource()),
            })
            {
                yield return new TestCaseData(one).SetArgDisplayNames(one.GetType().Name);
            }
        }

        private static void Clean(string text)
        {
            Assert.That(text, Is.Not.Null);
            Assert.That(text, Does.Not.Contain(Planted));
        }

        [TestCaseSource(nameof(Objects))]
        public void TextShowsNoSecret(object one)
        {
            Clean(one.ToString());
            Clean(string.Format("{0}", one));
            Clean("" + one);
            Clean(string.Join(", ", one));
            Clean(string.Join(", ", new[] { one, one }));
            Assert.That(one, Is.Not.InstanceOf<IEnumerable>(), "a logger joins what can be enumerated");
        }

        [TestCaseSource(nameof(Objects))]
        public void NewtonsoftShowsNoSecret(object one)
        {
            Clean(global::Newtonsoft.Json.JsonConvert.SerializeObject(one));
            Clean(global::Newtonsoft.Json.JsonConvert.SerializeObject(new { inside = new[] { one } }));
            Clean(global::Newtonsoft.Json.Linq.JToken.FromObject(one).ToString());
        }

        /// <summary>As a structured logger takes an object to pieces: every public property that can be read.</summary>
        [TestCaseSource(nameof(Objects))]
        public void PropertiesShowNoSecret(object one)
        {
            Walk(one, type => type.GetProperties(BindingFlags.Instance | BindingFlags.Public).Where(p => p.GetIndexParameters().Length == 0), 8);
        }

        /// <summary>As a debugger shows an object: what is displayed for it, and every member that is not kept from view.</summary>
        [TestCaseSource(nameof(Objects))]
        public void DebuggersShowNoSecret(object one)
        {
            Walk(
                one,
                type => Bases(type).SelectMany(t => t.GetMembers(BindingFlags.Instance | BindingFlags.Public | BindingFlags.NonPublic | BindingFlags.DeclaredOnly))
                    .Where(m => m is FieldInfo || (m is PropertyInfo p && p.GetIndexParameters().Length == 0))
                    .Where(m => m.GetCustomAttribute<DebuggerBrowsableAttribute>()?.State != DebuggerBrowsableState.Never)
                    // What a property shows is looked at through the property.
                    .Where(m => !m.IsDefined(typeof(System.Runtime.CompilerServices.CompilerGeneratedAttribute))),
                8);
        }

        private static IEnumerable<Type> Bases(Type type)
        {
            for (; type != null && type != typeof(object); type = type.BaseType)
            {
                yield return type;
            }
        }

        private static void Walk(object value, Func<Type, IEnumerable<MemberInfo>> members, int depth)
        {
            if (value == null || depth == 0)
            {
                return;
            }
            Clean(value.ToString() ?? "");
            if (value is string)
            {
                return;
            }
            if (value is IEnumerable items)
            {
                foreach (var item in items)
                {
                    Walk(item, members, depth - 1);
                }
                return;
            }
            // Of the framework's own objects only what they are made of here.
            bool ours = value.GetType().Assembly == typeof(P21Auth).Assembly;
            foreach (var member in ours ? members(value.GetType()) : Enumerable.Empty<MemberInfo>())
            {
                try
                {
                    Walk(member is FieldInfo field ? field.GetValue(value) : ((PropertyInfo)member).GetValue(value), members, depth - 1);
                }
                catch (Exception error) when (error is TargetInvocationException || error is NotSupportedException)
                {
                    // A property that throws, or a pointer, shows nothing.
                }
            }
        }

        [Test]
        public void AskedForByNameTheyAreThere()
        {
            Assert.That(Response.AccessToken, Is.EqualTo(Planted));
            Assert.That(Response["RefreshToken"].ToString(), Is.EqualTo(Planted));
            Assert.That(Response.ToDictionary()["AppKey"], Is.EqualTo(Planted));
            Assert.That(Options().Password.Reveal(), Is.EqualTo(Planted));
            Assert.That((P21Secret)(string)null, Is.Null);
        }

        [Test]
        public void AFailedConversionQuotesNoSecret()
        {
            foreach (var convert in new Action[]
            {
                () => Response["AccessToken"].Value<int>(), () => Response["AccessToken"].Value<Guid>(), () => Response["AccessToken"].Value<bool>(),
                () => Response["AccessToken"].Value<DateTimeOffset>(), () => Response["AccessToken"].Value<Version>(), () => { var x = (long)Response["AccessToken"]; },
            })
            {
                Clean(Assert.Catch(() => convert()).ToString());
            }
        }

        [Test]
        public void SettingsFilesCanBeBoundToSecrets()
        {
            var converter = System.ComponentModel.TypeDescriptor.GetConverter(typeof(P21Secret));
            Assert.That(((P21Secret)converter.ConvertFromInvariantString("from a file")).Reveal(), Is.EqualTo("from a file"));
            var bound = global::Newtonsoft.Json.JsonConvert.DeserializeObject<P21Options>("{\"Password\":\"from a file\",\"Username\":\"user\"}");
            Assert.That(bound.Password.Reveal(), Is.EqualTo("from a file"));
        }

#if NET
        [Test]
        public void BytesOfDataContractsShowNoSecret()
        {
            // They may refuse, but must not show.
            foreach (var one in new object[] { Response, P21ModelFactory.AccessToken(Planted), (P21Secret)Planted, Options() })
            {
                var bytes = new System.IO.MemoryStream();
                try
                {
                    new System.Runtime.Serialization.DataContractSerializer(one.GetType()).WriteObject(bytes, one);
                }
                catch (System.Runtime.Serialization.SerializationException)
                {
                }
                catch (System.Runtime.Serialization.InvalidDataContractException)
                {
                }
                Clean(System.Text.Encoding.UTF8.GetString(bytes.ToArray()));
            }
        }

        [TestCaseSource(nameof(Objects))]
        public void SystemTextJsonShowsNoSecret(object one)
        {
            foreach (var options in new[] { new System.Text.Json.JsonSerializerOptions(), new System.Text.Json.JsonSerializerOptions { IncludeFields = true } })
            {
                // A manager or handler cannot be written out at all: it refers to itself, or to the framework's insides.
                try
                {
                    Clean(System.Text.Json.JsonSerializer.Serialize(one, options));
                    Clean(System.Text.Json.JsonSerializer.Serialize(new { inside = new[] { one } }, options));
                }
                catch (Exception error) when (one is TokenManager or P21TokenSource or P21AuthHandler)
                {
                    Clean(error.ToString());
                }
            }
        }

        [Test]
        public void SystemTextJsonReadsASecretOfAFile()
        {
            var bound = System.Text.Json.JsonSerializer.Deserialize<P21Options>("{\"Password\":\"from a file\",\"Username\":\"user\"}");
            Assert.That(bound.Password.Reveal(), Is.EqualTo("from a file"));
        }

        [TestCaseSource(nameof(Objects))]
        public void ALoggerShowsNoSecret(object one)
        {
            var logger = new Lines();
            Microsoft.Extensions.Logging.LoggerExtensions.LogInformation(logger, "got {Token}", one);
            Microsoft.Extensions.Logging.LoggerExtensions.LogInformation(logger, "got {Token} and {Again}", one, new[] { one });
            Assert.That(logger.Written, Has.Count.EqualTo(2));
            logger.Written.ForEach(Clean);
        }

        private sealed class Lines : Microsoft.Extensions.Logging.ILogger
        {
            internal readonly List<string> Written = new();

            public IDisposable BeginScope<TState>(TState state) => null;

            public bool IsEnabled(Microsoft.Extensions.Logging.LogLevel level) => true;

            public void Log<TState>(
                Microsoft.Extensions.Logging.LogLevel level, Microsoft.Extensions.Logging.EventId id, TState state, Exception error, Func<TState, Exception, string> format) =>
                Written.Add(format(state, error));
        }
#endif
    }
}
