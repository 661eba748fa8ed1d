package dev.moxie.verifier;

import dev.moxie.format.model.Architecture;
import dev.moxie.format.model.Step;
import dev.moxie.format.pack.MoxiePackage;
import dev.moxie.format.safetensors.Dtype;
import dev.moxie.format.safetensors.SafetensorsWriter;
import dev.moxie.format.safetensors.Shape;
import dev.moxie.format.trace.Trace;
import dev.moxie.verifier.bounds.Selection;
import dev.moxie.verifier.bounds.Tolerance;
import dev.moxie.verifier.oracle.Estimate;
import dev.moxie.verifier.oracle.Oracle;
import dev.moxie.verifier.oracle.Precision;
import dev.moxie.verifier.oracle.RoutingOracle;
import dev.moxie.verifier.oracle.Weights;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.TreeMap;

/**
 * Makes {@code format-spec/conformance/numbers}: packages of random weights, and what a forward
 * pass must make of them, as SPEC.md, section 9, explains. Run {@code main} with that folder after
 * a change of the format.
 */
final class NumericVectors {
  private static final int TOKENS = 7;

  /** In one order, so that the files are the same every time. */
  private static final Map<String, String> METADATA =
      new TreeMap<>(Map.of("compute_dtype", "F32", "producer", "Moxie's oracle, in float64"));

  private NumericVectors() {}

  static List<String> names() {
    return NumericModels.ALL.stream().map(NumericModels.Model::name).toList();
  }

  /** Writes all of them. */
  static void write(Path root, Path scratch) throws IOException {
    for (NumericModels.Model model : NumericModels.ALL) {
      Path checkpoint = scratch.resolve(model.name());
      AnyDeepSeekTest.write(checkpoint, model.config(), new Random(model.name().hashCode()));
      Path folder = Files.createDirectories(root.resolve(model.name()));
      Path target = folder.resolve("package");
      model.conversion().apply(checkpoint, target);
      try (MoxiePackage pack = MoxiePackage.open(target)) {
        writeExpected(pack, folder.resolve("expected.safetensors"));
      }
    }
  }

  private static void writeExpected(MoxiePackage pack, Path file) throws IOException {
    var architecture = pack.architecture();
    Architecture.Image image = architecture.image();
    int tokens = image == null ? TOKENS : Math.toIntExact(architecture.maxPositions());
    long[] ids = new long[tokens];
    for (int i = 0; i < tokens; i++) {
      ids[i] = (5L * i + 2) % architecture.vocabSize();
    }
    var oracle = new Oracle(architecture, Weights.asStored(pack), Precision.F32);
    List<SafetensorsWriter.Tensor> tensors = new ArrayList<>();
    if (image == null) {
      tensors.add(tensor("input_ids", Dtype.I64, Shape.of(tokens), into -> put(into, ids)));
    } else {
      Estimate patches = Estimate.exact(SomeImage.patches(image, tokens), image.patchSize());
      oracle = oracle.seeing(patches);
      tensors.add(floats(Trace.PATCHES, patches));
    }
    Estimate hidden = oracle.embed(ids);
    for (int layer = 0; layer < architecture.layers().size(); layer++) {
      String prefix = "layers." + layer + ".";
      Oracle.Layer result = oracle.layer(layer, ids, hidden, null);
      tensors.add(streams(prefix + "input", hidden, architecture.hiddenSize()));
      tensors.add(streams(prefix + "output", result.output(), architecture.hiddenSize()));
      if (!result.undecided().isEmpty()) {
        throw new IllegalStateException(prefix + "what tokens see is unclear");
      }
      RoutingOracle.Routed routed = result.routed();
      if (routed != null) {
        requireClear(routed, pack.folder() + ", layer " + layer);
        int k = routed.routing().expertsPerToken();
        tensors.add(floats(prefix + "router.logits", result.step(Step.ROUTER_LOGITS)));
        tensors.add(
            tensor(
                prefix + "router.experts",
                Dtype.I32,
                Shape.of(tokens, k),
                into -> routed.experts().forEach(row -> put(into, row))));
        tensors.add(floats(prefix + "router.weights", routed.weights()));
        tensors.add(bounds(prefix + "router.weights.bound", routed.weights()));
        tensors.add(floats(prefix + "experts.output", result.step(Step.EXPERTS_OUTPUT)));
      }
      hidden = result.output();
    }
    Estimate logits = oracle.head(hidden);
    tensors.add(floats("logits", logits));
    tensors.add(bounds("logits.bound", logits));
    SafetensorsWriter.write(file, METADATA, tensors);
  }

  /** A choice that rounding may change would make a right reader fail. */
  private static void requireClear(RoutingOracle.Routed routed, String where) {
    int clear = new Selection(routed).firstUnclear();
    if (clear < routed.experts().size()) {
      throw new IllegalStateException(where + ": the choice of token " + clear + " is unclear");
    }
  }

  private interface Values {
    void put(ByteBuffer into);
  }

  private static SafetensorsWriter.Tensor floats(String name, Estimate values) {
    return streams(name, values, values.columns());
  }

  /** As TRACE.md has residual streams: those of a token in successive rows. */
  private static SafetensorsWriter.Tensor streams(String name, Estimate values, int width) {
    return tensor(
        name,
        Dtype.F32,
        Shape.of((long) values.rows() * values.columns() / width, width),
        into -> {
          for (float value : values.toFloats()) {
            into.putFloat(value);
          }
        });
  }

  private static SafetensorsWriter.Tensor bounds(String name, Estimate values) {
    long elements = (long) values.rows() * values.columns();
    return tensor(
        name,
        Dtype.F32,
        Shape.of(values.rows(), values.columns()),
        into -> {
          for (int r = 0; r < values.rows(); r++) {
            for (int c = 0; c < values.columns(); c++) {
              into.putFloat((float) Tolerance.bound(values.error(r, c), elements));
            }
          }
        });
  }

  private static SafetensorsWriter.Tensor tensor(
      String name, Dtype dtype, Shape shape, Values values) {
    ByteBuffer bytes =
        ByteBuffer.allocate(Math.toIntExact(shape.bytes(dtype))).order(ByteOrder.LITTLE_ENDIAN);
    values.put(bytes);
    return new SafetensorsWriter.Tensor(name, dtype, shape, bytes.flip());
  }

  private static void put(ByteBuffer into, long[] values) {
    for (long value : values) {
      into.putLong(value);
    }
  }

  private static void put(ByteBuffer into, int[] values) {
    for (int value : values) {
      into.putInt(value);
    }
  }

  public static void main(String[] arguments) throws IOException {
    write(Path.of(arguments[0]), Files.createTempDirectory("moxie-numbers"));
  }
}
