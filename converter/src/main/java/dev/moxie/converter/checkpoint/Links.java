package dev.moxie.converter.checkpoint;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Optional;
import java.util.Set;

/**
 * Which links in a checkpoint's folder are followed. People keep shards on other disks, and hub
 * caches are made of links; but a file that nobody needs and that leads out of the folder may be
 * anything, and has no business in a package.
 */
final class Links {
  /** What models are made of may lie anywhere. */
  private static final Set<String> KNOWN =
      Set.of(
          "config.json",
          "generation_config.json",
          "model.safetensors.index.json",
          "chat_template.jinja",
          "chat_template.json",
          "added_tokens.json",
          "merges.txt",
          "sentencepiece.bpe.model",
          "special_tokens_map.json",
          "spiece.model",
          "tiktoken.model",
          "tokenizer.json",
          "tokenizer.model",
          "tokenizer_config.json",
          "vocab.json",
          "vocab.txt");

  private Links() {}

  /**
   * Why a file is not to be taken along; nothing if its links, if any, are fine.
   *
   * @param name of a file that exists
   */
  static Optional<String> reasonToLeave(Path folder, String name) throws IOException {
    Path home = folder.toRealPath();
    Path real = folder.resolve(name).toRealPath();
    return KNOWN.contains(name) || real.startsWith(home) || isBlob(home, real)
        ? Optional.empty()
        : Optional.of("a link that leads out of the folder");
  }

  /** In a hub cache, MODEL/snapshots/REVISION/FILE is a link to MODEL/blobs/DIGEST. */
  private static boolean isBlob(Path home, Path real) throws IOException {
    Path snapshots = home.getParent();
    if (snapshots == null || !snapshots.endsWith("snapshots")) {
      return false;
    }
    Path blobs = snapshots.resolveSibling("blobs");
    return Files.isDirectory(blobs) && real.startsWith(blobs.toRealPath());
  }
}
