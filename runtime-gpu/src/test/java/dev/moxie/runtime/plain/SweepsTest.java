package dev.moxie.runtime.plain;

import static org.junit.jupiter.api.Assertions.assertEquals;

import dev.moxie.fixtures.Fixtures;
import dev.moxie.format.model.Projection;
import dev.moxie.format.pack.IndexRow;
import dev.moxie.format.pack.MoxiePackage;
import dev.moxie.runtime.Packages;
import java.nio.file.Path;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** A rate is a lie if less was computed than it says. */
class SweepsTest {
  @TempDir Path folder;

  /** Halving and adding one ends at two, and there are two operations for each. */
  @Test
  void everySumOfEveryLaneIsComputed() {
    double lanes = ArithmeticSweep.operations() / 2 / (1 << 16);
    assertEquals(2 * lanes, new ArithmeticSweep().run());
  }

  @Test
  void everyTurnMultipliesAsManyRowsAsItsBytesSay() {
    try (MoxiePackage pack = Packages.convert(Fixtures.tinyMixtral(), folder.resolve("p"))) {
      IndexRow row = pack.slice("layers.0.experts.gate_up.weight", 0, Projection.GATE);
      StoredMatrix matrix = StoredMatrix.of(pack, row);
      var sweep = new KernelSweep(pack, row);
      float[] products = sweep.run();
      float[] elements = new float[matrix.columns()];
      int rows = products.length / (16 * Team.shared().threads());
      for (int i = 0; i < products.length; i++) {
        matrix.read(i % rows, elements, 0);
        double sum = 0;
        for (float element : elements) {
          sum += element;
        }
        assertEquals(sum, products[i], 1e-4, "product " + i);
      }
      double bytesOfRow = (double) matrix.storedBytes() / matrix.rows();
      assertEquals(16 * products.length * bytesOfRow, sweep.bytes());
    }
  }
}
