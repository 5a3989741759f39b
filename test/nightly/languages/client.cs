// A client in C# (HttpClient): client.exe MODE PORT
using System;
using System.IO;
using System.Net.Http;
using System.Text;
using System.Threading.Tasks;

static class Client
{
    static readonly HttpClient http = new HttpClient();

    static HttpRequestMessage Ask(string port, string text, bool stream)
    {
        var body = "{\"model\":\"m\",\"stream\":" + (stream ? "true" : "false") + ",\"messages\":[{\"role\":\"user\",\"content\":\"" + text + "\"}]}";
        return new HttpRequestMessage(HttpMethod.Post, "http://127.0.0.1:" + port + "/v1/chat/completions")
        {
            Content = new StringContent(body, Encoding.UTF8, "application/json")
        };
    }

    static async Task<int> Run(string mode, string port)
    {
        http.Timeout = TimeSpan.FromSeconds(20);
        if (mode == "chat" || mode == "large")
        {
            for (var nth = 0; nth < (mode == "chat" ? 3 : 1); nth++)
            {
                var text = mode == "chat" ? "chat " + nth : "large " + new string('x', 3000000);
                var answer = await http.SendAsync(Ask(port, text, false));
                Console.WriteLine(await answer.Content.ReadAsStringAsync());
            }
            return 0;
        }
        try
        {
            var answer = await http.SendAsync(Ask(port, mode, true), HttpCompletionOption.ResponseHeadersRead);
            using (var reader = new StreamReader(await answer.Content.ReadAsStreamAsync()))
            {
                for (string line; (line = await reader.ReadLineAsync()) != null;)
                {
                    Console.WriteLine(line);
                    if (mode == "abort") return 0;
                }
            }
            Console.WriteLine("ENDED");
        }
        catch (Exception error)
        {
            Console.WriteLine("BROKEN " + error.GetType().Name);
        }
        return 0;
    }

    static int Main(string[] args)
    {
        return Run(args[0], args[1]).GetAwaiter().GetResult();
    }
}
