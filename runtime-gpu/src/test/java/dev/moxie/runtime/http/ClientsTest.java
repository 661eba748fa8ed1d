package dev.moxie.runtime.http;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.langchain4j.data.message.UserMessage;
import dev.langchain4j.model.chat.request.ChatRequest;
import dev.langchain4j.model.chat.response.ChatResponse;
import dev.langchain4j.model.chat.response.StreamingChatResponseHandler;
import dev.langchain4j.model.openai.OpenAiChatModel;
import dev.langchain4j.model.openai.OpenAiStreamingChatModel;
import dev.langchain4j.model.output.FinishReason;
import java.nio.file.Path;
import java.util.List;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** LangChain4j's client of OpenAI, against this server. */
class ClientsTest {
  private static final String KEY = "a-key";

  @TempDir static Path folder;

  private static TestModel model;
  private static Server server;

  @BeforeAll
  static void start() {
    model = TestModel.open(folder);
    server = model.server(model.scheduler(), List.of(KEY), model.metrics());
  }

  @AfterAll
  static void stop() {
    server.close();
    model.close();
  }

  private static String url() {
    return "http://127.0.0.1:" + server.address().getPort() + "/v1";
  }

  private static ChatRequest request() {
    return ChatRequest.builder().messages(UserMessage.from("Once upon a time")).build();
  }

  @Test
  void langChainGetsTheSameTextWholeAndInPieces() throws Exception {
    ChatResponse whole =
        OpenAiChatModel.builder()
            .baseUrl(url())
            .apiKey(KEY)
            .modelName("tiny")
            .temperature(0.0)
            .maxTokens(12)
            .build()
            .chat(request());
    assertEquals(12, whole.tokenUsage().outputTokenCount());
    assertEquals(FinishReason.LENGTH, whole.finishReason());
    var pieces = new StringBuilder();
    var done = new CompletableFuture<ChatResponse>();
    OpenAiStreamingChatModel.builder()
        .baseUrl(url())
        .apiKey(KEY)
        .modelName("tiny")
        .temperature(0.0)
        .maxTokens(12)
        .build()
        .chat(
            request(),
            new StreamingChatResponseHandler() {
              @Override
              public void onPartialResponse(String piece) {
                pieces.append(piece);
              }

              @Override
              public void onCompleteResponse(ChatResponse response) {
                done.complete(response);
              }

              @Override
              public void onError(Throwable failure) {
                done.completeExceptionally(failure);
              }
            });
    ChatResponse streamed = done.get(60, TimeUnit.SECONDS);
    assertEquals(whole.aiMessage().text(), streamed.aiMessage().text());
    assertEquals(whole.aiMessage().text(), pieces.toString());
    assertEquals(12, streamed.tokenUsage().outputTokenCount());
    assertFalse(pieces.isEmpty());
    assertTrue(model.metrics().text().contains("finished_reason=\"length\""));
  }
}
