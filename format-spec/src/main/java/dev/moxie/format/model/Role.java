package dev.moxie.format.model;

import java.util.Locale;
import java.util.Optional;
import org.jspecify.annotations.Nullable;

/** What a tensor does in the forward pass. Written in lower case in the tensor index. */
public enum Role {
  EMBEDDING("embedding.weight"),
  IMAGE_PATCH("image.patch.weight"),
  IMAGE_PATCH_BIAS("image.patch.bias"),
  IMAGE_CLASS("image.class"),
  IMAGE_POSITION("image.position.weight"),
  REPRESENTATION("representation.weight"),
  REPRESENTATION_BIAS("representation.bias"),
  TOWERS("towers.weight"),
  TOWERS_BIAS("towers.bias"),
  FINAL_NORM("final_norm.weight"),
  FINAL_NORM_BIAS("final_norm.bias"),
  HEAD("head.weight"),
  HEAD_BIAS("head.bias"),
  ATTENTION_NORM("attention_norm.weight"),
  ATTENTION_NORM_BIAS("attention_norm.bias"),
  ATTENTION_QUERY("attention.query.weight"),
  ATTENTION_QUERY_BIAS("attention.query.bias"),
  ATTENTION_KEY("attention.key.weight"),
  ATTENTION_KEY_BIAS("attention.key.bias"),
  ATTENTION_KEY_NORM("attention.key_norm.weight"),
  ATTENTION_VALUE("attention.value.weight"),
  ATTENTION_VALUE_BIAS("attention.value.bias"),
  ATTENTION_SINKS("attention.sinks"),
  ATTENTION_OUTPUT("attention.output.weight"),
  ATTENTION_OUTPUT_BIAS("attention.output.bias"),
  ATTENTION_OUTPUT_NORM("attention_output_norm.weight"),
  ATTENTION_QUERY_DOWN("attention.query_down.weight"),
  ATTENTION_QUERY_NORM("attention.query_norm.weight"),
  ATTENTION_QUERY_UP("attention.query_up.weight"),
  ATTENTION_LATENT_DOWN("attention.latent_down.weight"),
  ATTENTION_LATENT_NORM("attention.latent_norm.weight"),
  ATTENTION_LATENT_UP("attention.latent_up.weight"),
  ATTENTION_INDEX_QUERY("attention.index_query.weight"),
  ATTENTION_INDEX_QUERY_NORM("attention.index_query_norm.weight"),
  ATTENTION_INDEX_KEY("attention.index_key.weight"),
  ATTENTION_INDEX_KEY_NORM("attention.index_key_norm.weight"),
  ATTENTION_INDEX_KEY_NORM_BIAS("attention.index_key_norm.bias"),
  ATTENTION_INDEX_WEIGHTS("attention.index_weights.weight"),
  DELTA_MIXED("delta.mixed.weight"),
  DELTA_GATE("delta.gate.weight"),
  DELTA_WRITE("delta.write.weight"),
  DELTA_DECAY("delta.decay.weight"),
  DELTA_WRITE_DECAY("delta.write_decay.weight"),
  DELTA_QUERY("delta.query.weight"),
  DELTA_KEY("delta.key.weight"),
  DELTA_VALUE("delta.value.weight"),
  DELTA_DECAY_DOWN("delta.decay_down.weight"),
  DELTA_DECAY_UP("delta.decay_up.weight"),
  DELTA_GATE_DOWN("delta.gate_down.weight"),
  DELTA_GATE_UP("delta.gate_up.weight"),
  DELTA_CONVOLUTION("delta.convolution.weight"),
  DELTA_QUERY_CONVOLUTION("delta.query_convolution.weight"),
  DELTA_KEY_CONVOLUTION("delta.key_convolution.weight"),
  DELTA_VALUE_CONVOLUTION("delta.value_convolution.weight"),
  DELTA_DECAY_SHIFT("delta.decay_shift.weight"),
  DELTA_DECAY_RATE("delta.decay_rate.weight"),
  DELTA_NORM("delta.norm.weight"),
  DELTA_OUTPUT("delta.output.weight"),
  CONVOLUTION_INPUT("convolution.input.weight"),
  CONVOLUTION_INPUT_BIAS("convolution.input.bias"),
  CONVOLUTION_TAPS("convolution.taps.weight"),
  CONVOLUTION_TAPS_BIAS("convolution.taps.bias"),
  CONVOLUTION_OUTPUT("convolution.output.weight"),
  CONVOLUTION_OUTPUT_BIAS("convolution.output.bias"),
  FEED_FORWARD_NORM("feed_forward_norm.weight"),
  FEED_FORWARD_NORM_BIAS("feed_forward_norm.bias"),
  FEED_FORWARD_OUTPUT_NORM("feed_forward_output_norm.weight"),
  DENSE_GATE("dense.gate.weight"),
  DENSE_UP("dense.up.weight"),
  DENSE_DOWN("dense.down.weight"),
  DENSE_GATE_BIAS("dense.gate.bias"),
  DENSE_UP_BIAS("dense.up.bias"),
  DENSE_DOWN_BIAS("dense.down.bias"),
  ROUTER("router.weight"),
  ROUTER_BIAS("router.bias"),
  ROUTER_PRIMARY("router.primary.weight"),
  ROUTER_PROJECTION("router.projection.weight"),
  ROUTER_PROJECTION_BIAS("router.projection.bias"),
  ROUTER_TEMPERATURE("router.temperature"),
  SHARED_MIX("shared.mix.weight"),
  SHARED_MIX_BIAS("shared.mix.bias"),
  SHARED_GATE("shared.gate.weight"),
  SHARED_UP("shared.up.weight"),
  SHARED_DOWN("shared.down.weight"),
  SHARED_SWITCH("shared.switch.weight"),
  EXPERT_GATE_UP("experts.gate_up.weight"),
  EXPERT_GATE_UP_BIAS("experts.gate_up.bias"),
  EXPERT_UP("experts.up.weight"),
  EXPERT_UP_BIAS("experts.up.bias"),
  EXPERT_DOWN("experts.down.weight"),
  EXPERT_DOWN_BIAS("experts.down.bias"),
  PREDICTION_EMBEDDING("prediction.embedding.weight"),
  PREDICTION_EMBEDDING_NORM("prediction.embedding_norm.weight"),
  PREDICTION_HIDDEN_NORM("prediction.hidden_norm.weight"),
  PREDICTION_COMBINE("prediction.combine.weight"),
  PREDICTION_FINAL_NORM("prediction.final_norm.weight"),
  PREDICTION_HEAD("prediction.head.weight"),
  ROUTER_TABLE("router.table"),
  ATTENTION_KEY_VALUE("attention.key_value.weight"),
  ATTENTION_KEY_VALUE_NORM("attention.key_value_norm.weight"),
  ATTENTION_OUTPUT_DOWN("attention.output_down.weight"),
  ATTENTION_ENTRY("attention.entry.weight"),
  ATTENTION_ENTRY_GATE("attention.entry_gate.weight"),
  ATTENTION_ENTRY_PLACE("attention.entry_place.weight"),
  ATTENTION_ENTRY_NORM("attention.entry_norm.weight"),
  ATTENTION_INDEX_GATE("attention.index_gate.weight"),
  ATTENTION_INDEX_PLACE("attention.index_place.weight"),
  ATTENTION_STREAMS("attention_streams.weight"),
  ATTENTION_STREAMS_FACTORS("attention_streams.factors"),
  ATTENTION_STREAMS_SHIFT("attention_streams.shift"),
  FEED_FORWARD_STREAMS("feed_forward_streams.weight"),
  FEED_FORWARD_STREAMS_FACTORS("feed_forward_streams.factors"),
  FEED_FORWARD_STREAMS_SHIFT("feed_forward_streams.shift"),
  FINAL_STREAMS("final_streams.weight"),
  FINAL_STREAMS_FACTORS("final_streams.factors"),
  FINAL_STREAMS_SHIFT("final_streams.shift"),
  ROUTER_NORM("router_norm.weight"),
  ROUTER_FACTORS("router.factors"),
  EXPERT_NORM("experts_norm.weight"),
  EXPERT_OUTPUT_NORM("experts_output_norm.weight"),
  DENSE_OUTPUT_NORM("dense_output_norm.weight"),
  LAYER_FACTOR("layer.factor"),
  ATTENTION_OUTPUT_GATE("attention.output_gate.weight"),
  ATTENTION_DISTANCES("attention.distances"),
  ATTENTION_ROUTER("attention.router.weight"),
  EXPERT_SUM_BIAS("experts.sum.bias"),
  CROSS_NORM("cross_norm.weight"),
  CROSS_NORM_BIAS("cross_norm.bias"),
  CROSS_QUERY("cross.query.weight"),
  CROSS_QUERY_BIAS("cross.query.bias"),
  CROSS_KEY("cross.key.weight"),
  CROSS_KEY_BIAS("cross.key.bias"),
  CROSS_VALUE("cross.value.weight"),
  CROSS_VALUE_BIAS("cross.value.bias"),
  CROSS_OUTPUT("cross.output.weight"),
  CROSS_OUTPUT_BIAS("cross.output.bias"),
  ENCODER_NORM("encoder_norm.weight"),
  ENCODER_NORM_BIAS("encoder_norm.bias"),
  MAMBA_INPUT("mamba.input.weight"),
  MAMBA_INPUT_BIAS("mamba.input.bias"),
  MAMBA_CONVOLUTION("mamba.convolution.weight"),
  MAMBA_CONVOLUTION_BIAS("mamba.convolution.bias"),
  MAMBA_STEP_SHIFT("mamba.step_shift.weight"),
  MAMBA_DECAY_RATE("mamba.decay_rate.weight"),
  MAMBA_SKIP("mamba.skip.weight"),
  MAMBA_NORM("mamba.norm.weight"),
  MAMBA_PARAMETERS("mamba.parameters.weight"),
  MAMBA_STEP("mamba.step.weight"),
  MAMBA_STEP_NORM("mamba.step_norm.weight"),
  MAMBA_KEY_NORM("mamba.key_norm.weight"),
  MAMBA_QUERY_NORM("mamba.query_norm.weight"),
  MAMBA_OUTPUT("mamba.output.weight"),
  MAMBA_OUTPUT_BIAS("mamba.output.bias"),
  LIGHTNING_INPUT("lightning.input.weight"),
  LIGHTNING_GATE("lightning.gate.weight"),
  LIGHTNING_NORM("lightning.norm.weight"),
  LIGHTNING_OUTPUT("lightning.output.weight"),
  /** Block scales of the tensor that has the same name but for its ending. */
  SCALE(null),
  /** What lies in the checkpoint's weight files besides: kept for export, never computed with. */
  OPAQUE(null),
  /** Zeros that bring the next tensor to its alignment. */
  PADDING(null);

  private final String id = name().toLowerCase(Locale.ROOT);
  private final @Nullable String tensor;

  Role(@Nullable String tensor) {
    this.tensor = tensor;
  }

  /** Whether a tensor of this role is never cast: rounding it would change decisions. */
  public boolean keepsItsDtype() {
    return switch (this) {
      case ROUTER, ROUTER_BIAS, ROUTER_TABLE, ROUTER_PROJECTION, ROUTER_PROJECTION_BIAS -> true;
      case ROUTER_PRIMARY, ROUTER_TEMPERATURE, ATTENTION_ROUTER, OPAQUE -> true;
      default -> false;
    };
  }

  /** Whether all heads share a vector of this role. */
  boolean isOfHeads() {
    return this == ATTENTION_QUERY_NORM || this == ATTENTION_KEY_NORM;
  }

  /** Whether the model's own tensor of this kind serves where a package holds none. */
  public boolean mayBeShared() {
    return this == PREDICTION_EMBEDDING || this == PREDICTION_HEAD;
  }

  /** What serves in place of one that {@linkplain #mayBeShared() may be shared}. */
  public Role shared(boolean tiedEmbeddings) {
    return this == PREDICTION_EMBEDDING || tiedEmbeddings ? EMBEDDING : HEAD;
  }

  /**
   * The canonical name of the tensor, within its layer where it belongs to one.
   *
   * @throws IllegalStateException if tensors of this role are named after others
   */
  public String tensor() {
    if (tensor == null) {
      throw new IllegalStateException(id + " has no name of its own");
    }
    return tensor;
  }

  /** The name in the tensor index. */
  public String id() {
    return id;
  }

  public static Optional<Role> of(String id) {
    for (Role role : values()) {
      if (role.id().equals(id)) {
        return Optional.of(role);
      }
    }
    return Optional.empty();
  }
}
