#!/usr/bin/env bash
# What LangChain4j makes of calls of tools that are streamed, and of an error in the stream.
#
# dev.langchain4j:langchain4j-open-ai 1.19.0 minds one call at a time: two calls that are opened in one piece, their arguments
# behind, are an error about a name that is not there, and a piece that repeats `id` and `name` has both joined to what they were,
# so a tool is asked for by a name that no tool has. An error event is an error if it is named `error`; without a name, as chat
# completions tell it, the answer is what came before, complete. langchain4j-ollama 1.18.1 joins two calls in two lines into one
# call of the last one's name, unless each has an `index` of its own. com.openai:openai-java 4.105.0 reads all of the first four
# as they are meant.
#
# Seen:
#   chat, opened together: langchain4j error: name cannot be null or blank; openai one({"n":1}) two({"n":2})
#   chat, id and name repeated: langchain4j oneone({"n":1}); openai one({"n":1})
#   chat, an error event: langchain4j complete: "half an "; openai error: 200: out of memory
#   chat, an error event by that name: langchain4j error: {"error":{"message":"out of memory"}}; openai error: 200: out of memory
#   Ollama, two lines: langchain4j two({"n":1}{"n":2})
#   Ollama, two lines, index: langchain4j one({"n":1}) two({"n":2})
#
# Needs Java 17 or newer, and Maven.
set -eu
here=$(mktemp -d)
trap 'rm -rf "$here"' EXIT
cd "$here"
mkdir -p src/main/java
cat > pom.xml <<'XML'
<project xmlns="http://maven.apache.org/POM/4.0.0">
  <modelVersion>4.0.0</modelVersion>
  <groupId>finding</groupId>
  <artifactId>finding</artifactId>
  <version>1</version>
  <properties>
    <maven.compiler.source>17</maven.compiler.source>
    <maven.compiler.target>17</maven.compiler.target>
    <project.build.sourceEncoding>UTF-8</project.build.sourceEncoding>
  </properties>
  <dependencies>
    <dependency><groupId>dev.langchain4j</groupId><artifactId>langchain4j-open-ai</artifactId><version>1.19.0</version></dependency>
    <dependency><groupId>dev.langchain4j</groupId><artifactId>langchain4j-ollama</artifactId><version>1.18.1</version></dependency>
    <dependency><groupId>com.openai</groupId><artifactId>openai-java</artifactId><version>4.105.0</version></dependency>
    <dependency><groupId>org.slf4j</groupId><artifactId>slf4j-nop</artifactId><version>2.0.17</version></dependency>
  </dependencies>
</project>
XML
cat > src/main/java/Main.java <<'JAVA'
import com.openai.client.okhttp.OpenAIOkHttpClient;
import com.openai.helpers.ChatCompletionAccumulator;
import com.openai.models.chat.completions.ChatCompletionCreateParams;
import com.sun.net.httpserver.HttpServer;
import dev.langchain4j.data.message.UserMessage;
import dev.langchain4j.model.chat.StreamingChatModel;
import dev.langchain4j.model.chat.response.ChatResponse;
import dev.langchain4j.model.chat.response.StreamingChatResponseHandler;
import dev.langchain4j.model.ollama.OllamaStreamingChatModel;
import dev.langchain4j.model.openai.OpenAiStreamingChatModel;
import java.net.InetSocketAddress;
import java.util.List;
import java.util.concurrent.CompletableFuture;
import java.util.stream.Collectors;

public class Main {
  static volatile String body;

  static String data(String event) {
    return "data: " + event + "\n\n";
  }

  static String piece(String delta, String finish) {
    return data("""
        {"id":"c","object":"chat.completion.chunk","created":1,"model":"m","choices":[{"index":0,"delta":%s,"finish_reason":%s}]}"""
        .formatted(delta, finish));
  }

  static String calls(String... calls) {
    return piece("{\"tool_calls\":[" + String.join(",", calls) + "]}", "null");
  }

  static String opened(int index, String id, String name, String arguments) {
    return """
        {"index":%d,"id":"%s","type":"function","function":{"name":"%s","arguments":"%s"}}""".formatted(index, id, name, arguments);
  }

  static String more(int index, String arguments) {
    return """
        {"index":%d,"function":{"arguments":"%s"}}""".formatted(index, arguments);
  }

  static String line(String index, String name, int n) {
    return """
        {"model":"m","created_at":"2026-01-01T00:00:00Z","message":{"role":"assistant","content":"","tool_calls":[\
        {"function":{%s"name":"%s","arguments":{"n":%d}}}]},"done":false}
        """.formatted(index, name, n);
  }

  static String langchain4j(StreamingChatModel model) {
    CompletableFuture<String> heard = new CompletableFuture<>();
    model.chat(List.of(UserMessage.from("Hello")), new StreamingChatResponseHandler() {
      @Override
      public void onPartialResponse(String text) {
      }

      @Override
      public void onCompleteResponse(ChatResponse answer) {
        var message = answer.aiMessage();
        heard.complete(message.hasToolExecutionRequests()
            ? message.toolExecutionRequests().stream().map(call -> call.name() + "(" + call.arguments() + ")").collect(Collectors.joining(" "))
            : "complete: \"" + message.text() + "\"");
      }

      @Override
      public void onError(Throwable error) {
        heard.complete("error: " + error.getMessage());
      }
    });
    return heard.join();
  }

  static String openai(String base) {
    var client = OpenAIOkHttpClient.builder().apiKey("none").baseUrl(base).maxRetries(0).build();
    var whole = ChatCompletionAccumulator.create();
    try (var stream = client.chat().completions()
        .createStreaming(ChatCompletionCreateParams.builder().model("m").addUserMessage("Hello").build())) {
      stream.stream().forEach(whole::accumulate);
      return whole.chatCompletion().choices().get(0).message().toolCalls().orElse(List.of()).stream()
          .map(call -> call.asFunction().function()).map(call -> call.name() + "(" + call.arguments() + ")").collect(Collectors.joining(" "));
    } catch (Exception error) {
      return "error: " + error.getMessage();
    }
  }

  public static void main(String[] arguments) throws Exception {
    var server = HttpServer.create(new InetSocketAddress("127.0.0.1", 0), 0);
    server.createContext("/", exchange -> {
      exchange.getRequestBody().readAllBytes();
      var path = exchange.getRequestURI().getPath();
      exchange.getResponseHeaders().set("content-type", path.startsWith("/api/") ? "application/x-ndjson" : "text/event-stream");
      exchange.sendResponseHeaders(200, 0);
      exchange.getResponseBody().write(body.getBytes());
      exchange.close();
    });
    server.start();
    var base = "http://127.0.0.1:" + server.getAddress().getPort();

    var end = piece("{}", "\"tool_calls\"") + data("[DONE]");
    var half = piece("{\"content\":\"half an \"}", "null");
    var failure = data("{\"error\":{\"message\":\"out of memory\"}}");
    var chats = List.of(
        List.of("opened together", calls(opened(0, "a", "one", ""), opened(1, "b", "two", ""))
            + calls(more(0, "{\\\"n\\\":1}")) + calls(more(1, "{\\\"n\\\":2}")) + end),
        List.of("id and name repeated", calls(opened(0, "a", "one", "{\\\"n\\\"")) + calls(opened(0, "a", "one", ":1}")) + end),
        List.of("an error event", half + failure),
        List.of("an error event by that name", half + "event: error\n" + failure));
    for (var chat : chats) {
      body = chat.get(1);
      var model = OpenAiStreamingChatModel.builder().baseUrl(base + "/v1").apiKey("none").modelName("m").build();
      System.out.printf("chat, %s: langchain4j %s; openai %s%n", chat.get(0), langchain4j(model), openai(base + "/v1"));
    }
    var done = """
        {"model":"m","created_at":"2026-01-01T00:00:00Z","message":{"role":"assistant","content":""},"done":true,"done_reason":"stop"}
        """;
    var ollama = OllamaStreamingChatModel.builder().baseUrl(base).modelName("m").build();
    body = line("", "one", 1) + line("", "two", 2) + done;
    System.out.printf("Ollama, two lines: langchain4j %s%n", langchain4j(ollama));
    body = line("\"index\":0,", "one", 1) + line("\"index\":1,", "two", 2) + done;
    System.out.printf("Ollama, two lines, index: langchain4j %s%n", langchain4j(ollama));
    System.exit(0);
  }
}
JAVA
mvn -q -B compile dependency:build-classpath -Dmdep.outputFile=path.txt > log.txt 2>&1 || { cat log.txt; exit 1; }
java -cp "target/classes:$(cat path.txt)" Main | tee seen.txt
cat > wanted.txt <<'TXT'
chat, opened together: langchain4j error: name cannot be null or blank; openai one({"n":1}) two({"n":2})
chat, id and name repeated: langchain4j oneone({"n":1}); openai one({"n":1})
chat, an error event: langchain4j complete: "half an "; openai error: 200: out of memory
chat, an error event by that name: langchain4j error: {"error":{"message":"out of memory"}}; openai error: 200: out of memory
Ollama, two lines: langchain4j two({"n":1}{"n":2})
Ollama, two lines, index: langchain4j one({"n":1}) two({"n":2})
TXT
diff wanted.txt seen.txt
