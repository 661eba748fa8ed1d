package dev.moxie.runtime.http;

import dev.moxie.runtime.serve.Job;
import java.io.IOException;
import java.util.ArrayList;
import java.util.List;
import tools.jackson.databind.node.ObjectNode;

/** One request's answer, from its texts to what is sent. */
final class Exchange {
  private final Form form;
  private final Served served;
  private final Parameters parameters;
  private final int promptTokens;
  private final Responder responder;
  private final Metrics metrics;
  private final String id;
  private final long created = System.currentTimeMillis() / 1000;
  private final long start = System.nanoTime();
  private final int[] offsets;
  private final long[] tokenTimes;

  Exchange(
      Form form,
      Served served,
      Parameters parameters,
      List<long[]> prompts,
      Responder responder,
      Metrics metrics,
      String id) {
    this.form = form;
    this.served = served;
    this.parameters = parameters;
    this.promptTokens = prompts.stream().mapToInt(prompt -> prompt.length).sum();
    this.responder = responder;
    this.metrics = metrics;
    this.id = id;
    offsets = new int[prompts.size() * parameters.choices()];
    tokenTimes = new long[offsets.length];
  }

  void run(Answer answer, long until) throws IOException, InterruptedException {
    if (parameters.stream()) {
      stream(answer, until);
    } else {
      whole(answer, until);
    }
    metrics.tokens(promptTokens, answer.reused(), answer.tokens());
    metrics.whole(System.nanoTime() - start);
  }

  private void count(Answer.Piece piece) {
    if (!piece.tokens().isEmpty()) {
      long now = System.nanoTime();
      int later = piece.tokens().size();
      if (tokenTimes[piece.choice()] == 0) {
        metrics.first(now - start);
        later--;
        tokenTimes[piece.choice()] = now;
      }
      for (int i = 0; i < later; i++) {
        metrics.between((now - tokenTimes[piece.choice()]) / later);
      }
      tokenTimes[piece.choice()] = now;
    }
    if (piece.finish() != null) {
      metrics.answered(piece.finish());
    }
  }

  private ObjectNode frame() {
    return form.frame(id, parameters.stream(), created, served);
  }

  private void stream(Answer answer, long until) throws IOException, InterruptedException {
    responder.begin();
    if (form == Form.CHAT) {
      for (int choice = 0; choice < offsets.length; choice++) {
        ObjectNode first = frame();
        Form.addRole(first, choice);
        responder.event(first.toString());
      }
    }
    answer.forward(
        new Answer.Sink() {
          @Override
          public void accept(Answer.Piece piece) throws IOException {
            count(piece);
            if (Form.says(piece, parameters, served)) {
              ObjectNode chunk = frame();
              form.add(chunk, served, parameters, piece, true, offsets[piece.choice()]);
              offsets[piece.choice()] += piece.text().length();
              responder.event(chunk.toString());
            }
          }

          @Override
          public void waiting() throws IOException {
            responder.comment();
          }
        },
        until);
    if (parameters.usage()) {
      ObjectNode usage = frame();
      Form.addUsage(usage, promptTokens, answer.tokens(), answer.reused());
      responder.event(usage.toString());
    }
    responder.event("[DONE]");
  }

  private void whole(Answer answer, long until) throws IOException, InterruptedException {
    List<StringBuilder> texts = new ArrayList<>();
    List<List<Job.Chosen>> tokens = new ArrayList<>();
    var last = new Answer.Piece[offsets.length];
    for (int choice = 0; choice < offsets.length; choice++) {
      texts.add(new StringBuilder());
      tokens.add(new ArrayList<>());
    }
    answer.forward(
        new Answer.Sink() {
          @Override
          public void accept(Answer.Piece piece) throws IOException {
            responder.requireClient();
            count(piece);
            texts.get(piece.choice()).append(piece.text());
            tokens.get(piece.choice()).addAll(piece.tokens());
            last[piece.choice()] = piece;
          }

          @Override
          public void waiting() throws IOException {
            responder.requireClient();
          }
        },
        until);
    ObjectNode json = frame();
    for (int choice = 0; choice < offsets.length; choice++) {
      String text = texts.get(choice).toString();
      var piece = new Answer.Piece(choice, text, tokens.get(choice), last[choice].finish());
      form.add(json, served, parameters, piece, false, 0);
    }
    Form.addUsage(json, promptTokens, answer.tokens(), answer.reused());
    responder.send(200, json);
  }
}
