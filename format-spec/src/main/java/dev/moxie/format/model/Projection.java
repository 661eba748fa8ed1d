package dev.moxie.format.model;

import java.util.Locale;
import java.util.Optional;

/** One matrix of an expert. */
public enum Projection {
  GATE,
  UP,
  DOWN;

  private final String id = name().toLowerCase(Locale.ROOT);

  /** The name in the tensor index. */
  public String id() {
    return id;
  }

  public static Optional<Projection> of(String id) {
    for (Projection projection : values()) {
      if (projection.id().equals(id)) {
        return Optional.of(projection);
      }
    }
    return Optional.empty();
  }
}
