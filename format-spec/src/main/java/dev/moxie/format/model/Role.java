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
  FEED_FORWARD_NORM,
  ROUTER,
  EXPERT_GATE_UP,
  EXPERT_DOWN,
  /** Zeros that bring the next tensor to its alignment. */
  PADDING;

  /** The name in the tensor index. */
  public String id() {
    return name().toLowerCase(Locale.ROOT);
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
