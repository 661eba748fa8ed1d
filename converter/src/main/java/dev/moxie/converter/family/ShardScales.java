package dev.moxie.converter.family;

import dev.moxie.converter.checkpoint.Config;
import dev.moxie.format.encoding.Encoding;
import dev.moxie.format.encoding.Int8Group;
import dev.moxie.format.model.Architecture;
import dev.moxie.format.model.Limits;
import dev.moxie.format.model.Role;
import dev.moxie.format.model.TensorSpec;
import dev.moxie.format.model.Tensors;
import java.util.EnumMap;
import java.util.EnumSet;
import java.util.Map;
import java.util.Set;

/**
 * Numbers of eight bits whose scales were found where a matrix lay on several devices (xAI, Grok-1,
 * 2024, {@code model.py}, {@code QuantizedWeight8bit} and the sharding of each {@code Linear}):
 * every output has one scale, or, where the inputs are what devices shared among them, one for each
 * device's part of them.
 */
final class ShardScales {
  private static final String SHARDS = "model_shards";

  private static final Set<Role> WHOLE =
      EnumSet.of(
          Role.ATTENTION_QUERY, Role.ATTENTION_KEY, Role.ATTENTION_VALUE, Role.EXPERT_GATE_UP);

  /** Devices share the inputs of these. */
  private static final Set<Role> SHARED = EnumSet.of(Role.ATTENTION_OUTPUT, Role.EXPERT_DOWN);

  private ShardScales() {}

  static Quantisation of(Config quantisation) {
    int shards = quantisation.count(SHARDS, Limits.MAX_HEADS);
    return new Quantisation(model -> encodings(quantisation, shards, model), Modules.ALL);
  }

  private static Encodings encodings(Config quantisation, int shards, Architecture model) {
    Map<Role, Encoding> ofRole = new EnumMap<>(Role.class);
    for (TensorSpec spec : Tensors.of(model)) {
      Role role = spec.role();
      if (WHOLE.contains(role) || SHARED.contains(role)) {
        long columns = spec.each().dim(1);
        int parts = SHARED.contains(role) ? shards : 1;
        if (columns % parts != 0) {
          throw quantisation.wrong(
              SHARDS,
              "a divisor of the %d inputs of %s".formatted(columns, role.id()),
              "" + shards);
        }
        int group = Math.toIntExact(columns / parts);
        ofRole.put(role, quantisation.derive(() -> new Int8Group(group)));
      }
    }
    return new Encodings(Encoding.PLAIN, ofRole);
  }
}
