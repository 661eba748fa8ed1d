package dev.moxie.format.model;

import java.util.Locale;
import java.util.Optional;

/** What a tensor does in the forward pass. Written in lower case in the tensor index. */
public enum Role {
  EMBEDDING,
  FINAL_NORM,
  HEAD,
  ATTENTION_NORM,
  ATTENTION_QUERY,
  ATTENTION_KEY,
  ATTENTION_VALUE,
  ATTENTION_OUTPUT,
  ATTENTION_QUERY_DOWN,
  ATTENTION_QUERY_NORM,
  ATTENTION_QUERY_UP,
  ATTENTION_LATENT_DOWN,
  ATTENTION_LATENT_NORM,
  ATTENTION_LATENT_UP,
  FEED_FORWARD_NORM,
  DENSE_GATE,
  DENSE_UP,
  DENSE_DOWN,
  ROUTER,
  ROUTER_BIAS,
  SHARED_GATE,
  SHARED_UP,
  SHARED_DOWN,
  EXPERT_GATE_UP,
  EXPERT_DOWN,
  PREDICTION_EMBEDDING,
  PREDICTION_EMBEDDING_NORM,
  PREDICTION_HIDDEN_NORM,
  PREDICTION_COMBINE,
  PREDICTION_FINAL_NORM,
  PREDICTION_HEAD,
  /** Block scales of the tensor that has the same name but for its ending. */
  SCALE,
  /** What lies in the checkpoint's weight files besides: kept for export, never computed with. */
  OPAQUE,
  /** Zeros that bring the next tensor to its alignment. */
  PADDING;

  private final String id = name().toLowerCase(Locale.ROOT);

  /** Whether a tensor of this role is never cast: rounding it would change decisions. */
  public boolean keepsItsDtype() {
    return this == ROUTER || this == ROUTER_BIAS || this == OPAQUE;
  }

  /** Whether the model's own tensor of this kind serves where a package holds none. */
  public boolean mayBeShared() {
    return this == PREDICTION_EMBEDDING || this == PREDICTION_HEAD;
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
