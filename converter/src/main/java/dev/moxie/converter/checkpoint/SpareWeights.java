package dev.moxie.converter.checkpoint;

import dev.moxie.format.error.CorruptException;
import dev.moxie.format.safetensors.SafetensorsFile;
import dev.moxie.format.safetensors.SafetensorsHeader;
import dev.moxie.format.safetensors.TensorInfo;
import java.nio.file.Path;
import java.util.Optional;
import java.util.Set;

/**
 * Weight files beside those that are read: the same model in another number of files, or a shard
 * that was written anew. They can be done without as long as each of their tensors is read from
 * another file, as the index says, or from the one file of the whole model.
 */
final class SpareWeights {
  private final WeightFiles files;
  private final Set<String> tensors;

  /**
   * Takes what is read.
   *
   * @param tensors the names of those that the files hold
   */
  SpareWeights(WeightFiles files, Set<String> tensors) {
    this.files = files;
    this.tensors = tensors;
  }

  /**
   * Why a file is not to be taken along; nothing if it is no file of weights.
   *
   * @param name of a regular file
   * @throws CorruptException if it may be a part of the model
   */
  Optional<String> reasonToLeave(Path folder, String name) {
    if (files.leftover().contains(name)) {
      return Optional.of("a weight file of an index that does not count");
    }
    if (!name.matches("model.*\\.safetensors")) {
      return Optional.empty();
    }
    Path file = folder.resolve(name);
    if (WeightFiles.isPointer(file)) {
      return Optional.of("a Git LFS pointer to weights that are not read");
    }
    Optional<String> own =
        header(file).tensors().stream()
            .map(TensorInfo::name)
            .filter(tensor -> !tensors.contains(tensor))
            .findFirst();
    if (own.isPresent()) {
      throw strange(file, "tensor " + own.get() + ", which no other file holds");
    }
    return Optional.of("superseded: its tensors are read from other files");
  }

  private SafetensorsHeader header(Path file) {
    try {
      return SafetensorsFile.readHeader(file);
    } catch (CorruptException e) {
      throw strange(file, "no readable header");
    }
  }

  private CorruptException strange(Path file, String found) {
    boolean indexed = files.index() != null;
    return new CorruptException(
        file.toString(),
        (indexed ? "a weight file that the index names" : "no weight file beside the whole model")
            + ", or one whose tensors are all read from others",
        found,
        indexed
            ? "index and files are not of the same checkpoint: move away what does not belong, or"
                + " write the index anew"
            : "move it away, or, if it is a part of the model, fetch " + WeightFiles.INDEX);
  }
}
