package dev.moxie.runtime.http;

import dev.moxie.format.error.MoxieException;
import dev.moxie.runtime.generation.TextStream;
import dev.moxie.runtime.generation.TextTokenizer;
import dev.moxie.runtime.serve.Busy;
import dev.moxie.runtime.serve.Job;
import dev.moxie.runtime.serve.Scheduler;
import java.io.IOException;
import java.util.ArrayList;
import java.util.List;
import java.util.Set;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;
import org.jspecify.annotations.Nullable;

/** The texts of one request, from the scheduler's thread to the one that answers. */
final class Answer implements AutoCloseable {
  private final BlockingQueue<Event> events = new LinkedBlockingQueue<>();
  private final List<Choice> choices = new ArrayList<>();
  private int reused;

  /** More of one choice. */
  record Piece(int choice, String text, List<Job.Chosen> tokens, @Nullable String finish) {
    Piece and(Piece next) {
      List<Job.Chosen> both = new ArrayList<>(tokens);
      both.addAll(next.tokens);
      return new Piece(choice, text + next.text, both, next.finish);
    }
  }

  /** Where an answer goes. */
  interface Sink {
    void accept(Piece piece) throws IOException;

    /** Nothing has come for a second. */
    void waiting() throws IOException;
  }

  private sealed interface Event {
    int choice();
  }

  private record Begun(int choice, int reused) implements Event {}

  private record Token(int choice, Job.Chosen chosen) implements Event {}

  private record Ended(int choice, Job.End end) implements Event {}

  private record Failed(int choice, MoxieException failure) implements Event {}

  private static final class Choice {
    final StringBuilder fresh = new StringBuilder();
    final @Nullable TextStream stream;
    final StopStrings stops;
    final Scheduler.Ticket ticket;
    int tokens;
    boolean ended;

    Choice(Served served, long[] prompt, List<String> stops, Scheduler.Ticket ticket) {
      TextTokenizer tokenizer = served.tokenizer();
      stream = tokenizer == null ? null : new TextStream(tokenizer, prompt, fresh::append);
      this.stops = new StopStrings(stops);
      this.ticket = ticket;
    }

    /** What may be shown now. */
    String fresh() {
      String text = stops.accept(fresh.toString());
      fresh.setLength(0);
      return text;
    }
  }

  private Answer() {}

  /**
   * Asks for texts.
   *
   * @param limits new tokens of each prompt
   */
  static Answer to(Served served, Parameters parameters, List<long[]> prompts, int[] limits) {
    var answer = new Answer();
    Set<Long> end = parameters.ignoreEnd() ? Set.of() : served.end();
    try {
      for (int i = 0; i < prompts.size(); i++) {
        for (int n = 0; n < parameters.choices(); n++) {
          int choice = answer.choices.size();
          var job =
              new Job(
                  prompts.get(i),
                  limits[i],
                  parameters.sampler(n),
                  end,
                  parameters.alternatives(),
                  parameters.routed(),
                  answer.listener(choice));
          Scheduler.Ticket ticket = served.scheduler().submit(job);
          answer.choices.add(new Choice(served, prompts.get(i), parameters.stops(), ticket));
        }
      }
      return answer;
    } catch (Busy e) {
      answer.close();
      throw ApiException.busy();
    }
  }

  private Job.Listener listener(int choice) {
    return new Job.Listener() {
      @Override
      public void begun(int reused) {
        events.add(new Begun(choice, reused));
      }

      @Override
      public void token(Job.Chosen chosen) {
        events.add(new Token(choice, chosen));
      }

      @Override
      public void ended(Job.End end) {
        events.add(new Ended(choice, end));
      }

      @Override
      public void failed(MoxieException failure) {
        events.add(new Failed(choice, failure));
      }
    };
  }

  /**
   * Passes all texts on as they come.
   *
   * @param until when that must have ended, of {@link System#nanoTime}
   */
  void forward(Sink sink, long until) throws IOException, InterruptedException {
    int left = choices.size();
    while (left > 0) {
      Event event = events.poll(1, TimeUnit.SECONDS);
      if (System.nanoTime() - until > 0) {
        throw ApiException.server(503, "the answer took longer than this server allows.");
      }
      if (event == null) {
        sink.waiting();
      } else if (event instanceof Begun begun) {
        reused += begun.reused();
      } else if (!choices.get(event.choice()).ended) {
        Piece piece = piece(event);
        // What came while the client was written to goes in one: many clients cost less each.
        while (piece.finish() == null
            && events.peek() instanceof Token next
            && next.choice() == piece.choice()) {
          piece = piece.and(piece(events.remove()));
        }
        sink.accept(piece);
        if (piece.finish() != null) {
          choices.get(event.choice()).ended = true;
          left--;
        }
      }
    }
  }

  private Piece piece(Event event) {
    Choice choice = choices.get(event.choice());
    return switch (event) {
      case Token token -> {
        choice.tokens++;
        if (choice.stream != null) {
          choice.stream.accept(token.chosen().token().id());
        }
        String text = choice.fresh();
        boolean stopped = choice.stops.isStopped();
        if (stopped) {
          choice.ticket.cancel();
        }
        yield new Piece(event.choice(), text, List.of(token.chosen()), stopped ? "stop" : null);
      }
      case Ended ended -> {
        if (ended.end() == Job.End.CANCELLED) {
          throw ApiException.server(503, "the server is closing.");
        }
        if (choice.stream != null) {
          choice.stream.finish();
        }
        String text = choice.fresh();
        boolean stopped = choice.stops.isStopped();
        yield new Piece(
            event.choice(),
            text + choice.stops.rest(),
            List.of(),
            stopped || ended.end() == Job.End.STOP ? "stop" : "length");
      }
      case Failed failed ->
          throw ApiException.server(503, String.valueOf(failed.failure().getMessage()));
      case Begun begun -> throw new IllegalArgumentException(begun.toString());
    };
  }

  /** New tokens so far. */
  int tokens() {
    return choices.stream().mapToInt(choice -> choice.tokens).sum();
  }

  /** Tokens of prompts that had been computed before. */
  int reused() {
    return reused;
  }

  /** Lets go of whatever is still being written. */
  @Override
  public void close() {
    for (Choice choice : choices) {
      if (!choice.ended) {
        choice.ticket.cancel();
      }
    }
  }
}
