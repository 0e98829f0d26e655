using System;
using LibP21Auth;
using NUnit.Framework;

namespace LibP21Auth.Tests
{
    /// <summary>The examination from inside the process.</summary>
    [TestFixture]
    public class DoctorTests
    {
        [Test]
        public void ItUsesTheTokenOfThisProcess()
        {
            using (var p21 = new Emulator())
            using (var manager = p21.Open())
            {
                string token = manager.GetToken();
                string report = P21Auth.Doctor(p21.Options(), useToken: true);
                Assert.That(report, Does.Contain("\"ok\":true").And.Contain("\"id\":\"odata\"").And.Not.Contain(token));
                Assert.That(p21.TokenRequests, Is.EqualTo(1));
            }
        }

        [Test]
        public void ItRequestsNoTokenUnlessItMay()
        {
            using (var p21 = new Emulator())
            {
                Assert.That(P21Auth.Doctor(p21.Options()), Does.Contain("\"token_requests\":0").And.Contain("\"skipped\""));
                Assert.That(p21.TokenRequests, Is.EqualTo(0));
            }
        }

        [Test]
        public void ItsWaitIsThatOfEveryOtherCall()
        {
            using (var p21 = new Emulator())
            {
                Assert.Throws<P21ConfigException>(() => P21Auth.Doctor(p21.Options(), wait: TimeSpan.FromMinutes(-1)));
                Assert.That(P21Auth.Doctor(p21.Options(), true, System.Threading.Timeout.InfiniteTimeSpan), Does.Contain("\"ok\":true"));
            }
        }

        [Test]
        public void WhatDoesNotWorkIsAStepOfTheReport()
        {
            string report = P21Auth.Doctor(new P21Options { BaseUrl = "http://127.0.0.1:9", Username = "u", Password = "p" }, wait: TimeSpan.FromSeconds(20));
            Assert.That(report, Does.Contain("\"ok\":false").And.Contain("P21_E_CONNECT"));
            Assert.That(P21Auth.Doctor(new P21Options()), Does.Contain("P21_E_CONFIG"));
        }
    }
}
