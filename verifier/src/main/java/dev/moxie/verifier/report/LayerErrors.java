package dev.moxie.verifier.report;

/** How near a layer comes to its bounds. */
public final class LayerErrors {
  private LayerErrors() {}

  /** The layer on the reference's own input: of all its steps, the element nearest to failing. */
  public static Comparison.Element alone(Report.Layer layer) {
    return layer.steps().values().stream()
        .map(Comparison::worst)
        .reduce(layer.worst(), (a, b) -> b.isWorseThan(a) ? b : a);
  }

  /** Whether the layer holds, alone and from the tokens on. */
  public static boolean hold(Report.Layer layer) {
    return layer.verdict().passed() && Report.holds(layer.accumulated());
  }
}
