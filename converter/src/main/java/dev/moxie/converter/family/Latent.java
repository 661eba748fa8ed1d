package dev.moxie.converter.family;

import dev.moxie.format.model.Attention;
import dev.moxie.format.model.Limits;
import dev.moxie.format.model.Parts;
import dev.moxie.format.model.Rotary;

/**
 * Multi-head latent attention as the config.json of DeepSeek and its descendants says it: keys, and
 * the part that follows from them.
 */
final class Latent {
  static final Key<Integer> QUERY_RANK =
      Key.count("q_lora_rank", Limits.MAX_WIDTH, "width of the queries' latent").orNone();
  private static final Key<Integer> RANK =
      Key.count("kv_lora_rank", Limits.MAX_WIDTH, "width of the latent of keys and values");
  private static final Key<Integer> PLAIN =
      Key.count("qk_nope_head_dim", Limits.MAX_WIDTH, "part of a head that positions leave");
  private static final Key<Integer> TURNED =
      Key.count("qk_rope_head_dim", Limits.MAX_WIDTH, "part of a head that positions turn");
  private static final Key<Integer> BOTH =
      Key.count("qk_head_dim", Limits.MAX_WIDTH, "both parts of a head together").orNone();
  private static final Key<Integer> VALUE =
      Key.count("v_head_dim", Limits.MAX_WIDTH, "width of a value head");

  /** The norms inside keep the default of their class, whatever config.json says. */
  private static final Key<Double> EPSILON =
      Key.positive("latent norms", "epsilon of the norms inside attention").constant(1e-6);

  /** Those of a model with latent attention. */
  static final Keys KEYS =
      Llama.KEYS
          .without(Llama.HEAD_SIZE)
          .and(Llama.BIASES.only(false))
          .and(QUERY_RANK, RANK, PLAIN, TURNED, BOTH, VALUE, EPSILON)
          .neutral("the two parts of a head say it; transformers writes one of them", "head_dim");

  private Latent() {}

  static Attention.MultiHeadLatent attention(Settings c, Rotary.Pairing pairing) {
    return unturned(c).withRotary(RotarySettings.latent(c, c.get(TURNED), pairing));
  }

  /** The same where no position turns anything. */
  static Attention.MultiHeadLatent unturned(Settings c) {
    int heads = c.get(Llama.HEADS);
    Integer keyHeads = c.find(Llama.KEY_HEADS);
    if (keyHeads != null && keyHeads != heads) {
      throw c.unsupported(Llama.KEY_HEADS, "as many as query heads, " + heads, keyHeads);
    }
    int plain = c.get(PLAIN);
    int turned = c.get(TURNED);
    Integer both = c.find(BOTH);
    if (both != null && both != plain + turned) {
      throw c.wrong(BOTH, "qk_nope_head_dim + qk_rope_head_dim, " + (plain + turned), both);
    }
    return new Attention.MultiHeadLatent(
        heads,
        c.find(QUERY_RANK),
        c.get(RANK),
        plain,
        c.get(VALUE),
        1 / Math.sqrt(plain + (double) turned),
        c.get(EPSILON),
        null,
        turned,
        null,
        null,
        null);
  }

  /**
   * The same, queries and latents being multiplied by the roots of how many times narrower than the
   * residual stream what they come from is. What multiplies queries multiplies scores.
   */
  static Attention.MultiHeadLatent multiplied(Settings c, Attention.MultiHeadLatent a) {
    double ofQueries = Math.sqrt((double) c.get(Llama.HIDDEN) / c.get(QUERY_RANK));
    double ofLatents = Math.sqrt((double) c.get(Llama.HIDDEN) / c.get(RANK));
    var scaled = a.withScale(a.scale() * ofQueries);
    return Parts.with(scaled, "latentFactor", ofLatents == 1 ? null : ofLatents);
  }
}
