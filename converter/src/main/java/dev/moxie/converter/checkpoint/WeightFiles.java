package dev.moxie.converter.checkpoint;

import dev.moxie.format.error.CorruptException;
import dev.moxie.format.error.InvalidInputException;
import dev.moxie.format.error.UnsupportedException;
import dev.moxie.format.error.UsageException;
import dev.moxie.format.file.Entry;
import dev.moxie.format.json.StrictJson;
import dev.moxie.format.pack.PackagePaths;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.LinkOption;
import java.nio.file.Path;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.TreeSet;
import org.jspecify.annotations.Nullable;

/**
 * Which files of a folder hold the weights: those that the index names, or the one that there is
 * without an index, or all that are numbered. Where files that the index names are missing, or it
 * names none, and one file holds the whole model, the index is a leftover.
 *
 * @param names sorted
 * @param index tensor name to file; null if it does not count
 * @param leftover files that an index names which does not count
 * @param notes what a user should know about the choice
 */
record WeightFiles(
    Set<String> names,
    @Nullable Map<String, String> index,
    Set<String> leftover,
    List<String> notes) {
  static final String INDEX = "model.safetensors.index.json";

  private static final String CONFIG = "config.json";
  private static final String SINGLE = "model.safetensors";

  /** What Mistral calls it (mistral-inference, {@code transformer.py}, {@code from_folder}). */
  private static final String CONSOLIDATED = "consolidated.safetensors";

  private static final String LFS_POINTER = "version https://git-lfs";
  private static final int LARGEST_LFS_POINTER = 1024;

  /**
   * Finds the files.
   *
   * @throws UsageException if there is nothing of that name
   * @throws InvalidInputException if the folder is no checkpoint, or one without its weights
   */
  static WeightFiles in(Path folder) {
    if (Entry.of(folder.resolve(CONFIG)) != Entry.FILE) {
      throw noConfig(folder);
    }
    Path file = folder.resolve(INDEX);
    boolean single = Files.isRegularFile(folder.resolve(SINGLE));
    if (!Files.exists(file)) {
      return checked(
          folder, new WeightFiles(withoutIndex(folder, single), null, Set.of(), List.of()));
    }
    Map<String, String> index =
        StrictJson.readStrings(file, "weight_map", "the name of a weight file");
    var all = new TreeSet<>(index.values());
    all.forEach(name -> requireBeside(file, name));
    var there = new HashSet<>(all);
    there.removeIf(name -> !Files.isRegularFile(folder.resolve(name)));
    var names = new TreeSet<>(there);
    index.forEach(
        (tensor, name) -> {
          // Nobody needs a file for the sake of what is computed anew.
          if (!there.contains(name) && !Recomputed.is(tensor)) {
            names.add(name);
          }
        });
    if (names.isEmpty() && !single) {
      throw new CorruptException(
          file.toString(),
          "a weight_map of tensor names to files",
          "one without any, or none",
          "fetch the index that belongs to the files, or write it anew");
    }
    List<String> missing = names.stream().filter(name -> !there.contains(name)).toList();
    if (missing.isEmpty() && !names.isEmpty()) {
      return checked(folder, new WeightFiles(names, index, Set.of(), List.of()));
    }
    if (!single || names.contains(SINGLE)) {
      throw missing(folder, names, missing);
    }
    String note =
        names.isEmpty()
            ? "%s names no files".formatted(INDEX)
            : "%s names %d files that are not all there".formatted(INDEX, names.size());
    return checked(
        folder,
        new WeightFiles(
            Set.of(SINGLE), null, names, List.of(note + "; weights are read from " + SINGLE)));
  }

  private static Set<String> withoutIndex(Path folder, boolean single) {
    if (single) {
      return Set.of(SINGLE);
    }
    if (Files.isRegularFile(folder.resolve(CONSOLIDATED))) {
      return Set.of(CONSOLIDATED);
    }
    Set<String> numbered = NumberedFiles.in(folder);
    if (numbered.isEmpty()) {
      throw noWeights(folder);
    }
    return numbered;
  }

  private static RuntimeException noConfig(Path folder) {
    if (Entry.of(folder) == Entry.NONE) {
      return new UsageException(
          folder.toString(), "a checkpoint folder", "nothing of that name", "check the path");
    }
    String expected = "a checkpoint folder with " + CONFIG;
    return notThere(
        folder,
        expected,
        Entry.of(folder) == Entry.FOLDER ? "none" : "no folder",
        "check the path");
  }

  private static InvalidInputException noWeights(Path folder) {
    Path single = folder.resolve(SINGLE);
    if (Files.exists(single, LinkOption.NOFOLLOW_LINKS)) {
      return new CorruptException(
          single.toString(),
          "a file of weights",
          Entry.of(single) == Entry.NONE ? "a link to nothing" : "a folder, pipe or device",
          "put the file itself there, or a link to it");
    }
    String expected = "weights in " + SINGLE + ", or in files that " + INDEX + " names";
    return notThere(folder, expected, "no weights of any kind", "fetch the weight files, too");
  }

  /** What lies there instead tells more than that something is lacking. */
  private static InvalidInputException notThere(
      Path folder, String expected, String found, String remedy) {
    return Instead.of(folder)
        .<InvalidInputException>map(
            instead ->
                new UnsupportedException(
                    folder.toString(), expected, instead.found(), instead.remedy()))
        .orElseGet(() -> new CorruptException(folder.toString(), expected, found, remedy));
  }

  /** None of the files is there: something else may be. Some are: the others got lost. */
  private static InvalidInputException missing(
      Path folder, Set<String> names, List<String> missing) {
    Path first = folder.resolve(missing.getFirst());
    String found =
        (Files.isSymbolicLink(first) ? "a link to nothing" : "no such file")
            + "; %d of %d are there".formatted(names.size() - missing.size(), names.size());
    String expected = "a file that " + INDEX + " names";
    Optional<Instead> instead =
        missing.size() == names.size() ? Instead.of(folder) : Optional.empty();
    return instead.isPresent()
        ? new UnsupportedException(
            first.toString(),
            expected,
            found + ", but " + instead.get().found(),
            "fetch the files that the index names, or " + instead.get().remedy())
        : new CorruptException(
            first.toString(), expected, found, "the checkpoint is incomplete, fetch it again");
  }

  private static void requireBeside(Path index, String target) {
    if (PackagePaths.require(index.toString(), target).contains("/")) {
      throw new CorruptException(
          index.toString(),
          "weight files beside the index",
          "\"" + target + "\"",
          "move the files beside the index and name them so in it");
    }
  }

  private static WeightFiles checked(Path folder, WeightFiles files) {
    files.names().forEach(name -> requireNoPointer(folder.resolve(name)));
    return files;
  }

  private static void requireNoPointer(Path path) {
    if (isPointer(path)) {
      throw new CorruptException(
          path.toString(), "weights", "a Git LFS pointer to them", "run git lfs pull there");
    }
  }

  /** Whether it is what git leaves in the place of a large file that it did not fetch. */
  static boolean isPointer(Path path) {
    try (var in = Files.newInputStream(path)) {
      String start = new String(in.readNBytes(LFS_POINTER.length()), StandardCharsets.US_ASCII);
      return start.equals(LFS_POINTER) && Files.size(path) <= LARGEST_LFS_POINTER;
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }
}
