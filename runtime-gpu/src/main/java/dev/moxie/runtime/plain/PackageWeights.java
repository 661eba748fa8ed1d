package dev.moxie.runtime.plain;

import dev.moxie.format.error.CorruptException;
import dev.moxie.format.model.Role;
import dev.moxie.format.model.TensorSpec;
import dev.moxie.format.model.TensorSpec.Leaf;
import dev.moxie.format.model.Tensors;
import dev.moxie.format.pack.IndexRow;
import dev.moxie.format.pack.MoxiePackage;
import java.lang.foreign.MemorySegment;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.stream.Stream;

/** The weights of a package where they lie: each is found and checked once, none is copied. */
public final class PackageWeights implements Weights {
  private final MoxiePackage pack;
  private final Map<Leaf, StoredMatrix> found = new HashMap<>();

  /** Checks all weights but those of experts, which wait until a token first needs them. */
  public PackageWeights(MoxiePackage pack) {
    this.pack = pack;
    for (TensorSpec tensor : Tensors.ofForwardPass(pack.architecture())) {
      if (tensor.stack() == null) {
        matrix(tensor.whole());
      }
    }
  }

  @Override
  public StoredMatrix matrix(Leaf leaf) {
    return found.computeIfAbsent(leaf, this::open);
  }

  @Override
  public List<MemorySegment> places(Leaf leaf) {
    IndexRow row = pack.row(leaf);
    return Stream.concat(Stream.of(row), pack.scales(row).stream()).map(pack::bytes).toList();
  }

  private StoredMatrix open(Leaf leaf) {
    IndexRow row = pack.row(leaf);
    StoredMatrix matrix = StoredMatrix.of(pack, row);
    if (row.role() == Role.ROUTER_BIAS) {
      requireFinite(row, matrix);
    }
    return matrix;
  }

  /** Experts are chosen by comparing, and nothing compares with what is no number. */
  private void requireFinite(IndexRow row, StoredMatrix bias) {
    float[] values = new float[bias.columns()];
    bias.read(0, values, 0);
    for (int e = 0; e < values.length; e++) {
      if (!Float.isFinite(values[e])) {
        throw new CorruptException(
            pack.folder().resolve(row.shard()) + ", tensor " + row.describe() + " [" + e + "]",
            "a finite number",
            String.valueOf(values[e]),
            "the checkpoint is broken, fetch it again");
      }
    }
  }
}
