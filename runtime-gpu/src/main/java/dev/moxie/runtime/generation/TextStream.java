package dev.moxie.runtime.generation;

import java.util.Arrays;
import java.util.function.Consumer;

/**
 * Turns tokens into text as they come. The last of them are decoded together each time and only
 * what is new is passed on, since a token's text may depend on its neighbours; the bytes of an
 * unfinished character are held back until the token that ends it.
 */
public final class TextStream {
  private static final char REPLACEMENT = '\uFFFD';

  /**
   * Tokens before another that its text may depend on; no tokenizer is known that needs as many.
   */
  private static final int NEIGHBOURS = 32;

  private final TextTokenizer tokenizer;
  private final Consumer<String> out;
  private long[] ids;
  private int shown;

  /** Begins after a prompt, which is not passed on. */
  public TextStream(TextTokenizer tokenizer, long[] prompt, Consumer<String> out) {
    this.tokenizer = tokenizer;
    this.out = out;
    this.ids = Arrays.copyOfRange(prompt, Math.max(0, prompt.length - NEIGHBOURS), prompt.length);
    this.shown = tokenizer.decode(ids).length();
  }

  /** Takes in the next token and passes on the text that it completes. */
  public void accept(long id) {
    ids = Arrays.copyOf(ids, ids.length + 1);
    ids[ids.length - 1] = id;
    String text = tokenizer.decode(ids);
    int end = text.length();
    while (end > shown && text.charAt(end - 1) == REPLACEMENT) {
      end--;
    }
    show(text, end);
    if (shown == text.length() && ids.length > 2 * NEIGHBOURS) {
      ids = Arrays.copyOfRange(ids, ids.length - NEIGHBOURS, ids.length);
      shown = tokenizer.decode(ids).length();
    }
  }

  /** Passes on what was held back. */
  public void finish() {
    String text = tokenizer.decode(ids);
    show(text, text.length());
  }

  private void show(String text, int end) {
    if (end > shown) {
      out.accept(text.substring(shown, end));
      shown = end;
    }
  }
}
