package dev.moxie.converter.family;

import dev.moxie.converter.checkpoint.Config;
import dev.moxie.format.error.UsageException;
import dev.moxie.format.json.StrictJson;
import dev.moxie.format.model.Architecture;
import dev.moxie.format.model.Attention;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import tools.jackson.core.JacksonException;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.node.MissingNode;
import tools.jackson.databind.node.ObjectNode;

/** The config.json of a model that nobody released: a released one with other numbers in it. */
public final class ConfigVariant {
  private static final List<String> WIDTHS =
      List.of(
          "hidden_size",
          "intermediate_size",
          "kv_lora_rank",
          "moe_intermediate_size",
          "q_lora_rank",
          "vocab_size");

  /** Scaled widths are multiples of it. */
  private static final int STEP = 16;

  private ConfigVariant() {}

  /**
   * Changes a config.json. Scaling multiplies every width, the vocabulary and the number of heads
   * by the square root of the factor, since nearly all parameters lie in matrices of two such
   * extents; layers, experts and head sizes stay.
   *
   * @param values by key: a number, true, false or null, put in before anything is scaled
   * @param factor by about which the number of parameters is multiplied
   * @return the bytes of the new file; those of the old one if nothing is to be changed
   * @throws UsageException if a value or the factor is none
   */
  public static byte[] of(Path file, Map<String, String> values, double factor) {
    if (!(factor > 0) || Double.isInfinite(factor)) {
      throw new UsageException(
          "--scale", "a finite number above 0", String.valueOf(factor), "pass another");
    }
    byte[] original = StrictJson.readBounded(file, StrictJson.MAX_FILE_BYTES);
    if (values.isEmpty() && factor == 1) {
      return original;
    }
    ObjectNode json = StrictJson.parseObject(file.toString(), original);
    values.forEach((key, value) -> json.set(key, parse(key, value)));
    if (factor != 1) {
      Config config = Config.parse(file.toString(), print(json));
      scale(json, Families.of(config).describe(config).architecture(), Math.sqrt(factor));
    }
    return print(json);
  }

  private static byte[] print(ObjectNode json) {
    return StrictJson.mapper(false).writerWithDefaultPrettyPrinter().writeValueAsBytes(json);
  }

  private static JsonNode parse(String key, String value) {
    JsonNode parsed;
    try {
      parsed = StrictJson.mapper(true).readTree(value);
    } catch (JacksonException e) {
      parsed = MissingNode.getInstance();
    }
    if (!parsed.isNumber() && !parsed.isBoolean() && !parsed.isNull()) {
      throw new UsageException(
          "--set " + key,
          "a number, true, false or null",
          "\"" + value + "\"",
          "pass one of these, as in --set " + key + "=1");
    }
    return parsed;
  }

  private static void scale(ObjectNode json, Architecture architecture, double width) {
    for (String key : WIDTHS) {
      if (json.path(key).isNumber()) {
        long steps = Math.round(json.get(key).longValue() * width / STEP);
        json.put(key, Math.max(1, steps) * STEP);
      }
    }
    // Where there are none of their own, every query head has its key and value.
    String sharedKey =
        json.path("num_key_value_heads").isNumber() ? "num_key_value_heads" : "num_attention_heads";
    long heads = json.get("num_attention_heads").longValue();
    long shared = Math.max(1, Math.round(json.get(sharedKey).longValue() * width));
    json.put(sharedKey, shared);
    json.put("num_attention_heads", shared * Math.max(1, Math.round(heads * width / shared)));
    if (architecture.layers().getFirst().attention() instanceof Attention.GroupedQuery grouped) {
      // Where it is not stated, it would follow from the hidden size.
      json.put("head_dim", grouped.headSize());
    }
  }
}
