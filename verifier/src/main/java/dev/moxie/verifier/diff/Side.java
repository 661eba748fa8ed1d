package dev.moxie.verifier.diff;

import dev.moxie.format.model.Architecture;
import dev.moxie.format.pack.Manifest;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import org.jspecify.annotations.Nullable;

/** A model to compare, opened: no weight is read yet. */
sealed interface Side extends AutoCloseable permits PackageSide, CheckpointSide {
  /** What the report says of it as a whole. */
  Diff.Model model();

  /** The manifest of a package; null for a checkpoint. */
  @Nullable Manifest manifest();

  /** The forward pass; null if this build does not understand the checkpoint. */
  @Nullable Architecture architecture();

  /** Leaves by canonical name; null likewise. */
  @Nullable Map<String, Leaf> canonical();

  /** Leaves by the names that they have in the checkpoint. */
  Map<String, Leaf> own();

  /** Files of the checkpoint beside its weights. */
  Set<String> companions();

  /** The bytes of one of these. */
  byte[] companion(String name);

  /** What is said of tensors that are stored and that nobody computes with, if there are any. */
  static Optional<String> opaque(long count, String path) {
    return count == 0
        ? Optional.empty()
        : Optional.of(
            "%d tensors of %s that loading computes anew, or of which another copy is read"
                .formatted(count, path));
  }

  /** What cannot be compared, in sentences. */
  List<String> notCompared();

  @Override
  void close();
}
