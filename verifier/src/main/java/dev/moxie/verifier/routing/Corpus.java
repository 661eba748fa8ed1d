package dev.moxie.verifier.routing;

import dev.moxie.format.error.CorruptException;
import dev.moxie.format.error.UsageException;
import dev.moxie.runtime.generation.TextTokenizer;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Objects;
import java.util.function.Consumer;
import org.jspecify.annotations.Nullable;

/**
 * What to run a model on: texts, then prompts, then tokens.
 *
 * @param texts files in UTF-8, read and tokenised piece by piece as {@link TextPieces} says
 * @param prompts tokenised as a whole
 * @param tokens taken as they are
 */
public record Corpus(List<Path> texts, List<String> prompts, List<long[]> tokens) {
  public Corpus {
    texts = List.copyOf(texts);
    prompts = List.copyOf(prompts);
    tokens = List.copyOf(tokens);
  }

  /**
   * A text, a prompt or a list of tokens that was run.
   *
   * @param name the file, or which of the prompts or lists, from 1
   * @param sequences that it was cut into
   * @param tokens of those, begin tokens included
   */
  public record Source(String name, int sequences, long tokens) {}

  /** Whether this takes a tokenizer. */
  public boolean hasText() {
    return !texts.isEmpty() || !prompts.isEmpty();
  }

  /** Looks at everything that can be looked at before any of it is run. */
  private void require(int vocabulary) {
    texts.forEach(TextPieces::requireSome);
    for (int i = 0; i < prompts.size(); i++) {
      requireSome("--prompt " + (i + 1), prompts.get(i).isEmpty());
    }
    for (int i = 0; i < tokens.size(); i++) {
      requireSome("--ids, list " + (i + 1), tokens.get(i).length == 0);
      requireTokens("--ids, list " + (i + 1), tokens.get(i), vocabulary);
    }
  }

  private static void requireSome(String name, boolean empty) {
    if (empty) {
      throw new UsageException(name, "something to run on", "nothing", "pass more");
    }
  }

  /**
   * Cuts everything into sequences, each of a text or prompt beginning as the tokenizer begins a
   * text. Files that are missing or empty, empty prompts and wrong tokens are refused before the
   * first sequence.
   *
   * @param tokenizer null only without texts and prompts
   * @param vocabulary tokens are below this
   * @return those that the limit left something of
   * @throws CorruptException if a file is no text
   * @throws UsageException if something holds no token, or one that the model does not have
   */
  public List<Source> cut(
      @Nullable TextTokenizer tokenizer, int vocabulary, Windows windows, SequenceSink sequence) {
    require(vocabulary);
    var cut = new Cut(windows, sequence);
    if (hasText()) {
      TextTokenizer words = Objects.requireNonNull(tokenizer);
      long[] beginning = words.beginning();
      for (Path text : texts) {
        cut.source(
            text.toString(),
            beginning,
            cutter -> TextPieces.read(text, piece -> cutter.add(words.encodeInside(piece))));
      }
      for (int i = 0; i < prompts.size(); i++) {
        long[] ids = words.encodeInside(prompts.get(i));
        cut.source("--prompt " + (i + 1), beginning, cutter -> cutter.add(ids));
      }
    }
    for (int i = 0; i < tokens.size(); i++) {
      long[] ids = tokens.get(i);
      cut.source("--ids, list " + (i + 1), new long[0], cutter -> cutter.add(ids));
    }
    return cut.sources;
  }

  /** Sources that are cut one after the other, until as many tokens as are wanted. */
  private static final class Cut {
    private final Windows windows;
    private final SequenceSink out;
    private final List<Source> sources = new ArrayList<>();
    private long left;

    Cut(Windows windows, SequenceSink out) {
      this.windows = windows;
      this.out = out;
      this.left = windows.limit();
    }

    void source(String name, long[] beginning, Consumer<SequenceCutter> read) {
      if (left > 0) {
        var cutter = new SequenceCutter(name, beginning, windows, left, out);
        read.accept(cutter);
        sources.add(cutter.finish());
        left -= cutter.taken();
      }
    }
  }

  private static void requireTokens(String name, long[] ids, int vocabulary) {
    for (long id : ids) {
      if (id < 0 || id >= vocabulary) {
        throw new UsageException(
            name, "tokens from 0 to " + (vocabulary - 1), String.valueOf(id), "pass others");
      }
    }
  }
}
