package dev.moxie.runtime.execution;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertSame;
import static org.junit.jupiter.api.Assertions.assertThrows;

import dev.moxie.fixtures.Fixtures;
import dev.moxie.format.error.UnsupportedException;
import dev.moxie.format.pack.MoxiePackage;
import dev.moxie.runtime.Packages;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** Nobody gets a model that was not proven. */
class OpeningTest {
  @TempDir Path folder;

  /** Lets nothing through, and keeps what it was shown. */
  private static final class Refusing implements LoweringProof {
    final List<Opening> openings = new ArrayList<>();
    final List<Model> models = new ArrayList<>();
    final UnsupportedException refusal = new UnsupportedException("it", "this", "that", "leave it");

    @Override
    public <M extends Model> M require(Opening opening, M model) {
      openings.add(opening);
      models.add(model);
      throw refusal;
    }
  }

  @Test
  void everyWayOfOpeningAsksForTheProofAndClosesWhatIsRefused() {
    try (MoxiePackage pack =
        Packages.convert(Fixtures.randomMixtrals().getFirst(), folder.resolve("p"))) {
      var proof = new Refusing();
      List<Opening> expected = new ArrayList<>();
      for (Execution execution : Execution.of(Device.CPU)) {
        for (boolean permuted : new boolean[] {false, true}) {
          expected.add(new Opening(pack, execution, Device.CPU, Device.CPU.target(), permuted));
          assertSame(
              proof.refusal,
              assertThrows(
                  UnsupportedException.class,
                  () -> {
                    if (permuted) {
                      execution.openPermuted(pack, Device.CPU, proof);
                    } else {
                      execution.open(pack, Device.CPU, proof);
                    }
                  }));
        }
      }
      assertEquals(expected, proof.openings);
      Model fused = proof.models.getLast();
      assertThrows(IllegalStateException.class, () -> fused.begin(1));
    }
  }
}
