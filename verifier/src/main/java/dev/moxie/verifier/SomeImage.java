package dev.moxie.verifier;

import dev.moxie.format.model.Architecture;
import dev.moxie.runtime.execution.Model;
import dev.moxie.verifier.oracle.Estimate;
import dev.moxie.verifier.oracle.Oracle;
import java.util.Random;

/** An image to try a model of images on: the same patches, drawn at random, for both sides. */
final class SomeImage {
  private static final long SEED = 1;

  private SomeImage() {}

  /** Shows it to a model, where that reads images. */
  static void show(Architecture architecture, Model model, int tokens) {
    if (architecture.image() != null) {
      model.see(patches(architecture.image(), tokens));
    }
  }

  /** An oracle that sees it, where its model reads images. */
  static Oracle shown(Architecture architecture, Oracle oracle, int tokens) {
    return architecture.image() == null
        ? oracle
        : oracle.seeing(
            Estimate.exact(
                patches(architecture.image(), tokens), architecture.image().patchSize()));
  }

  /** Patches of all tokens but the first. */
  static float[] patches(Architecture.Image image, int tokens) {
    var random = new Random(SEED);
    float[] patches = new float[Math.multiplyExact(tokens - 1, image.patchSize())];
    for (int i = 0; i < patches.length; i++) {
      patches[i] = (float) random.nextGaussian();
    }
    return patches;
  }
}
