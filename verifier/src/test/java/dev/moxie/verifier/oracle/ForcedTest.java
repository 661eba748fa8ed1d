package dev.moxie.verifier.oracle;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotSame;
import static org.junit.jupiter.api.Assertions.assertSame;

import dev.moxie.fixtures.Fixtures;
import dev.moxie.format.model.Architecture;
import dev.moxie.format.model.Attention;
import dev.moxie.format.model.Step;
import dev.moxie.format.pack.MoxiePackage;
import dev.moxie.format.trace.Trace;
import dev.moxie.verifier.Packages;
import dev.moxie.verifier.oracle.Forced.Stage;
import java.nio.file.Path;
import java.util.List;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class ForcedTest {
  @TempDir Path folder;

  private MoxiePackage pack;
  private Trace trace;
  private Weights weights;
  private Recorded recorded;
  private Forced own;

  @BeforeEach
  void readALayer() {
    Path checkpoint = Fixtures.tinyMixtral();
    pack = MoxiePackage.open(Packages.convert(checkpoint, folder.resolve("p")));
    trace = Trace.open(Fixtures.traces(checkpoint).getFirst());
    weights = Weights.asConverted(pack, Precision.F32);
    recorded = new Recorded(trace, pack.architecture());
    own = new Forced(pack.architecture(), weights, Precision.F32, recorded, 1);
    own.computed(Stage.ATTENTION);
    own.computed(Stage.ROUTER);
  }

  @AfterEach
  void close() {
    trace.close();
    pack.close();
  }

  @Test
  void stagesAreThoseBetweenRecords() {
    assertEquals(
        List.of(
            Stage.ATTENTION,
            Stage.NORM,
            Stage.ROUTER,
            Stage.SELECTION,
            Stage.WEIGHTS,
            Stage.EXPERTS,
            Stage.SHARED),
        own.stages());
    trace.leaveOut(recorded.name(1, Step.ROUTER_LOGITS));
    assertEquals(6, own.stages().size(), "a router whose logits were not recorded");
    trace.leaveOut(recorded.name(1, Step.MOE_INPUT));
    assertEquals(List.of(), own.stages(), "nothing to look inside with");
  }

  @Test
  void anotherArchitectureComputesAgainWhatItSaysOtherwise() {
    Architecture other =
        pack.architecture()
            .withBlocks(
                b -> {
                  var attention = (Attention.Softmax) b.attention();
                  return b.withAttention(attention.withScale(2 * attention.scale()));
                });
    Forced supposed = own.supposing(other, weights);
    assertNotSame(own.computed(Stage.ATTENTION), supposed.computed(Stage.ATTENTION));
    assertSame(own.computed(Stage.ROUTER), supposed.computed(Stage.ROUTER));
  }

  @Test
  void otherWeightsComputeAgainWhatReadsThem() {
    Weights others =
        weights.supposing(
            (row, stored) ->
                row.name().endsWith("router.weight") ? stored.get(row).times(2) : stored.get(row));
    Forced supposed = own.supposing(pack.architecture(), others);
    assertSame(own.computed(Stage.ATTENTION), supposed.computed(Stage.ATTENTION));
    Estimate router = supposed.computed(Stage.ROUTER);
    assertEquals(2 * own.computed(Stage.ROUTER).value(0, 0), router.value(0, 0));
  }
}
