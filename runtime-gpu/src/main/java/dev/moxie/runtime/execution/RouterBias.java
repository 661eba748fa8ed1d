package dev.moxie.runtime.execution;

import dev.moxie.format.encoding.Elements;
import dev.moxie.format.error.CorruptException;
import dev.moxie.format.model.FeedForward;
import dev.moxie.format.pack.IndexRow;
import dev.moxie.format.pack.MoxiePackage;

/** The stored biases of a layer's router. */
final class RouterBias {
  private RouterBias() {}

  /** One per expert, checked against their checksum; empty where routing has no bias. */
  static float[] read(MoxiePackage pack, int layer, FeedForward.MixtureOfExperts moe) {
    if (!moe.routing().hasBiasOfScores()) {
      return new float[0];
    }
    IndexRow row = pack.tensor("layers." + layer + ".router.bias");
    pack.requireIntact(row.shard(), row.offset(), row.bytes());
    Elements elements = pack.elements(row);
    float[] bias = new float[moe.experts()];
    for (int e = 0; e < bias.length; e++) {
      bias[e] = (float) elements.get(e);
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
