package dev.moxie.converter.family;

import dev.moxie.converter.checkpoint.Config;
import dev.moxie.format.model.Architecture;
import dev.moxie.format.model.Attention;
import dev.moxie.format.model.Limits;
import dev.moxie.format.model.Parts;
import dev.moxie.format.model.Routing;
import java.util.Map;
import java.util.function.IntPredicate;
import org.jspecify.annotations.Nullable;

/** What config.json says of an NLLB with experts, and the parts that follow from single keys. */
final class TranslationKeys {
  static final Key<Integer> OWN_HEADS =
      Key.count("decoder_attention_heads", Limits.MAX_HEADS, "query heads of the decoder");
  static final Key<Integer> OWN_WIDTH =
      Key.count("decoder_ffn_dim", Limits.MAX_WIDTH, "width inside networks of the decoder");
  static final Key<Integer> STEP =
      Key.whole(
              "encoder_sparse_step", 0, Experts.MAX_STEP, "of so many layers the last has experts")
          .or(4);
  static final Key<Integer> OWN_STEP =
      Key.whole("decoder_sparse_step", 0, Experts.MAX_STEP, "the same in the decoder").or(4);
  static final Key<Boolean> BEFORE =
      Key.flag(
              "normalize_router_prob_before_dropping",
              "whether weights are normalised before drops")
          .or(false);
  static final Key<Double> FRACTION =
      Key.of(
              "moe_eval_capacity_token_fraction",
              "a number",
              Config::finite,
              "part of a text that an expert takes; a number of tokens where not above 0")
          .or(1.0);
  static final Key<Double> DROPOUT =
      Key.notNegative("moe_token_dropout", "what part weights of experts lose").or(0.2);
  private static final Key<Integer> PADDING =
      Key.whole("pad_token_id", 0, Limits.MAX_VOCABULARY, "a token without a position").or(1);
  private static final Key<Boolean> SCALED =
      Key.flag("scale_embedding", "whether embeddings are multiplied by the root of their width")
          .or(true);

  static final Keys ALL =
      EncoderDecoder.KEYS
          .and(OWN_HEADS, OWN_WIDTH, STEP, OWN_STEP, BEFORE, FRACTION, DROPOUT, PADDING, SCALED)
          .and(Llama.POSITIONS, Llama.EPSILON.constant(1e-5), EncoderDecoder.START.or(2))
          .and(Llama.HEADS.spelled("encoder_attention_heads"))
          .and(Experts.WIDTH.spelled("encoder_ffn_dim"))
          .and(Key.flag("batch_prioritized_routing", "likeliest first").only(false))
          .and(Key.text("second_expert_policy", "which tokens have two experts").only("all"))
          .neutral("in training alone", "activation_dropout", "attention_dropout", "dropout")
          .neutral("in training alone", "encoder_layerdrop", "decoder_layerdrop", "init_std");

  private TranslationKeys() {}

  /** What experts drop; nothing where each takes as many tokens as there are. */
  static Routing.@Nullable Drops drops(Settings c) {
    double fraction = c.get(FRACTION);
    if (fraction >= 1) {
      return null;
    }
    return fraction > 0
        ? new Routing.Drops(null, fraction, c.on(BEFORE))
        : new Routing.Drops(c.get(EncoderDecoder.CAPACITY), null, c.on(BEFORE));
  }

  /** Attention of so many heads, which share the width. */
  static Attention.Cross cross(Settings c, Key<Integer> heads) {
    int count = c.get(heads);
    int width = c.get(Llama.HIDDEN);
    if (width % count != 0) {
      throw c.wrong(heads, "a divisor of d_model " + width, count);
    }
    int size = width / count;
    return new Attention.Cross(count, size, 1 / Math.sqrt(size), true);
  }

  /** Which layers have experts, counted from 0. */
  static IntPredicate turn(Settings c, Key<Integer> step) {
    int turn = c.get(step);
    return i -> turn > 0 && (i + 1) % turn == 0;
  }

  /** The model with norms, positions and embeddings as all of them have these. */
  static Architecture embedded(Settings c, Architecture model) {
    int padding = c.get(PADDING);
    double factor = c.on(SCALED) ? Math.sqrt(c.get(Llama.HIDDEN)) : 1;
    var all =
        Parts.with(
            model,
            Map.of(
                "centredNorms", true,
                "normBiases", true,
                "positions", new Architecture.Sinusoids(padding + 1, padding)));
    return Parts.with(all, "multipliers", Architecture.Multipliers.of(factor, 1, 1));
  }
}
