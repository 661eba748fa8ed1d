package dev.moxie.verifier.oracle;

import static org.junit.jupiter.api.Assertions.assertEquals;

import dev.moxie.fixtures.Fixtures;
import dev.moxie.format.pack.MoxiePackage;
import dev.moxie.verifier.Packages;
import java.nio.file.Path;
import java.util.List;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

/** One pass for two implementations of different precisions gives what two passes give together. */
class PrecisionsTest {
  private static final long[] TOKENS = {1, 17, 3, 59, 63, 5, 2, 31};

  @TempDir Path folder;

  @ParameterizedTest
  @EnumSource(
      value = Precision.class,
      names = {"F16", "MIXED"})
  void errorsOfBothAddUpInQuadrature(Precision runtime) {
    Path checkpoint = Fixtures.root().resolve("random/deepseek_v3");
    try (MoxiePackage pack = MoxiePackage.open(Packages.convert(checkpoint, folder.resolve("p")))) {
      for (Precision reference : List.of(Precision.F32, Precision.BF16)) {
        Oracle both = oracle(pack, new Precisions(reference, runtime));
        Oracle one = oracle(pack, Precisions.of(reference));
        Oracle other = oracle(pack, Precisions.of(runtime));
        Estimate hidden = both.embed(TOKENS);
        Estimate first = one.embed(TOKENS);
        Estimate second = other.embed(TOKENS);
        for (int layer = 0; layer < pack.architecture().layers().size(); layer++) {
          Oracle.Layer of = both.layer(layer, TOKENS, hidden, null);
          List<int[]> experts = of.routed() == null ? null : of.routed().experts();
          Oracle.Layer a = one.layer(layer, TOKENS, first, experts);
          Oracle.Layer b = other.layer(layer, TOKENS, second, experts);
          of.steps().forEach((step, e) -> requireMean(a.step(step), b.step(step), e));
          hidden = of.output();
          first = a.output();
          second = b.output();
        }
        requireMean(one.head(first), other.head(second), both.head(hidden));
      }
    }
  }

  private static Oracle oracle(MoxiePackage pack, Precisions precisions) {
    var weights = Weights.asConverted(pack, precisions);
    return new Oracle(pack.architecture(), weights, precisions);
  }

  private static void requireMean(Estimate one, Estimate other, Estimate both) {
    for (int row = 0; row < both.rows(); row++) {
      for (int column = 0; column < both.columns(); column++) {
        double square = Math.pow(one.error(row, column), 2) + Math.pow(other.error(row, column), 2);
        double mean = Math.sqrt(square / 2);
        // Where a rounding has two parts, u and a, their product takes part, too.
        assertEquals(mean, both.error(row, column), 0.1 * mean);
      }
    }
  }

  /** A number of float16 is read as it is; another one is off by as much as rounding takes. */
  @ParameterizedTest
  @EnumSource(
      value = Precision.class,
      names = {"F16", "MIXED"})
  void whatIsRecordedInFloat32IsRoundedByTheRuntimeAlone(Precision runtime) {
    Path checkpoint = Fixtures.randomMixtrals().getFirst();
    try (MoxiePackage pack = MoxiePackage.open(Packages.convert(checkpoint, folder.resolve("p")))) {
      var recorded = Estimate.exact(new float[] {1, 1 + 0x1p-12f}, 2);
      Estimate given = oracle(pack, new Precisions(Precision.F32, runtime)).given(recorded);
      assertEquals(0, given.error(0, 0));
      assertEquals(0x1p-10 / Math.sqrt(12) / Math.sqrt(2), given.error(0, 1), 1e-12);
      Estimate single = oracle(pack, Precisions.of(Precision.F32)).given(recorded);
      assertEquals(0, single.error(0, 1));
    }
  }
}
