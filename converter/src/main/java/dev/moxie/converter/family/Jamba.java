package dev.moxie.converter.family;

import dev.moxie.format.model.Architecture;
import dev.moxie.format.model.Attention;
import dev.moxie.format.model.FeedForward;
import dev.moxie.format.model.Limits;

/**
 * Jamba (AI21, "Jamba", 2024; transformers {@code models/jamba/modeling_jamba.py}): Mamba in most
 * layers, attention without positions in the others, experts in every so many, weighed as they are.
 */
final class Jamba {
  private static final Key<Integer> PERIOD = period("attn_layer_period", "attends").or(8);
  private static final Key<Integer> OFFSET = offset("attn_layer_offset", "attends").or(4);
  private static final Key<Integer> SPARSE = period("expert_layer_period", "has experts").or(2);
  private static final Key<Integer> FIRST = offset("expert_layer_offset", "has experts").or(1);
  private static final Key<Integer> EXPERTS =
      Key.whole("num_experts", 2, Limits.MAX_EXPERTS, "routed experts in a layer that has some");

  static final Family FAMILY =
      new Family(
          "jamba",
          "JambaForCausalLM",
          Mamba.FIRST
              .and(Llama.VOCABULARY, Llama.HIDDEN, Llama.POSITIONS.or(262_144), Llama.EPSILON)
              .and(Llama.TIED, Llama.LAYERS, Llama.HEADS, Llama.KEY_HEADS, Llama.HEAD_SIZE)
              .and(PERIOD, OFFSET, SPARSE, FIRST, Experts.ACTIVATION, Experts.PER_TOKEN)
              .and(Experts.WIDTH.spelled("intermediate_size"))
              .and(EXPERTS.spelled("num_experts", "num_local_experts")),
          Jamba::model,
          Names.JAMBA);

  private Jamba() {}

  private static Key<Integer> period(String name, String what) {
    return Key.count(name, Experts.MAX_STEP, "of so many layers one " + what);
  }

  private static Key<Integer> offset(String name, String what) {
    return Key.whole(name, 0, Experts.MAX_STEP, "which of them " + what + ", from 0");
  }

  private static Architecture model(Settings c) {
    int period = c.get(PERIOD);
    int offset = c.atMost(OFFSET, period - 1);
    int sparse = c.get(SPARSE);
    int first = c.atMost(FIRST, sparse - 1);
    Attention mamba = Mamba.first(c);
    Attention attention = Llama.attention(c, null);
    FeedForward.MixtureOfExperts experts = Experts.of(c, Experts.softmax(c));
    var dense = new FeedForward.Dense(experts.intermediateSize(), experts.activation());
    return Llama.model(
        c,
        i -> i % period == offset ? attention : mamba,
        i -> i % sparse == first ? experts : dense);
  }
}
