package dev.moxie.verifier;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.moxie.converter.checkpoint.Config;
import dev.moxie.converter.family.ReleaseTensors;
import dev.moxie.fixtures.MixtralConfig;
import dev.moxie.fixtures.SyntheticCheckpoint;
import dev.moxie.fixtures.SyntheticValues;
import dev.moxie.format.pack.MoxiePackage;
import dev.moxie.runtime.execution.Device;
import dev.moxie.runtime.execution.Execution;
import dev.moxie.runtime.execution.Model;
import dev.moxie.verifier.report.Comparison;
import dev.moxie.verifier.report.Verdict;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Comparator;
import java.util.List;
import java.util.stream.Stream;
import net.jqwik.api.Arbitraries;
import net.jqwik.api.Arbitrary;
import net.jqwik.api.Combinators;
import net.jqwik.api.ForAll;
import net.jqwik.api.Property;
import net.jqwik.api.Provide;

/** Checkpoints of the family in sizes that nobody released, against the oracle. */
class AnyShapeTest {
  @Provide
  Arbitrary<MixtralConfig> shapes() {
    return Combinators.combine(
            Arbitraries.integers().between(1, 3),
            Arbitraries.integers().between(1, 70),
            Arbitraries.integers().between(1, 60),
            Arbitraries.integers().between(1, 20),
            Arbitraries.integers().between(1, 20),
            Arbitraries.integers().between(1, 4),
            Arbitraries.integers().between(1, 4),
            Arbitraries.integers().between(1, 14))
        .as(
            (layers, hidden, intermediate, experts, k, groups, keyValueHeads, pairs) ->
                new MixtralConfig(
                    layers,
                    hidden,
                    intermediate,
                    experts,
                    Math.min(k, experts),
                    groups * keyValueHeads,
                    keyValueHeads,
                    2 * pairs,
                    23));
  }

  @Property(tries = 40)
  void runsInBothExecutionsLikeTheOracle(@ForAll("shapes") MixtralConfig shape) throws IOException {
    Path folder = Files.createTempDirectory("moxie-shape");
    try {
      SyntheticCheckpoint.write(
          folder.resolve("c"),
          shape.json(),
          List.of(ReleaseTensors.of(Config.parse("config.json", shape.json()))),
          new SyntheticValues(5));
      Packages.convert(folder.resolve("c"), folder.resolve("p"));
      try (MoxiePackage pack = MoxiePackage.open(folder.resolve("p"))) {
        for (Execution execution : Execution.of(Device.CPU)) {
          try (Model model = execution.open(pack, Device.CPU, new Unproven())) {
            Comparison logits =
                LoweringCheck.compare(pack, model, dev.moxie.verifier.oracle.Precision.F32);
            assertEquals(Verdict.PASS, logits.verdict(), execution + ": " + logits);
            assertTrue(logits.maxRel() < 1e-4, execution + ": " + logits);
          }
        }
      }
    } finally {
      try (Stream<Path> walk = Files.walk(folder)) {
        walk.sorted(Comparator.reverseOrder()).forEach(path -> path.toFile().delete());
      }
    }
  }
}
