package dev.moxie.runtime.http;

import dev.moxie.runtime.execution.ExpertLoad;
import dev.moxie.runtime.execution.Utilisation;
import io.micrometer.core.instrument.FunctionCounter;
import io.micrometer.core.instrument.Gauge;
import io.micrometer.core.instrument.MeterRegistry;
import io.micrometer.core.instrument.Tags;
import java.util.function.ToDoubleFunction;

/** How a model's experts are used since it was opened, by layer: the figures of {@link Utilisation}. */
final class ExpertMetrics {
  private ExpertMetrics() {}

  static void register(MeterRegistry registry, ExpertLoad load, boolean each) {
    for (int layer = 0; layer < load.layers(); layer++) {
      if (load.experts(layer) > 0) {
        gauge(registry, load, layer, "moxie_expert_imbalance", Utilisation::imbalance);
        gauge(registry, load, layer, "moxie_experts_effective", Utilisation::effectiveExperts);
        gauge(registry, load, layer, "moxie_experts_unused", use -> use.unused().size());
        gauge(registry, load, layer, "moxie_experts_dead", use -> use.dead().size());
      }
      for (int expert = 0; each && expert < load.experts(layer); expert++) {
        counter(registry, load, layer, expert);
      }
    }
  }

  private static void gauge(
      MeterRegistry registry,
      ExpertLoad load,
      int layer,
      String name,
      ToDoubleFunction<Utilisation> figure) {
    Gauge.builder(
            name,
            () -> {
              Utilisation use = load.utilisation(layer);
              return use == null ? Double.NaN : figure.applyAsDouble(use);
            })
        .tags("layer", String.valueOf(layer))
        .register(registry);
  }

  private static void counter(MeterRegistry registry, ExpertLoad load, int layer, int expert) {
    FunctionCounter.builder("moxie_expert_tokens", load, l -> l.tokens(layer, expert))
        .tags(Tags.of("layer", String.valueOf(layer), "expert", String.valueOf(expert)))
        .register(registry);
  }
}
