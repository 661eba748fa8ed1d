package dev.moxie.runtime.execution;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import ai.onnx.proto.OnnxMl;
import dev.moxie.fixtures.Exhaustive;
import dev.moxie.fixtures.Fixtures;
import dev.moxie.format.pack.MoxiePackage;
import dev.moxie.format.safetensors.Dtype;
import dev.moxie.format.trace.Trace;
import dev.moxie.runtime.Packages;
import dev.moxie.runtime.Unproven;
import dev.moxie.runtime.lowering.Lowering;
import dev.moxie.runtime.lowering.Target;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.stream.Stream;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

/**
 * What can be said of the CUDA form without CUDA: its float16 graph computes the reference's logits
 * to float16 on the CPU provider.
 */
@Exhaustive
class CudaFormTest {
  @TempDir Path folder;

  static Stream<Path> checkpoints() {
    return Stream.of(
        Fixtures.randomMixtrals().getFirst(),
        Fixtures.root().resolve("random/deepseek_v2"),
        Fixtures.root().resolve("random/deepseek_v3"));
  }

  @ParameterizedTest
  @MethodSource("checkpoints")
  void theFloat16GraphComputesTheReferencesLogits(Path checkpoint) {
    try (MoxiePackage pack = Packages.convert(checkpoint, folder.resolve("p"));
        Trace trace = Trace.open(checkpoint.resolve("trace.safetensors"))) {
      long[] ids = trace.inputIds();
      int vocabulary = pack.architecture().vocabSize();
      float[] expected = trace.floats("logits", ids.length, vocabulary);
      float[] logits = run(pack, Target.CUDA, ids);
      double[] errors = relativeErrors(logits, expected, ids.length);
      Arrays.sort(errors);
      // Half of the tokens: float16 may choose another expert for one now and then.
      double median = errors[errors.length / 2];
      // Rounding to 11 bits at about ten places in each of three layers, in quadrature.
      assertTrue(median < 0x1p-11 * Math.sqrt(3 * 10) * 4, "relative error " + median);
      assertTrue(median > 0x1p-16, "this would be float32");
    }
  }

  /** Where a latent is wider than the attention operator's heads, keys and values are expanded. */
  @ParameterizedTest
  @MethodSource("checkpoints")
  void theExpandedFormComputesTheReferencesLogits(Path checkpoint) {
    try (MoxiePackage pack = Packages.convert(checkpoint, folder.resolve("p"));
        Trace trace = Trace.open(checkpoint.resolve("trace.safetensors"))) {
      long[] ids = trace.inputIds();
      float[] expected = trace.floats("logits", ids.length, pack.architecture().vocabSize());
      float[] logits = run(pack, new Target(Dtype.F32, 16, true, false), ids);
      for (double error : relativeErrors(logits, expected, ids.length)) {
        assertTrue(error < 1e-5, "relative error " + error);
      }
    }
  }

  /** Whatever they are stored in: what is brought into memory by us is what graphs would make. */
  @ParameterizedTest
  @MethodSource("all")
  void boundWeightsAreThoseOfTheGraph(Path checkpoint) {
    try (MoxiePackage pack = Packages.convert(checkpoint, folder.resolve("p"))) {
      assumeTrue(Execution.FUSED.refusal(pack, Device.CPU).isEmpty(), "evidence.json names it");
      long[] ids = {1, 2, 3};
      float[] expected = run(pack, Target.CPU, ids);
      float[] logits = run(pack, new Target(Dtype.F32, Integer.MAX_VALUE, true, true), ids);
      for (double error : relativeErrors(logits, expected, ids.length)) {
        assertTrue(error < 1e-5, "relative error " + error);
      }
    }
  }

  static Stream<Path> all() throws IOException {
    try (Stream<Path> random = Files.list(Fixtures.root().resolve("random"))) {
      return Stream.concat(Fixtures.all().stream(), random.toList().stream()).distinct().sorted();
    }
  }

  /** What is left is read as it is stored, and is small. */
  @ParameterizedTest
  @MethodSource("checkpoints")
  void noMatrixIsCastWhenTheGraphIsLoaded(Path checkpoint) {
    try (MoxiePackage pack = Packages.convert(checkpoint, folder.resolve("p"))) {
      long largest =
          new Lowering(pack, Target.CUDA)
              .wholeModel().getGraph().getInitializerList().stream()
                  .filter(tensor -> !tensor.getName().endsWith("attention.latent_up.weight"))
                  .mapToLong(tensor -> tensor.getDimsList().stream().reduce(1L, (a, b) -> a * b))
                  .max()
                  .orElseThrow();
      assertTrue(largest <= pack.architecture().vocabSize(), largest + " elements");
    }
  }

  private static double[] relativeErrors(float[] logits, float[] expected, int tokens) {
    int vocabulary = expected.length / tokens;
    double[] errors = new double[tokens];
    for (int t = 0; t < tokens; t++) {
      double error = 0;
      double magnitude = 0;
      for (int i = t * vocabulary; i < (t + 1) * vocabulary; i++) {
        error += Math.pow(logits[i] - expected[i], 2);
        magnitude += Math.pow(expected[i], 2);
      }
      errors[t] = Math.sqrt(error / magnitude);
    }
    return errors;
  }

  /** The other order is wrong on CUDA with some kernel tactics, which are drawn per process. */
  @ParameterizedTest
  @MethodSource("targets")
  void gateAndUpRowsAlternateOnEveryTarget(Target target) {
    Path checkpoint = Fixtures.randomMixtrals().getFirst();
    try (MoxiePackage pack = Packages.convert(checkpoint, folder.resolve("p"))) {
      List<OnnxMl.NodeProto> experts =
          new Lowering(pack, target)
              .wholeModel().getGraph().getNodeList().stream()
                  .filter(node -> node.getOpType().equals("MoE"))
                  .toList();
      assertEquals(pack.architecture().layers().size(), experts.size());
      for (OnnxMl.NodeProto node : experts) {
        assertEquals(1, integer(node, "swiglu_fusion"));
      }
    }
  }

  static Stream<Target> targets() {
    return Stream.of(Device.values()).map(Device::target);
  }

  private static long integer(OnnxMl.NodeProto node, String attribute) {
    return node.getAttributeList().stream()
        .filter(a -> a.getName().equals(attribute))
        .findFirst()
        .orElseThrow()
        .getI();
  }

  private static float[] run(MoxiePackage pack, Target target, long[] ids) {
    try (Model model = FusedModel.open(pack, Device.CPU, target, new Unproven())) {
      model.begin(ids.length);
      return model.append(ids);
    }
  }
}
