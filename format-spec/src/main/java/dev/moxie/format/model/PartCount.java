package dev.moxie.format.model;

import java.util.ArrayList;
import java.util.EnumMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;

/**
 * How many of a model's parameters belong to one part of it; over all parts they add up to {@link
 * ParameterCount}'s total and active.
 *
 * @param part what people call it
 * @param total parameters
 * @param active those that take part in one token's forward pass
 */
public record PartCount(String part, long total, long active) {

  /** What of a model a tensor belongs to, as people speak of what it costs. */
  public enum Part {
    ROUTED_EXPERTS("experts"),
    SHARED_EXPERTS("shared"),
    DENSE_NETWORKS("dense"),
    ROUTERS("router"),
    ATTENTION("attention", "cross", "delta", "convolution", "mamba", "lightning"),
    EMBEDDING("embedding", "image"),
    HEAD("head", "representation", "towers"),
    PREDICTION("prediction"),
    KEPT_FOR_EXPORT,
    NORMS_AND_OTHERS;

    @SuppressWarnings("ImmutableEnumChecker") // A list of List.of.
    private final List<String> beginnings;

    /** What the canonical names of its tensors begin with. */
    Part(String... beginnings) {
      this.beginnings = List.of(beginnings);
    }

    /** That of a tensor which is named after its role. */
    public static Part of(Role role) {
      if (role == Role.OPAQUE) {
        return KEPT_FOR_EXPORT;
      }
      if (role == Role.EXPERT_SUM_BIAS) {
        return NORMS_AND_OTHERS; // No expert's: whichever are chosen, it is added.
      }
      String beginning = role.tensor().substring(0, role.tensor().indexOf('.'));
      for (Part part : values()) {
        if (part.beginnings.contains(beginning)) {
          return part;
        }
      }
      return NORMS_AND_OTHERS;
    }

    /** What people call it. */
    public String words() {
      return name().toLowerCase(Locale.ROOT).replace('_', ' ');
    }
  }

  /** Those of a model that have any, largest first. */
  public static List<PartCount> of(Architecture architecture) {
    Map<Part, PartCount> counts = new EnumMap<>(Part.class);
    for (TensorSpec spec : ParameterCount.counted(architecture)) {
      Part part = Part.of(spec.role());
      long elements = spec.shape().elements();
      var count = new PartCount(part.words(), elements, ParameterCount.active(architecture, spec));
      counts.merge(part, count, PartCount::plus);
    }
    List<PartCount> largest = new ArrayList<>(counts.values());
    largest.sort((a, b) -> Long.compare(b.total, a.total));
    return List.copyOf(largest);
  }

  private PartCount plus(PartCount other) {
    return new PartCount(part, total + other.total, active + other.active);
  }
}
