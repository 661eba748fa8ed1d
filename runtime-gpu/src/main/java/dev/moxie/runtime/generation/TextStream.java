package dev.moxie.runtime.generation;

import java.util.Arrays;
import java.util.function.Consumer;

/**
 * Turns tokens into text as they come. The whole sequence is decoded each time and only what is new
 * is passed on, since a token's text may depend on its neighbours; the bytes of an unfinished
 * character are held back until the token that ends it.
 */
public final class TextStream {
  private static final char REPLACEMENT = '\uFFFD';

  private final TextTokenizer tokenizer;
  private final Consumer<String> out;
  private long[] ids;
  private int shown;

  /** Begins after a prompt, which is not passed on. */
  public TextStream(TextTokenizer tokenizer, long[] prompt, Consumer<String> out) {
    this.tokenizer = tokenizer;
    this.out = out;
    this.ids = prompt.clone();
    this.shown = tokenizer.decode(prompt).length();
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
