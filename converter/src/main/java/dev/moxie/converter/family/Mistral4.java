package dev.moxie.converter.family;

import dev.moxie.format.model.Architecture;
import dev.moxie.format.model.Attention;
import dev.moxie.format.model.Parts;
import dev.moxie.format.model.Routing;
import java.util.List;

/**
 * Mistral Small 4 (Mistral AI, 2026; transformers {@code models/mistral4/modeling_mistral4.py}):
 * latent attention whose queries grow with their position, a softmax within groups by the sum of
 * their two best experts, fused experts.
 */
final class Mistral4 {
  private static final Key<Double> GROWTH =
      Key.positive("llama_4_scaling_beta", "how queries grow with their position")
          .spelled("rope_parameters.llama_4_scaling_beta");
  private static final Key<Integer> FLOOR =
      Key.count("original_max_position_embeddings", Integer.MAX_VALUE, "from where on they do")
          .spelled("rope_parameters.original_max_position_embeddings");

  private static final Key<Double> PART =
      RotarySettings.PARTIAL.spelled("rope_parameters.partial_rotary_factor").any().orNone();

  static final Family FAMILY =
      new Family(
          "mistral4",
          "Mistral4ForCausalLM",
          Latent.KEYS
              .and(DeepSeekV3.INTERLEAVED, GROWTH, FLOOR)
              .and(RotarySettings.THETA.spelled("rope_theta", "rope_parameters.rope_theta"))
              .and(PART)
              .and(DeepSeekV2.EXPERTS)
              .and(Experts.NORMALISED.or(true), Experts.SCALE.or(1.0), Experts.DENSE_FIRST.or(0))
              .and(Experts.GROUPS.or(1), Experts.KEPT_GROUPS.or(1), Experts.SHARED.or(1))
              .neutral("repeats it", "rope_parameters.max_position_embeddings"),
          Mistral4::model,
          List.of(
              Names.fused(Names.released(Names.LLAMA, Names.LATENT, Names.DENSE, Names.SHARED))
                  .as("released")));

  private Mistral4() {}

  private static Architecture model(Settings c) {
    var latent = Latent.attention(c, DeepSeekV3.pairing(c));
    int turned = latent.shared();
    Double part = c.find(PART);
    if (part != null && (int) (latent.headSize() * part) != turned) {
      throw c.wrong(PART, turned + " / " + latent.headSize(), part);
    }
    var growth = new Attention.Temperature(c.get(GROWTH), c.get(FLOOR), true);
    var groups =
        Experts.groups(c, Routing.Groups.Aggregate.SUM_OF_TOP_TWO, Routing.Groups.MaskValue.ZERO);
    var routing = Experts.softmax(c).withGroups(groups).withScale(c.get(Experts.SCALE));
    var normalised = routing.withNormalisation(DeepSeekV3.normalisation(c));
    return Experts.model(c, Parts.with(latent, "temperature", growth), Experts.of(c, normalised));
  }
}
