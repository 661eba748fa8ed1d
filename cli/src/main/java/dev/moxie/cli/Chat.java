package dev.moxie.cli;

import dev.moxie.format.error.MoxieException;
import dev.moxie.format.error.UnsupportedException;
import dev.moxie.format.error.UsageException;
import dev.moxie.format.json.StrictJson;
import dev.moxie.format.pack.EndTokens;
import dev.moxie.format.pack.MoxiePackage;
import dev.moxie.runtime.execution.PlainModel;
import dev.moxie.runtime.generation.Sampler;
import dev.moxie.runtime.generation.TextStream;
import dev.moxie.runtime.generation.TextTokenizer;
import dev.moxie.runtime.serve.Job;
import dev.moxie.runtime.serve.Scheduler;
import dev.moxie.runtime.template.ChatPrompt;
import dev.moxie.runtime.template.TemplateException;
import java.io.BufferedReader;
import java.io.Console;
import java.io.IOException;
import java.io.InputStreamReader;
import java.io.Reader;
import java.io.UncheckedIOException;
import java.nio.charset.CharacterCodingException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.time.ZoneId;
import java.time.ZonedDateTime;
import java.util.Optional;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.LinkedBlockingQueue;
import org.jspecify.annotations.Nullable;
import tools.jackson.databind.node.ArrayNode;
import tools.jackson.databind.node.ObjectNode;

/**
 * A conversation with a package, of which every answer is what {@code serve} would answer: the same
 * template makes the prompt, and the same scheduler keeps what was computed of it.
 */
final class Chat {
  private static final int MOST_CHARACTERS = 1 << 20;

  private static final Scheduler.Meter NO_METER =
      new Scheduler.Meter() {
        @Override
        public void stepped(int tokens, long nanoseconds) {}

        @Override
        public void now(int running, int waiting, long bytes) {}
      };

  private final MoxiePackage pack;
  private final TextTokenizer tokenizer;
  private final ChatPrompt template;
  private final Scheduler scheduler;
  private final Sampler sampler;
  private final int maxTokens;
  private final ObjectNode given = StrictJson.mapper(false).createObjectNode();
  private final ArrayNode messages = given.putArray("messages");

  private Chat(
      MoxiePackage pack,
      TextTokenizer tokenizer,
      ChatPrompt template,
      Scheduler scheduler,
      Sampler sampler,
      int maxTokens) {
    this.pack = pack;
    this.tokenizer = tokenizer;
    this.template = template;
    this.scheduler = scheduler;
    this.sampler = sampler;
    this.maxTokens = maxTokens;
    given.put("add_generation_prompt", true);
  }

  /**
   * Answers one message, or every line of standard input until that ends.
   *
   * @param file of a template; null for the package's
   * @param message null for lines
   * @param budget of memory for weights; null for none
   */
  static void run(
      Path folder,
      @Nullable Path file,
      @Nullable String system,
      @Nullable String message,
      Sampler sampler,
      int maxTokens,
      @Nullable Long budget) {
    try (MoxiePackage pack = MoxiePackage.open(folder);
        TextTokenizer tokenizer = TextTokenizer.of(pack)) {
      ChatPrompt template = file == null ? ownTemplate(pack) : ChatPrompt.of(pack, file);
      try (PlainModel model = PlainModel.open(pack, FirstOpening.check())) {
        if (budget != null) {
          model.limitMemory(budget);
        }
        try (var scheduler =
            new Scheduler(
                model.sequences(Runtime.getRuntime().maxMemory() / 2),
                pack.architecture().vocabSize(),
                pack.architecture().maxPositions(),
                1,
                1,
                NO_METER)) {
          var chat = new Chat(pack, tokenizer, template, scheduler, sampler, maxTokens);
          if (system != null) {
            chat.add("system", system);
          }
          if (message == null) {
            chat.answerLines();
          } else {
            chat.answer(message);
          }
        }
      }
    }
  }

  private static ChatPrompt ownTemplate(MoxiePackage pack) {
    return ChatPrompt.of(pack)
        .orElseThrow(
            () ->
                new UsageException(
                    pack.folder().toString(),
                    "a chat template, which makes prompts of messages",
                    "none",
                    "pass one as --chat-template FILE, or leave --chat out"));
  }

  private void answerLines() {
    boolean terminal =
        Optional.ofNullable(System.console()).filter(Console::isTerminal).isPresent();
    var lines =
        new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8.newDecoder()));
    while (true) {
      if (terminal) {
        System.err.print("> ");
      }
      String line = line(lines);
      if (line == null) {
        return;
      }
      if (!line.isBlank()) {
        answer(line);
      }
    }
  }

  private static @Nullable String line(Reader lines) {
    try {
      int c = lines.read();
      if (c < 0) {
        return null;
      }
      var line = new StringBuilder();
      for (; c >= 0 && c != '\n'; c = lines.read()) {
        if (line.length() == MOST_CHARACTERS) {
          throw new UsageException(
              "standard input",
              "lines of at most " + MOST_CHARACTERS + " characters",
              "a longer one",
              "send a shorter message");
        }
        line.append((char) c);
      }
      return line.toString();
    } catch (CharacterCodingException e) {
      throw new UsageException(
          "standard input", "text in UTF-8", "other bytes", "convert it to UTF-8");
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  private void add(String role, String content) {
    messages.addObject().put("role", role).put("content", content);
  }

  private void answer(String message) {
    add("user", message);
    long[] prompt = tokenizer.encodeInside(prompt());
    long left = pack.architecture().maxPositions() - prompt.length;
    if (prompt.length == 0 || left < 1) {
      throw new UsageException(
          "the conversation",
          "at least one token, and room for an answer in the model's %d positions"
              .formatted(pack.architecture().maxPositions()),
          prompt.length + " tokens",
          "begin another");
    }
    var text = new StringBuilder();
    var stream =
        new TextStream(
            tokenizer,
            prompt,
            piece -> {
              text.append(piece);
              System.out.print(piece);
            });
    write(prompt, (int) Math.min(maxTokens, left), stream);
    add("assistant", text.toString());
  }

  private String prompt() {
    try {
      return template.render(given, ZonedDateTime.now(ZoneId.systemDefault()));
    } catch (TemplateException e) {
      throw new UnsupportedException(
          "the chat template",
          "to make a prompt of these messages",
          "that it says: " + e.getMessage(),
          "pass others, or another --chat-template");
    }
  }

  private sealed interface Event {}

  private record Token(long id) implements Event {}

  private record Ended() implements Event {}

  private record Failed(MoxieException failure) implements Event {}

  /** Passes an answer on as the scheduler's thread has its tokens. */
  private void write(long[] prompt, int limit, TextStream stream) {
    BlockingQueue<Event> events = new LinkedBlockingQueue<>();
    int[] reused = new int[1];
    scheduler.submit(
        new Job(
            prompt,
            limit,
            sampler,
            EndTokens.of(pack).ids(),
            -1,
            Job.Routed.NOTHING,
            new Job.Listener() {
              @Override
              public void begun(int tokens) {
                reused[0] = tokens;
              }

              @Override
              public void token(Job.Chosen chosen) {
                events.add(new Token(chosen.token().id()));
              }

              @Override
              public void ended(Job.End how) {
                events.add(new Ended());
              }

              @Override
              public void failed(MoxieException failure) {
                events.add(new Failed(failure));
              }
            }));
    int tokens = 0;
    while (true) {
      switch (next(events)) {
        case Token token -> {
          tokens++;
          stream.accept(token.id());
        }
        case Ended ended -> {
          stream.finish();
          System.out.println();
          // The queue's events are seen after what begun() wrote before them.
          System.err.printf(
              "%d of the prompt's %d tokens were computed before, %d new ones%n",
              reused[0], prompt.length, tokens);
          return;
        }
        case Failed failed -> throw failed.failure();
      }
    }
  }

  private static Event next(BlockingQueue<Event> events) {
    try {
      return events.take();
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
      throw new IllegalStateException("interrupted while an answer came", e);
    }
  }
}
