package dev.moxie.runtime.execution;

import dev.moxie.format.error.CorruptException;
import dev.moxie.format.error.UnsupportedException;
import dev.moxie.format.model.FeedForward;
import dev.moxie.format.pack.IndexRow;
import dev.moxie.format.pack.MoxiePackage;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.ByteOrder;

/** The stored biases of a layer's router. */
final class RouterBias {
  private static final ValueLayout.OfFloat FLOAT =
      ValueLayout.JAVA_FLOAT_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);
  private static final ValueLayout.OfShort SHORT =
      ValueLayout.JAVA_SHORT_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);

  private RouterBias() {}

  /** One per expert, checked against their checksum; empty where routing has no bias. */
  static float[] read(MoxiePackage pack, int layer, FeedForward.MixtureOfExperts moe) {
    if (moe.routing().bias() == null) {
      return new float[0];
    }
    IndexRow row = pack.tensor("layers." + layer + ".router.bias");
    pack.requireIntact(row.shard(), row.offset(), row.bytes());
    MemorySegment bytes = pack.bytes(row);
    float[] bias = new float[moe.experts()];
    for (int e = 0; e < bias.length; e++) {
      bias[e] =
          switch (row.dtype()) {
            case F32 -> bytes.get(FLOAT, 4L * e);
            case BF16 -> Float.intBitsToFloat(bytes.get(SHORT, 2L * e) << 16);
            case F16 -> Float.float16ToFloat(bytes.get(SHORT, 2L * e));
            default ->
                throw new UnsupportedException(
                    row.describe(), "F32, BF16 or F16", row.dtype().toString(), "update Moxie");
          };
      if (!Float.isFinite(bias[e])) {
        throw new CorruptException(
            pack.folder().resolve(row.shard()) + ", tensor " + row.describe() + " [" + e + "]",
            "a finite number",
            String.valueOf(bias[e]),
            "the checkpoint is broken, fetch it again");
      }
    }
    return bias;
  }
}
