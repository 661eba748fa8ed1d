package dev.moxie.converter.checkpoint;

import dev.moxie.format.error.CorruptException;
import dev.moxie.format.error.InvalidInputException;
import dev.moxie.format.error.UsageException;
import dev.moxie.format.file.FileNames;
import dev.moxie.format.file.StagedFolder;
import dev.moxie.format.json.StrictJson;
import dev.moxie.format.pack.EndTokens;
import dev.moxie.format.pack.PackagePaths;
import dev.moxie.format.pickle.PickleHeader;
import dev.moxie.format.safetensors.SafetensorsFile;
import dev.moxie.format.safetensors.TensorInfo;
import dev.moxie.format.safetensors.WeightHeader;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.LinkOption;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Optional;
import java.util.Set;
import java.util.TreeMap;
import org.jspecify.annotations.Nullable;

/**
 * A Hugging Face checkpoint folder: config.json beside one {@code model.safetensors} or several
 * files with a {@code model.safetensors.index.json}, or beside {@link NumberedFiles}. Every header
 * is validated. The index decides from which file a tensor is read, and must name every tensor; no
 * weight is read.
 *
 * @param headers by weight file, sorted
 * @param tensors by name, in file order
 * @param superseded copies in files from which the index does not read them, in file order
 * @param companions files to take over byte for byte, sorted
 * @param left what is not taken over, sorted
 * @param notes what a user should know of it, in sentences without a full stop
 */
public record Checkpoint(
    Path folder,
    Map<String, WeightHeader> headers,
    Map<String, SourceTensor> tensors,
    List<SourceTensor> superseded,
    List<String> companions,
    List<LeftBehind> left,
    List<String> notes) {
  private static final String CONFIG = "config.json";
  private static final String INDEX = WeightFiles.INDEX;
  private static final int NAMES_SHOWN = 3;

  /** A file of more bytes is no companion: weights in other formats lie beside many releases. */
  private static final long LARGEST_COMPANION = 64 << 20;

  /**
   * Opens a checkpoint.
   *
   * @throws UsageException if there is nothing of that name
   * @throws InvalidInputException if it is no checkpoint, its weights are missing, index and files
   *     disagree, or a header is invalid
   */
  public static Checkpoint open(Path folder) {
    WeightFiles files = WeightFiles.in(folder);
    List<String> weightFiles = files.names().stream().sorted().toList();
    Map<String, WeightHeader> headers = new TreeMap<>();
    Map<String, SourceTensor> tensors = new LinkedHashMap<>();
    List<SourceTensor> superseded = new ArrayList<>();
    // Parsing is what opening takes its time for, and each header can be parsed by itself.
    List<WeightHeader> parsed =
        weightFiles.parallelStream().map(file -> header(folder, file)).toList();
    for (String file : weightFiles) {
      WeightHeader header = parsed.get(headers.size());
      headers.put(file, header);
      for (TensorInfo info : header.tensors()) {
        SourceTensor tensor = tensor(file, header, info);
        if (!isIndexed(folder, tensor, files.index())
            || tensors.putIfAbsent(info.name(), tensor) != null) {
          superseded.add(tensor);
        }
      }
    }
    Map<String, String> index = files.index();
    List<String> absent =
        index == null ? List.of() : requireAllFound(folder, index, tensors, superseded);
    List<String> companions = new ArrayList<>();
    List<LeftBehind> left = new ArrayList<>();
    sortOut(folder, files, new SpareWeights(files, tensors.keySet()), companions, left);
    List<String> notes = new ArrayList<>(files.notes());
    if (!superseded.isEmpty()) {
      notes.add(
          INDEX
              + " decides where a tensor is read from; superseded copies are kept for export"
              + " alone: "
              + some(
                  superseded.stream()
                      .map(tensor -> tensor.name() + " in " + tensor.file())
                      .toList()));
    }
    if (!absent.isEmpty()) {
      notes.add(
          INDEX + " names tensors that no file holds; a model computes them anew: " + some(absent));
    }
    return new Checkpoint(
        folder,
        java.util.Collections.unmodifiableMap(headers),
        java.util.Collections.unmodifiableMap(tensors),
        List.copyOf(superseded),
        List.copyOf(companions),
        List.copyOf(left),
        List.copyOf(notes));
  }

  private static String some(List<String> names) {
    String more =
        names.size() > NAMES_SHOWN ? " and %d more".formatted(names.size() - NAMES_SHOWN) : "";
    return String.join(", ", names.subList(0, Math.min(NAMES_SHOWN, names.size()))) + more;
  }

  /** Tensors in the weight files, superseded copies included. */
  public int tensorCount() {
    return tensors.size() + superseded.size();
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

  private static WeightHeader header(Path folder, String file) {
    Path path = folder.resolve(file);
    return NumberedFiles.is(file) ? PickleHeader.read(path) : SafetensorsFile.readHeader(path);
  }

  /** The bytes of a weight file that are no tensor's. */
  public byte[] headerBytes(String file) {
    if (headers.get(file) instanceof PickleHeader pickle) {
      return pickle.kept();
    }
    int bytes = Math.toIntExact(Objects.requireNonNull(headers.get(file), file).bytes());
    try (var in = Files.newInputStream(folder.resolve(file))) {
      return in.readNBytes(bytes);
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  /** Whether each file holds a parameter that no file names. */
  public boolean isNumbered() {
    return headers.keySet().stream().allMatch(NumberedFiles::is);
  }

  private static SourceTensor tensor(String file, WeightHeader header, TensorInfo info) {
    return new SourceTensor(
        file, info.name(), info.dtype(), info.shape(), header.offset(info), info.bytes());
  }

  /**
   * Whether the index reads a tensor from the file in which it was found. Whoever wrote it may have
   * left out what is computed anew.
   */
  private static boolean isIndexed(
      Path folder, SourceTensor tensor, @Nullable Map<String, String> index) {
    String file = index == null ? tensor.file() : index.get(tensor.name());
    if (file == null && !Recomputed.is(tensor)) {
      throw new CorruptException(
          folder.resolve(INDEX) + ", tensor " + tensor.name(),
          "\"" + tensor.file() + "\", the file that holds it",
          "no entry",
          "index and files are not of the same checkpoint: fetch both again, or write the index"
              + " anew");
    }
    return file == null || file.equals(tensor.file());
  }

  /**
   * Refuses an index that names what no file holds, unless that is computed anew.
   *
   * @return tensors that are, sorted
   */
  private static List<String> requireAllFound(
      Path folder,
      Map<String, String> index,
      Map<String, SourceTensor> tensors,
      List<SourceTensor> superseded) {
    List<String> absent = new ArrayList<>();
    for (var entry : index.entrySet()) {
      String name = entry.getKey();
      if (tensors.containsKey(name)) {
        continue;
      }
      Optional<SourceTensor> elsewhere =
          superseded.stream().filter(copy -> copy.name().equals(name)).findFirst();
      if (Recomputed.is(name)) {
        if (elsewhere.isEmpty()) {
          absent.add(name);
        }
        continue;
      }
      throw new CorruptException(
          folder.resolve(entry.getValue()).toString(),
          "tensor " + name + ", as " + INDEX + " says",
          elsewhere
              .map(copy -> "one of that name in " + copy.file() + " alone")
              .orElse("none of that name in any file"),
          "index and files are not of the same checkpoint: fetch both again, or write the index"
              + " anew");
    }
    absent.sort(null);
    return absent;
  }

  /**
   * Takes along every file of up to {@link #LARGEST_COMPANION} bytes, so that an export gives the
   * whole folder back; leaves behind larger ones, and folders that begin with a dot.
   */
  private static void sortOut(
      Path folder,
      WeightFiles weightFiles,
      SpareWeights spare,
      List<String> companions,
      List<LeftBehind> left) {
    try (var entries = Files.list(folder)) {
      for (Path entry : entries.sorted().toList()) {
        String name = FileNames.of(entry.getFileName());
        if (weightFiles.names().contains(name)) {
          continue;
        }
        Optional<String> reason =
            Files.isRegularFile(entry) ? spare.reasonToLeave(folder, name) : Optional.empty();
        if (reason.isPresent()) {
          left.add(new LeftBehind(name, reason.get()));
          continue;
        }
        if (name.startsWith(".") && Files.isDirectory(entry)) {
          left.add(new LeftBehind(name, "a hidden folder"));
          continue;
        }
        try (var files = Files.walk(entry)) {
          for (Path file : files.toList()) {
            sortOut(folder, file, weightFiles, companions, left);
          }
        }
      }
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
    companions.sort(null);
    left.sort(Comparator.comparing(LeftBehind::name));
  }

  private static void sortOut(
      Path folder,
      Path file,
      WeightFiles weightFiles,
      List<String> companions,
      List<LeftBehind> left)
      throws IOException {
    String name = FileNames.of(folder.relativize(file));
    Optional<String> reason = reasonToLeave(folder, file, name, weightFiles);
    if (reason.isPresent()) {
      left.add(new LeftBehind(name, reason.get()));
    } else if (!Files.isDirectory(file, LinkOption.NOFOLLOW_LINKS)) {
      companions.add(name);
    }
  }

  /** Why a file cannot come along, if there is a reason; folders come with their files. */
  private static Optional<String> reasonToLeave(
      Path folder, Path file, String name, WeightFiles weightFiles) throws IOException {
    if (Files.isDirectory(file, LinkOption.NOFOLLOW_LINKS)) {
      return StagedFolder.isEmptyFolder(file) ? Optional.of("an empty folder") : Optional.empty();
    }
    if (!Files.exists(file)) {
      return Optional.of("a link to nothing");
    }
    if (Files.isDirectory(file)) {
      return Optional.of("a link to a folder");
    }
    if (!Files.isRegularFile(file)) {
      return Optional.of("no regular file");
    }
    if (!PackagePaths.isClean(name)) {
      return Optional.of("its name has characters that a package may not state");
    }
    if (name.endsWith(".header")
        && weightFiles.names().contains(name.substring(0, name.length() - ".header".length()))) {
      return Optional.of("its name is that of a weight file's header");
    }
    return Files.size(file) > LARGEST_COMPANION
        ? Optional.of("larger than %d MiB".formatted(LARGEST_COMPANION >> 20))
        : Links.reasonToLeave(folder, name);
  }
}
