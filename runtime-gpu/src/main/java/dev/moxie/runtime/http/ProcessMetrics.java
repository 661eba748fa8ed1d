package dev.moxie.runtime.http;

import dev.moxie.runtime.execution.Resident;
import dev.moxie.runtime.execution.StorageReads;
import io.micrometer.core.instrument.FunctionCounter;
import io.micrometer.core.instrument.Gauge;
import io.micrometer.core.instrument.MeterRegistry;

/** What the system says of this process, where it does. */
final class ProcessMetrics {
  private static final double MEGABYTE = 1e6;

  private ProcessMetrics() {}

  static void register(MeterRegistry registry) {
    if (StorageReads.bytes().isPresent()) {
      FunctionCounter.builder(
              "moxie_storage_read_bytes", registry, r -> StorageReads.bytes().orElse(0))
          .register(registry);
    }
    if (Resident.now() != null) {
      Gauge.builder("process_resident_memory_bytes", ProcessMetrics::resident).register(registry);
    }
  }

  private static double resident() {
    Resident now = Resident.now();
    return now == null ? Double.NaN : (now.anonymous() + now.file()) * MEGABYTE;
  }
}
