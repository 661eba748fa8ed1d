package dev.moxie.verifier.bench;

import dev.moxie.converter.bench.Commands;
import dev.moxie.format.error.EnvironmentException;
import dev.moxie.format.json.StrictJson;
import java.nio.charset.StandardCharsets;
import java.util.List;
import tools.jackson.core.JacksonException;
import tools.jackson.databind.JsonNode;

/**
 * What another program says of itself, in one JSON object on standard output, as
 * runtime-gpu/bench/llama.mjs and {@code moxie bench run --json} do.
 *
 * @param firstTokenMs from the start of loading to the logits of a first token
 * @param prefillPerS tokens per second of the prompt, the median
 * @param decodePerS tokens per second after it, the median
 */
record Peer(double firstTokenMs, double prefillPerS, double decodePerS) {
  /** What such an object is far smaller than. */
  private static final int MOST_BYTES = 1 << 20;

  /**
   * Runs it.
   *
   * @param command for the shell
   * @throws EnvironmentException if it fails, or measured something else
   */
  static Peer run(String command, int prompt, int decode) {
    byte[] printed = Commands.output(where(command), List.of("sh", "-c", command), MOST_BYTES);
    return of(command, printed, prompt, decode);
  }

  private static String where(String command) {
    return "--against " + command;
  }

  static Peer of(String command, byte[] printed, int prompt, int decode) {
    JsonNode json = parse(command, printed);
    require(command, json, "prompt", prompt);
    require(command, json, "decode", decode);
    require(command, json, "batch", 1);
    return new Peer(
        number(command, json, "/first_token_ms"),
        number(command, json, "/prefill_per_s/median"),
        number(command, json, "/decode_per_s/median"));
  }

  private static JsonNode parse(String command, byte[] printed) {
    try {
      JsonNode json = StrictJson.mapper(true).readTree(printed);
      if (json.isObject()) {
        return json;
      }
    } catch (JacksonException e) {
      // What is there says more than where it fails to be JSON.
    }
    String text = new String(printed, StandardCharsets.UTF_8).strip();
    throw failed(
        command,
        "one JSON object",
        text.isEmpty() ? "nothing" : "\"" + text.substring(0, Math.min(80, text.length())) + "\"");
  }

  private static void require(String command, JsonNode json, String key, int ours) {
    JsonNode theirs = json.path(key);
    if (!theirs.isInt() || theirs.intValue() != ours) {
      throw failed(command, key + " " + ours + ", as here", found(theirs));
    }
  }

  private static double number(String command, JsonNode json, String pointer) {
    JsonNode number = json.at(pointer);
    double value = number.isNumber() ? number.doubleValue() : Double.NaN;
    if (!Double.isFinite(value) || value <= 0) {
      throw failed(command, "a number above 0 at " + pointer, found(number));
    }
    return value;
  }

  private static String found(JsonNode node) {
    return node.isMissingNode() ? "none" : node.toString();
  }

  private static EnvironmentException failed(String command, String expected, String found) {
    return new EnvironmentException(
        where(command),
        expected,
        found,
        "let it measure the same and print what runtime-gpu/bench/llama.mjs prints");
  }
}
