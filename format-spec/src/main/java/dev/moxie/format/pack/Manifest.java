package dev.moxie.format.pack;

import com.fasterxml.jackson.annotation.JsonInclude;
import com.fasterxml.jackson.annotation.JsonProperty;
import dev.moxie.format.encoding.Encoding;
import dev.moxie.format.encoding.Quantised;
import dev.moxie.format.encoding.Quantiser;
import dev.moxie.format.error.CorruptException;
import dev.moxie.format.error.InvalidInputException;
import dev.moxie.format.error.TooNewException;
import dev.moxie.format.model.Architecture;
import dev.moxie.format.model.Limits;
import dev.moxie.format.model.Role;
import dev.moxie.format.model.TensorSpec;
import dev.moxie.format.model.UnknownValueException;
import dev.moxie.format.safetensors.Dtype;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.LinkOption;
import java.nio.file.Path;
import java.util.Comparator;
import java.util.HashSet;
import java.util.List;
import java.util.Objects;
import java.util.Optional;
import java.util.Set;
import java.util.stream.Stream;
import org.jspecify.annotations.Nullable;

/**
 * What {@code moxie.json} says. The file's bytes, its closing digest and the version rules are in
 * {@link ManifestFile}.
 *
 * @param format always "moxie"
 * @param version of the format
 * @param producer the program that wrote the package
 * @param architecture the forward pass, routing equation included
 * @param encodings every encoding that a tensor of the package has, sorted
 * @param layout how the weights are spread over files
 * @param shards the weight files, sorted by name
 * @param files every other file but the manifest itself, sorted by path
 * @param provenance where the weights came from
 */
public record Manifest(
    String format,
    Version version,
    Producer producer,
    Architecture architecture,
    List<String> encodings,
    Layout layout,
    List<Shard> shards,
    List<OtherFile> files,
    Provenance provenance) {

  /** A safetensors file is eight bytes and at least {@code {}}. */
  private static final int LEAST_WEIGHT_FILE = 10;

  /** The value of {@link #format}. */
  public static final String FORMAT = "moxie";

  /** The version this library writes. */
  public static final Version CURRENT = new Version(1, 0);

  /** Version of the format; SPEC.md says what a reader does with each. */
  public record Version(int major, int minor) {
    /** Whether the minor version is above ours, so that members and columns may be added. */
    boolean isLater() {
      return minor > CURRENT.minor();
    }

    /**
     * What to say of a value that we do not know: our own version has no such value, a later one
     * may.
     */
    InvalidInputException unknown(String where, String expected, String found) {
      return isLater()
          ? new TooNewException(
              where, expected, found + " in a package of version " + this, "update Moxie")
          : new CorruptException(
              where, expected, found, "the package is damaged, restore it or convert again");
    }

    @Override
    public String toString() {
      return major + "." + minor;
    }
  }

  /** The program that wrote the package. */
  public record Producer(String name, String version) {
    public Producer {
      Objects.requireNonNull(name, "producer.name is missing");
      Objects.requireNonNull(version, "producer.version is missing");
    }
  }

  /**
   * How the weights are spread over files; {@link PackageLayout} says what follows from it.
   *
   * @param expertParallel ranks over which the experts of each layer are spread, from 1
   * @param maxShardBytes bytes of tensors above which a weight file is split; null for the files as
   *     they come: the backbone at 4 GiB, the experts of a layer and rank in one
   */
  public record Layout(int expertParallel, @Nullable Long maxShardBytes) {
    /** One rank, files as they come. */
    public static final Layout PLAIN = new Layout(1, null);

    public Layout {
      if (expertParallel < 1) {
        throw new IllegalArgumentException(
            "layout.expertParallel: expected a number from 1, found " + expertParallel);
      }
      if (maxShardBytes != null && maxShardBytes < 1) {
        throw new IllegalArgumentException(
            "layout.maxShardBytes: expected a number from 1, found " + maxShardBytes);
      }
    }

    /** The first expert of a rank, of so many experts of a layer; the last rank's end with them. */
    public int firstExpert(int rank, int experts) {
      return Math.toIntExact((long) rank * experts / expertParallel);
    }
  }

  /**
   * A weight file: its header is digested here, its data leaf by leaf in the index.
   *
   * @param bytes of the file
   * @param headerBytes bytes before the data
   * @param headerSha256 SHA-256 of those, lower-case hexadecimal
   * @param rank of the experts in it; null unless they are spread over ranks
   */
  public record Shard(
      String file, long bytes, long headerBytes, String headerSha256, @Nullable Integer rank) {
    public Shard {
      Objects.requireNonNull(file, "shards.file is missing");
      requireDigest("shards.headerSha256", headerSha256);
      if (headerBytes < LEAST_WEIGHT_FILE || bytes < headerBytes) {
        throw new IllegalArgumentException(
            "shards: "
                + file
                + ": expected 10 ≤ headerBytes ≤ bytes, found "
                + headerBytes
                + " and "
                + bytes);
      }
      if (rank != null && (rank < 0 || rank >= Limits.MAX_EXPERTS)) {
        throw new IllegalArgumentException(
            "shards: "
                + file
                + ": expected a rank from 0 to "
                + (Limits.MAX_EXPERTS - 1)
                + ", found "
                + rank);
      }
    }
  }

  /**
   * A file that is no shard.
   *
   * @param sha256 SHA-256 of all its bytes, lower-case hexadecimal
   */
  public record OtherFile(String path, long bytes, String sha256) {
    public OtherFile {
      Objects.requireNonNull(path, "files.path is missing");
      requireDigest("files.sha256", sha256);
      if (bytes < 0) {
        throw new IllegalArgumentException("files: " + path + ": bytes is negative");
      }
    }
  }

  /**
   * Where the weights came from; which source tensor each byte came from stands in the index.
   *
   * @param family the checkpoint's family
   * @param shards the checkpoint's weight files
   * @param ignoredFiles files of the checkpoint's folder that were left behind
   * @param ignoredConfigKeys keys of config.json that the user declared to be without effect
   * @param prediction what became of the checkpoint's layers for multi-token prediction
   * @param cast null if no element was given another dtype
   * @param quantisation null if none was given an encoding
   * @param adapter null if none was merged
   * @param leftOut what the names of tensors begin with that the user chose to leave out, sorted;
   *     null if nothing was
   */
  public record Provenance(
      String family,
      List<SourceShard> shards,
      List<String> ignoredFiles,
      List<String> ignoredConfigKeys,
      PredictionLayers prediction,
      @Nullable Cast cast,
      @Nullable Quantisation quantisation,
      @JsonInclude(JsonInclude.Include.NON_NULL) @Nullable Adapter adapter,
      @JsonInclude(JsonInclude.Include.NON_NULL) @Nullable List<String> leftOut) {
    /** Where no adapter was merged and nothing left out. */
    public Provenance(
        String family,
        List<SourceShard> shards,
        List<String> ignoredFiles,
        List<String> ignoredConfigKeys,
        PredictionLayers prediction,
        @Nullable Cast cast,
        @Nullable Quantisation quantisation) {
      this(
          family,
          shards,
          ignoredFiles,
          ignoredConfigKeys,
          prediction,
          cast,
          quantisation,
          null,
          null);
    }

    public Provenance {
      Objects.requireNonNull(prediction, "provenance.prediction is missing");
      Objects.requireNonNull(family, "provenance.family is missing");
      shards = entries("provenance.shards", shards);
      ignoredFiles = entries("provenance.ignoredFiles", ignoredFiles);
      ignoredConfigKeys = entries("provenance.ignoredConfigKeys", ignoredConfigKeys);
      if (leftOut != null) {
        leftOut = entries("provenance.leftOut", leftOut);
        if (leftOut.isEmpty() || leftOut.contains("")) {
          throw new IllegalArgumentException(
              "provenance.leftOut: expected beginnings of names, or no such member, found "
                  + leftOut);
        }
      }
    }

    /** Whether an export has every tensor of the checkpoint, each in its dtype. */
    public boolean hasAllTensors() {
      return cast == null && prediction != PredictionLayers.DROPPED && leftOut == null;
    }
  }

  /** What became of the layers for multi-token prediction. */
  public enum PredictionLayers {
    /** The config declares none. */
    @JsonProperty("none")
    NONE,
    /** The config declares some, but the checkpoint's files hold none. */
    @JsonProperty("absent")
    ABSENT,
    /** They are in the package. */
    @JsonProperty("kept")
    KEPT,
    /** The user chose to leave them out. */
    @JsonProperty("dropped")
    DROPPED
  }

  /**
   * A change of element type. Routers and their biases keep theirs; block-scaled elements are first
   * multiplied by their scale, rounding to float32.
   *
   * @param dtype BF16 or F32
   * @param rounding of each step
   */
  public record Cast(Dtype dtype, Rounding rounding) {
    public Cast {
      Objects.requireNonNull(rounding, "provenance.cast.rounding is missing");
      if (dtype != Dtype.BF16 && dtype != Dtype.F32) {
        throw new UnknownValueException("provenance.cast.dtype", "BF16 or F32", dtype);
      }
    }
  }

  /**
   * A change of encoding, of matrices that it can hold. Numbers that come in four bits stay as they
   * are: nothing is won, and something lost.
   *
   * @param encoding its name in the index
   * @param matrices which
   * @param method how scales were chosen
   */
  public record Quantisation(String encoding, Matrices matrices, Quantiser.Method method) {
    public Quantisation {
      Objects.requireNonNull(encoding, "provenance.quantisation.encoding is missing");
      Objects.requireNonNull(matrices, "provenance.quantisation.matrices is missing");
      Objects.requireNonNull(method, "provenance.quantisation.method is missing");
      if (Encoding.of(encoding).filter(Quantised.class::isInstance).isEmpty()) {
        throw new UnknownValueException(
            "provenance.quantisation.encoding", "int8_channel, int4_block_B or mxfp4", encoding);
      }
    }

    /** Whether a tensor is among the matrices, and one that the encoding can hold. */
    public boolean takes(TensorSpec spec) {
      boolean among =
          switch (matrices) {
            case EXPERTS -> spec.stack() != null;
            // They decide as a router does, and are one row or two.
            case ALL ->
                !spec.role().keepsItsDtype()
                    && spec.role() != Role.SHARED_SWITCH
                    && spec.role() != Role.SHARED_MIX;
          };
      return among && quantised().holds(spec.each());
    }

    /** The encoding. */
    public Quantised quantised() {
      return (Quantised) Encoding.of(encoding).orElseThrow();
    }
  }

  /**
   * An adapter of low rank that was merged into the weights. Its files are not in the package.
   *
   * @param files those that it was read from, sorted by path
   * @param updates what was added, sorted by rank, then scale
   */
  public record Adapter(List<OtherFile> files, List<Update> updates) {
    public Adapter {
      files = entries("provenance.adapter.files", files);
      updates = entries("provenance.adapter.updates", updates);
      if (files.isEmpty() || updates.isEmpty()) {
        throw new IllegalArgumentException(
            "provenance.adapter: expected files and updates, found " + files + " and " + updates);
      }
    }
  }

  /**
   * Products of two factors that were added to matrices.
   *
   * @param rank of the factors
   * @param scale that their product was multiplied by
   * @param matrices how many of the package's had one added
   */
  public record Update(int rank, double scale, int matrices) {
    /** The order in a manifest. */
    public static final Comparator<Update> ORDER =
        Comparator.comparingInt(Update::rank).thenComparingDouble(Update::scale);

    public Update {
      if (rank < 1 || rank > Limits.MAX_WIDTH || !Double.isFinite(scale) || matrices < 1) {
        throw new IllegalArgumentException(
            "provenance.adapter.updates: expected a rank from 1 to %d, a finite scale and matrices from 1, found %d, %s and %d"
                .formatted(Limits.MAX_WIDTH, rank, scale, matrices));
      }
    }
  }

  /** Which matrices are quantised. */
  public enum Matrices {
    /** Those of routed experts. */
    @JsonProperty("experts")
    EXPERTS,
    /** Every one but routers. */
    @JsonProperty("all")
    ALL
  }

  /** Which of two neighbours a value between them becomes. */
  public enum Rounding {
    /** The nearer; of equally near ones the one whose last bit is 0 (IEEE 754). */
    @JsonProperty("nearest_even")
    NEAREST_EVEN
  }

  /** A weight file of the checkpoint. */
  public record SourceShard(String file, long bytes) {
    public SourceShard {
      Objects.requireNonNull(file, "provenance.shards.file is missing");
      if (bytes < LEAST_WEIGHT_FILE) {
        throw new IllegalArgumentException(
            "provenance.shards: "
                + file
                + ": expected "
                + LEAST_WEIGHT_FILE
                + " bytes or more, found "
                + bytes);
      }
    }
  }

  public Manifest {
    Objects.requireNonNull(producer, "producer is missing");
    Objects.requireNonNull(architecture, "architecture is missing");
    encodings = entries("encodings", encodings);
    Objects.requireNonNull(layout, "layout is missing");
    shards = entries("shards", shards);
    files = entries("files", files);
    Objects.requireNonNull(provenance, "provenance is missing");
  }

  /** The entry of a file that is no shard, if it is listed. */
  public Optional<OtherFile> file(String path) {
    return files.stream().filter(file -> file.path().equals(path)).findFirst();
  }

  /**
   * Files in a package's folder that this manifest does not list.
   *
   * @return paths relative to the folder, sorted
   */
  public List<String> strangers(Path folder) {
    Set<String> known = new HashSet<>();
    known.add(PackagePaths.MANIFEST);
    shards.forEach(shard -> known.add(shard.file()));
    files.forEach(file -> known.add(file.path()));
    try (Stream<Path> walk = Files.walk(folder)) {
      return walk.filter(path -> !Files.isDirectory(path, LinkOption.NOFOLLOW_LINKS))
          .map(path -> folder.relativize(path).toString().replace('\\', '/'))
          .filter(name -> !known.contains(name))
          .sorted()
          .toList();
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  private static <T> List<T> entries(String member, List<T> list) {
    Objects.requireNonNull(list, member + " is missing");
    list.forEach(entry -> Objects.requireNonNull(entry, member + " has null for an entry"));
    return List.copyOf(list);
  }

  private static void requireDigest(String member, String digest) {
    Objects.requireNonNull(digest, member + " is missing");
    if (!digest.matches("[0-9a-f]{64}")) {
      throw new IllegalArgumentException(
          member + ": expected 64 lower-case hexadecimal digits, found \"" + digest + "\"");
    }
  }
}
