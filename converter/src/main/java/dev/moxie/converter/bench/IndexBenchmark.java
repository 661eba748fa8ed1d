package dev.moxie.converter.bench;

import dev.moxie.converter.checkpoint.Checkpoint;
import dev.moxie.converter.plan.Conversion;
import dev.moxie.converter.plan.Planner;
import dev.moxie.format.pack.IndexRow;
import dev.moxie.format.pack.MoxiePackage;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Set;

/** How planning and opening grow with the number of tensors, in a warm JVM. */
public final class IndexBenchmark {
  private static final int WARM_UP = 20;
  private static final int TIMES = 21;

  private IndexBenchmark() {}

  /**
   * Medians for one size.
   *
   * @param planSeconds opening the checkpoint and planning
   * @param openSeconds opening the package, its index digested and checked, and finding a tensor
   */
  public record Row(int tensors, double planSeconds, double openSeconds) {}

  /** Measures a checkpoint and a package made of it. */
  public static Row measure(Path checkpoint, Path pack) {
    var conversion = new Conversion(Set.of(), Conversion.Prediction.KEEP, null);
    int tensors = Checkpoint.open(checkpoint).tensors().size();
    double plan = median(() -> Planner.plan(Checkpoint.open(checkpoint), conversion));
    double open = median(() -> openAndFind(pack));
    return new Row(tensors, plan, open);
  }

  private static void openAndFind(Path folder) {
    try (MoxiePackage pack = MoxiePackage.open(folder)) {
      IndexRow last = pack.rows().getLast();
      if (last.expert() != null && last.projection() != null) {
        pack.slice(last.name(), last.expert(), last.projection());
      }
    }
  }

  private static double median(Runnable work) {
    List<Double> seconds = new ArrayList<>();
    for (int i = 0; i < WARM_UP + TIMES; i++) {
      long start = System.nanoTime();
      work.run();
      if (i >= WARM_UP) {
        seconds.add((System.nanoTime() - start) / 1e9);
      }
    }
    seconds.sort(null);
    return seconds.get(TIMES / 2);
  }
}
