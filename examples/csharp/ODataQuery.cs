// Reads all customers from P21's OData service, page by page.
//
//   export P21_BASE_URL=https://p21.example.com P21_USERNAME=api.user P21_PASSWORD=…     (or P21_CONSUMER_KEY=…)
using System;
using System.Net.Http;
using System.Text.RegularExpressions;
using System.Threading.Tasks;
using LibP21Auth;

public static class ODataQuery
{
    public static async Task<int> Main()
    {
        try
        {
            // One client for the whole program. The token goes with each request and is renewed before it expires.
            using (var client = P21Auth.CreateAuthorizedClient(P21Auth.Default))
            {
                int customers = 0;
                string url = P21Auth.Default.Url("/odataservice/odata/table/customer?$select=customer_id,customer_name");
                while (url != null)
                {
                    var response = await client.GetAsync(url);
                    response.EnsureSuccessStatusCode();
                    string page = await response.Content.ReadAsStringAsync();
                    customers += Regex.Matches(page, "\"customer_id\"").Count;
                    var next = Regex.Match(page, "\"@odata.nextLink\":\"([^\"]+)\"");
                    url = next.Success ? next.Groups[1].Value : null;
                }
                Console.WriteLine(customers + " customers");
            }
            return 0;
        }
        // What went wrong and what to do about it, in P21's terms.
        catch (HttpRequestException error)
        {
            Console.Error.WriteLine(error.Message);
            return 1;
        }
        catch (P21ConfigException error)
        {
            Console.Error.WriteLine(error.Message);
            return 2;
        }
    }
}
