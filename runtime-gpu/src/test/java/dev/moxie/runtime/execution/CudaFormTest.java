package dev.moxie.runtime.execution;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import ai.onnx.proto.OnnxMl;
import ai.onnxruntime.OnnxTensor;
import ai.onnxruntime.OrtSession;
import dev.moxie.fixtures.Fixtures;
import dev.moxie.format.pack.MoxiePackage;
import dev.moxie.format.safetensors.Dtype;
import dev.moxie.format.trace.Trace;
import dev.moxie.runtime.Packages;
import dev.moxie.runtime.lowering.Lowering;
import dev.moxie.runtime.lowering.Target;
import java.nio.FloatBuffer;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.HashMap;
import java.util.Map;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

/**
 * What can be said of the CUDA form without CUDA: its float16 graph, with the CPU provider's row
 * order in the one operator that knows only that, computes the reference's logits to float16.
 */
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
      float[] logits = run(pack, new Target(Dtype.F16, true, 16), ids);
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
      float[] logits = run(pack, new Target(Dtype.F32, true, 16), ids);
      for (double error : relativeErrors(logits, expected, ids.length)) {
        assertTrue(error < 1e-5, "relative error " + error);
      }
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

  @Test
  void theCudaGraphTakesGateAndUpRowsAsThePackageStoresThem() {
    Path checkpoint = Fixtures.randomMixtrals().getFirst();
    try (MoxiePackage pack = Packages.convert(checkpoint, folder.resolve("p"))) {
      OnnxMl.GraphProto graph = new Lowering(pack, Target.CUDA).wholeModel().getGraph();
      for (OnnxMl.NodeProto node : graph.getNodeList()) {
        if (node.getOpType().equals("MoE")) {
          OnnxMl.AttributeProto fusion =
              node.getAttributeList().stream()
                  .filter(a -> a.getName().equals("swiglu_fusion"))
                  .findFirst()
                  .orElseThrow();
          assertEquals(2, fusion.getI());
        }
      }
      assertEquals(
          0, graph.getNodeList().stream().filter(n -> n.getOpType().equals("Transpose")).count());
    }
  }

  private static float[] run(MoxiePackage pack, Target target, long[] ids) {
    int vocabulary = pack.architecture().vocabSize();
    OrtSession session =
        Engine.session(new Lowering(pack, target).wholeModel(), pack.folder(), Device.CPU);
    FloatBuffer logits = FloatTensors.allocate(ids.length, vocabulary);
    var rotary = pack.architecture().layers().getFirst().attention().rotary();
    try (var step = new Step(new RotaryAngles(rotary), 0, ids.length);
        var cache = new KeyValueCache(pack.architecture(), target, ids.length);
        OnnxTensor tokens = Engine.longs(ids);
        OnnxTensor result = Engine.wrap(logits, ids.length, vocabulary)) {
      Map<String, OnnxTensor> inputs = new HashMap<>(step.inputs());
      Map<String, OnnxTensor> outputs = new HashMap<>();
      inputs.put("ids", tokens);
      outputs.put("logits", result);
      for (int layer = 0; layer < pack.architecture().layers().size(); layer++) {
        cache.bind(layer, inputs, outputs);
      }
      Engine.run(session, inputs, outputs);
    } finally {
      Engine.close(session);
    }
    float[] copy = new float[logits.remaining()];
    logits.get(copy);
    return copy;
  }
}
