package dev.moxie.converter.checkpoint;

import dev.moxie.format.error.CorruptException;
import dev.moxie.format.error.UsageException;
import dev.moxie.format.file.Entry;
import dev.moxie.format.file.FileNames;
import dev.moxie.format.json.StrictJson;
import dev.moxie.format.pack.EndTokens;
import dev.moxie.format.pack.PackagePaths;
import dev.moxie.format.safetensors.SafetensorsFile;
import dev.moxie.format.safetensors.SafetensorsHeader;
import dev.moxie.format.safetensors.TensorInfo;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.LinkOption;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.TreeMap;
import java.util.TreeSet;
import java.util.stream.Stream;
import org.jspecify.annotations.Nullable;

/**
 * A Hugging Face checkpoint folder: config.json beside one {@code model.safetensors} or several
 * files with a {@code model.safetensors.index.json}. Every header is validated and the index is
 * checked against the headers in both directions; no weight is read.
 *
 * @param headers by weight file, sorted
 * @param tensors by name, in file order
 * @param companions files to take over byte for byte, sorted
 * @param ignored files and folders left behind, sorted
 */
public record Checkpoint(
    Path folder,
    Map<String, SafetensorsHeader> headers,
    Map<String, SourceTensor> tensors,
    List<String> companions,
    List<String> ignored) {
  private static final String CONFIG = "config.json";
  private static final String INDEX = "model.safetensors.index.json";
  private static final String SINGLE = "model.safetensors";
  private static final String FETCH_AGAIN = "the checkpoint is incomplete, fetch it again";

  /** A file of more bytes is no companion: weights in other formats lie beside many releases. */
  private static final long LARGEST_COMPANION = 64 << 20;

  /**
   * Opens a checkpoint.
   *
   * @throws UsageException if there is nothing of that name
   * @throws CorruptException if it is no checkpoint, index and files disagree, or a header is
   *     invalid
   */
  public static Checkpoint open(Path folder) {
    if (Entry.of(folder) == Entry.NONE) {
      throw new UsageException(
          folder.toString(), "a checkpoint folder", "nothing of that name", "check the path");
    }
    if (Entry.of(folder.resolve(CONFIG)) != Entry.FILE) {
      throw new CorruptException(
          folder.toString(),
          "a checkpoint folder with " + CONFIG,
          Entry.of(folder) == Entry.FOLDER ? "none" : "no folder",
          "check the path");
    }
    @Nullable Map<String, String> index =
        Files.exists(folder.resolve(INDEX)) ? readIndex(folder.resolve(INDEX)) : null;
    var weightFiles = new TreeSet<>(index == null ? List.of(SINGLE) : index.values());
    Map<String, SafetensorsHeader> headers = new TreeMap<>();
    Map<String, SourceTensor> tensors = new LinkedHashMap<>();
    weightFiles.forEach(file -> requireFile(folder.resolve(file), index != null));
    // Parsing is what opening takes its time for, and each header can be parsed by itself.
    List<SafetensorsHeader> parsed =
        weightFiles.parallelStream()
            .map(file -> SafetensorsFile.readHeader(folder.resolve(file)))
            .toList();
    for (String file : weightFiles) {
      SafetensorsHeader header = parsed.get(headers.size());
      headers.put(file, header);
      for (TensorInfo info : header.tensors()) {
        addTensor(folder, tensors, file, header, info, index);
      }
    }
    // Every tensor is in the index by now, so only a larger index has any that is not found.
    if (index != null && index.size() > tensors.size()) {
      requireAllFound(folder, index, tensors);
    }
    List<String> companions = new ArrayList<>();
    List<String> ignored = new ArrayList<>();
    sortOut(folder, weightFiles, companions, ignored);
    return new Checkpoint(
        folder,
        java.util.Collections.unmodifiableMap(headers),
        java.util.Collections.unmodifiableMap(tensors),
        List.copyOf(companions),
        List.copyOf(ignored));
  }

  /**
   * The checkpoint's config.json.
   *
   * @param ignored keys that the user declares to be without effect
   */
  public Config config(Set<String> ignored) {
    return Config.read(folder.resolve(CONFIG), ignored);
  }

  /**
   * The tokens that end a text.
   *
   * @throws CorruptException if what config.json or generation_config.json states is no token
   */
  public EndTokens endTokens(int vocabSize) {
    return EndTokens.of(this::optionalBytes, folder::resolve, vocabSize);
  }

  private Optional<byte[]> optionalBytes(String name) {
    Path file = folder.resolve(name);
    return Files.exists(file)
        ? Optional.of(StrictJson.readBounded(file, StrictJson.MAX_FILE_BYTES))
        : Optional.empty();
  }

  private static Map<String, String> readIndex(Path file) {
    Map<String, String> index =
        StrictJson.readStrings(file, "weight_map", "the name of a weight file");
    new HashSet<>(index.values()).forEach(target -> requireBeside(file, target));
    if (index.isEmpty()) {
      throw new CorruptException(
          file.toString(), "a weight_map of tensor names to files", "none", FETCH_AGAIN);
    }
    return index;
  }

  private static void requireFile(Path path, boolean indexed) {
    if (!Files.isRegularFile(path)) {
      throw new CorruptException(
          path.toString(),
          indexed
              ? "a file that " + INDEX + " names"
              : "the weights in one file, since there is no " + INDEX,
          "no such file",
          FETCH_AGAIN);
    }
  }

  private static void requireBeside(Path index, String target) {
    if (PackagePaths.require(index.toString(), target).contains("/")) {
      throw new CorruptException(
          index.toString(), "weight files beside the index", "\"" + target + "\"", FETCH_AGAIN);
    }
  }

  private static void addTensor(
      Path folder,
      Map<String, SourceTensor> tensors,
      String file,
      SafetensorsHeader header,
      TensorInfo info,
      @Nullable Map<String, String> index) {
    String indexed = index == null ? file : index.get(info.name());
    if (!file.equals(indexed)) {
      throw new CorruptException(
          folder.resolve(INDEX) + ", tensor " + info.name(),
          "\"" + file + "\", the file that holds it",
          indexed == null ? "no entry" : "\"" + indexed + "\"",
          "index and files are not of the same checkpoint, fetch it again");
    }
    tensors.put(
        info.name(),
        new SourceTensor(
            file,
            info.name(),
            info.dtype(),
            info.shape(),
            header.bytes() + info.begin(),
            info.bytes()));
  }

  private static void requireAllFound(
      Path folder, Map<String, String> index, Map<String, SourceTensor> tensors) {
    for (var entry : index.entrySet()) {
      if (!tensors.containsKey(entry.getKey())) {
        throw new CorruptException(
            folder.resolve(entry.getValue()).toString(),
            "tensor " + entry.getKey() + ", as " + INDEX + " says",
            "none of that name",
            FETCH_AGAIN);
      }
    }
  }

  /**
   * Takes along every file of up to {@link #LARGEST_COMPANION} bytes, so that an export gives the
   * whole folder back; leaves behind larger ones, and folders that begin with a dot.
   */
  private static void sortOut(
      Path folder, TreeSet<String> weightFiles, List<String> companions, List<String> ignored) {
    try (var entries = Files.list(folder)) {
      for (Path entry : entries.sorted().toList()) {
        String name = FileNames.of(entry.getFileName());
        if (weightFiles.contains(name)) {
          continue;
        }
        if (name.matches("model.*\\.safetensors")) {
          throw new CorruptException(
              entry.toString(),
              "a weight file that the index names",
              "one that it does not",
              "index and files are not of the same checkpoint, fetch it again or move it away");
        }
        boolean taken = !name.startsWith(".") || !Files.isDirectory(entry);
        try (var files = taken ? Files.walk(entry) : Stream.of(entry)) {
          files
              .filter(file -> !taken || !Files.isDirectory(file, LinkOption.NOFOLLOW_LINKS))
              .map(file -> FileNames.of(folder.relativize(file)))
              .forEach(
                  file ->
                      (isCompanion(folder, file, weightFiles) ? companions : ignored).add(file));
        }
      }
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
    companions.sort(null);
    ignored.sort(null);
  }

  private static boolean isCompanion(Path folder, String name, TreeSet<String> weightFiles) {
    boolean header =
        name.endsWith(".header") && weightFiles.contains(name.replaceFirst("\\.header$", ""));
    try {
      return PackagePaths.isClean(name)
          && !header
          && Files.isRegularFile(folder.resolve(name))
          && Files.size(folder.resolve(name)) <= LARGEST_COMPANION;
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }
}
