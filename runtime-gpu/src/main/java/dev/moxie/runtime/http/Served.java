package dev.moxie.runtime.http;

import dev.moxie.runtime.generation.TextTokenizer;
import dev.moxie.runtime.serve.Scheduler;
import java.util.Set;
import org.jspecify.annotations.Nullable;

/**
 * What is served.
 *
 * @param name as clients call the model
 * @param tokenizer null where the package has none, and tokens alone come and go
 * @param template makes a prompt of messages; null where the package has none
 * @param vocabulary tokens of the model
 * @param positions of the model
 * @param end tokens that end a text
 * @param created when it was opened, in seconds since 1970
 */
public record Served(
    String name,
    @Nullable TextTokenizer tokenizer,
    @Nullable Template template,
    int vocabulary,
    long positions,
    Set<Long> end,
    Scheduler scheduler,
    long created) {

  /** Makes a prompt of a conversation. */
  @FunctionalInterface
  public interface Template {
    /**
     * The text of the prompt.
     *
     * @param request with {@code messages}, and whatever else a template may read
     * @throws IllegalArgumentException if the template refuses the messages, saying why
     */
    String render(tools.jackson.databind.node.ObjectNode request);
  }

  TextTokenizer requireTokenizer() {
    if (tokenizer == null) {
      throw ApiException.invalid(
          400, "expected tokens, as a list of numbers: this model came without a tokenizer.");
    }
    return tokenizer;
  }
}
