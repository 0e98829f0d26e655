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
                string url = "/odataservice/odata/table/customer?$select=customer_id,customer_name";
                while (url != null)
                {
                    // The next page's address is absolute, the first one's is not.
                    string page = await ReadJsonAsync(client, P21Auth.Default.Url(url));
                    customers += Regex.Matches(page, "\"customer_id\"").Count;
                    var next = Regex.Match(page, "\"@odata.nextLink\":\"([^\"]+)\"");
                    url = next.Success ? next.Groups[1].Value : null;
                }
                Console.WriteLine(customers + " customers");
            }
            return 0;
        }
        // Everything that a server, a network or the settings can do to this program. The message says what to do about it, in P21's terms.
        catch (Exception error) when (error is IP21Error || error is HttpRequestException || error is OperationCanceledException)
        {
            Console.Error.WriteLine(error.Message);
            return 1;
        }
    }

    private static async Task<string> ReadJsonAsync(HttpClient client, string url)
    {
        using (var response = await client.GetAsync(url))
        {
            response.EnsureSuccessStatusCode();
            // An IIS that restarts, and a proxy, answer with a page of theirs and status 200.
            string type = response.Content.Headers.ContentType?.MediaType;
            return type == "application/json"
                ? await response.Content.ReadAsStringAsync()
                : throw new HttpRequestException(url + " returned " + (type ?? "nothing") + " instead of JSON");
        }
    }
}
