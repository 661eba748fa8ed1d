package dev.moxie.converter.family;

import dev.moxie.format.model.Architecture;
import dev.moxie.format.model.Attention;
import dev.moxie.format.model.Limits;
import dev.moxie.format.model.Parts;
import dev.moxie.format.model.Routing;
import java.util.List;
import java.util.function.IntPredicate;

/**
 * Switch Transformers (Fedus et al., 2021; transformers {@code
 * models/switch_transformers/modeling_switch_transformers.py}): T5 whose experts drop tokens.
 */
final class SwitchTransformers {
  private static final Key<Integer> SPARSE =
      Key.whole("num_sparse_encoder_layers", 0, Limits.MAX_LAYERS, "so many with experts").or(3);
  private static final Key<Integer> OWN =
      Key.whole("num_sparse_decoder_layers", 0, Limits.MAX_LAYERS, "the same of a decoder").or(3);

  static final Family FAMILY =
      new Family(
          "switch_transformers",
          "SwitchTransformersForConditionalGeneration",
          EncoderDecoder.KEYS
              .and(EncoderDecoder.LAYERS.spelled("num_layers"), SPARSE, OWN)
              .and(Distances.KEYS)
              .and(EncoderDecoder.DECODER_LAYERS.spelled("num_decoder_layers").orNone())
              .and(EncoderDecoder.ACTIVATION.spelled("dense_act_fn"), Experts.COUNT.or(8))
              .and(Llama.POSITIONS.spelled("n_positions").or(512), Experts.WIDTH.spelled("d_ff"))
              .and(Llama.HEADS.spelled("num_heads"), Llama.HEAD_SIZE.spelled("d_kv").always())
              .and(Llama.EPSILON.spelled("layer_norm_epsilon").or(1e-6))
              .neutral("follow from numbers", "encoder_sparse_step", "decoder_sparse_step")
              .neutral("in training alone", "router_jitter_noise", "initializer_factor")
              .neutral("in training alone", "add_router_probs", "dropout_rate"),
          SwitchTransformers::model,
          List.of(Names.SWITCH));

  private SwitchTransformers() {}

  private static Architecture model(Settings c) {
    int layers = c.get(EncoderDecoder.LAYERS);
    Integer stated = c.find(EncoderDecoder.DECODER_LAYERS);
    int own = stated == null ? layers : stated;
    int width = c.get(Experts.WIDTH);
    var cross = new Attention.Cross(c.get(Llama.HEADS), c.get(Llama.HEAD_SIZE), 1, false);
    var distances = Distances.of(c, false);
    var a = Parts.with(EncoderDecoder.attention(cross), "distances", distances);
    var drops = new Routing.Drops(c.get(EncoderDecoder.CAPACITY), null, false);
    var routing = EncoderDecoder.routing(c, 1, drops);
    var read =
        EncoderDecoder.layers(c, layers, a, null, width, routing, turn(layers, c.get(SPARSE)));
    var written = EncoderDecoder.layers(c, own, a, cross, width, routing, turn(own, c.get(OWN)));
    var logits = Architecture.Multipliers.of(1, 1, 1 / Math.sqrt(c.get(Llama.HIDDEN)));
    return Parts.with(EncoderDecoder.model(c, read, written), "multipliers", logits);
  }

  private static IntPredicate turn(int layers, int sparse) {
    int step = layers / (sparse == 0 ? 1 : sparse);
    return i -> step == 1 || (step > 0 && i % step == 1);
  }
}
