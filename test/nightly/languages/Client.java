import java.io.IOException;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse.BodyHandlers;
import java.time.Duration;

/** A client in Java (HttpClient): Client MODE PORT */
public class Client {
    private static HttpRequest ask(String port, String text, boolean stream) {
        String body = "{\"model\":\"m\",\"stream\":" + stream + ",\"messages\":[{\"role\":\"user\",\"content\":\"" + text + "\"}]}";
        return HttpRequest.newBuilder(URI.create("http://127.0.0.1:" + port + "/v1/chat/completions"))
            .timeout(Duration.ofSeconds(20))
            .header("Content-Type", "application/json")
            .POST(HttpRequest.BodyPublishers.ofString(body))
            .build();
    }

    public static void main(String[] args) throws Exception {
        String mode = args[0];
        String port = args[1];
        HttpClient client = HttpClient.newHttpClient();
        if (mode.equals("chat") || mode.equals("large")) {
            for (int nth = 0; nth < (mode.equals("chat") ? 3 : 1); nth += 1) {
                String text = mode.equals("chat") ? "chat " + nth : "large " + "x".repeat(3_000_000);
                System.out.println(client.send(ask(port, text, false), BodyHandlers.ofString()).body());
            }
            return;
        }
        byte[] piece = new byte[4096];
        try (var body = client.send(ask(port, mode, true), BodyHandlers.ofInputStream()).body()) {
            for (int size = body.read(piece); size >= 0; size = body.read(piece)) {
                System.out.write(piece, 0, size);
                System.out.flush();
                if (mode.equals("abort")) Runtime.getRuntime().halt(0);
            }
            System.out.println("ENDED");
        } catch (IOException error) {
            System.out.println("BROKEN " + error);
        }
    }
}
