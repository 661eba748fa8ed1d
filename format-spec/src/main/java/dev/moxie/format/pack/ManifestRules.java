package dev.moxie.format.pack;

import dev.moxie.format.encoding.Encoding;
import dev.moxie.format.error.CorruptException;
import dev.moxie.format.error.TooNewException;
import dev.moxie.format.error.UnsupportedException;
import dev.moxie.format.model.Architecture;
import dev.moxie.format.model.FeedForward;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Set;

/** What the members of a manifest must agree on; SPEC.md has the rules by these ids. */
final class ManifestRules {
  private static final String REMEDY = "the package is altered, restore it or convert again";

  private final String where;
  private final Manifest manifest;

  private ManifestRules(String where, Manifest manifest) {
    this.where = where;
    this.manifest = manifest;
  }

  /**
   * Checks a manifest whose members are each of the right form.
   *
   * @throws CorruptException naming the first rule that is broken
   * @throws UnsupportedException if it has an encoding that is not implemented
   * @throws TooNewException if it has one that a later version may define
   */
  static void check(String where, Manifest manifest) {
    var rules = new ManifestRules(where, manifest);
    rules.checkPaths();
    rules.checkOrder();
    rules.checkFiles();
    rules.checkHeaders();
    rules.checkPrediction();
    rules.checkRanks();
    rules.checkEncodings();
  }

  /** D2. */
  private void checkPaths() {
    shardFiles().forEach(file -> PackagePaths.require(where + ", shards", file));
    filePaths().forEach(path -> PackagePaths.require(where + ", files", path));
    sourceFiles().forEach(file -> PackagePaths.require(where + ", provenance.shards", file));
    Manifest.Adapter adapter = manifest.provenance().adapter();
    if (adapter != null) {
      adapter
          .files()
          .forEach(file -> PackagePaths.require(where + ", provenance.adapter", file.path()));
    }
    for (String name : manifest.provenance().ignoredFiles()) {
      require(
          PackagePaths.staysInside(name),
          "provenance.ignoredFiles",
          "names of files inside the checkpoint's folder",
          "\"" + name + "\"");
    }
  }

  /** M6. */
  private void checkOrder() {
    Manifest.Provenance provenance = manifest.provenance();
    checkOrder("encodings", manifest.encodings());
    checkOrder("shards", shardFiles());
    checkOrder("files", filePaths());
    checkOrder("provenance.shards", sourceFiles());
    checkOrder("provenance.ignoredFiles", provenance.ignoredFiles());
    checkOrder("provenance.ignoredConfigKeys", provenance.ignoredConfigKeys());
    if (provenance.leftOut() != null) {
      checkOrder("provenance.leftOut", provenance.leftOut());
    }
    Manifest.Adapter adapter = provenance.adapter();
    if (adapter != null) {
      checkOrder(
          "provenance.adapter.files",
          adapter.files().stream().map(Manifest.OtherFile::path).toList());
      List<Manifest.Update> updates = adapter.updates();
      for (int i = 1; i < updates.size(); i++) {
        require(
            Manifest.Update.ORDER.compare(updates.get(i - 1), updates.get(i)) < 0,
            "provenance.adapter.updates",
            "entries sorted by rank, then scale, each once",
            updates.get(i) + " after " + updates.get(i - 1));
      }
    }
  }

  private void checkOrder(String member, List<String> names) {
    for (int i = 1; i < names.size(); i++) {
      require(
          PackagePaths.ORDER.compare(names.get(i - 1), names.get(i)) < 0,
          member,
          "entries sorted by their bytes, each once",
          "\"" + names.get(i) + "\" after \"" + names.get(i - 1) + "\"");
    }
  }

  /** M8. */
  private void checkFiles() {
    List<String> paths = filePaths();
    require(
        paths.contains(PackagePaths.INDEX), "files", "an entry for " + PackagePaths.INDEX, "none");
    for (String path : paths) {
      require(
          path.equals(PackagePaths.INDEX) || path.startsWith(PackagePaths.SOURCE),
          "files",
          PackagePaths.INDEX + " and what lies in " + PackagePaths.SOURCE,
          "\"" + path + "\"");
    }
    List<String> all = new ArrayList<>(paths);
    all.addAll(shardFiles());
    all.add(PackagePaths.MANIFEST);
    Set<String> folders = new HashSet<>();
    for (String path : all) {
      for (int end = path.indexOf('/'); end >= 0; end = path.indexOf('/', end + 1)) {
        folders.add(path.substring(0, end));
      }
    }
    Set<String> seen = new HashSet<>();
    for (String path : all) {
      require(
          !folders.contains(path) && seen.add(path),
          "shards and files",
          "a path of its own for each file",
          "\"" + path + "\" for two");
    }
  }

  /** M10. */
  private void checkHeaders() {
    for (Manifest.SourceShard shard : manifest.provenance().shards()) {
      String member = "provenance.shards";
      require(
          !shard.file().contains("/"),
          member,
          "weight files beside each other",
          "\"" + shard.file() + "\"");
      String path = PackagePaths.headerOf(shard.file());
      long bytes = manifest.file(path).map(Manifest.OtherFile::bytes).orElse(-1L);
      require(bytes >= 0, member, path + " among the files, to restore it from", "none");
      require(
          bytes >= 10 && bytes <= shard.bytes(),
          member,
          "a header that " + shard.file() + " of " + shard.bytes() + " bytes can have",
          path + " of " + bytes + " bytes");
    }
  }

  /** M11. */
  private void checkPrediction() {
    Manifest.PredictionLayers prediction = manifest.provenance().prediction();
    boolean there = manifest.architecture().prediction() != null;
    require(
        there == (prediction == Manifest.PredictionLayers.KEPT),
        "provenance.prediction",
        "kept where the architecture has layers for multi-token prediction, and only there",
        prediction + " for an architecture " + (there ? "with" : "without"));
  }

  /** L1. */
  private void checkRanks() {
    Architecture architecture = manifest.architecture();
    List<FeedForward> parts = new ArrayList<>();
    architecture.runs().forEach(run -> parts.add(run.feedForward()));
    if (architecture.prediction() != null) {
      parts.add(architecture.prediction().feedForward());
    }
    int most =
        parts.stream()
            .filter(FeedForward.MixtureOfExperts.class::isInstance)
            .mapToInt(part -> ((FeedForward.MixtureOfExperts) part).weighted())
            .min()
            .orElse(1);
    int ranks = manifest.layout().expertParallel();
    require(
        ranks <= most,
        "layout.expertParallel",
        "at most " + most + ", the experts of the smallest layer",
        String.valueOf(ranks));
  }

  /** M5. */
  private void checkEncodings() {
    for (String encoding : manifest.encodings()) {
      if (Encoding.of(encoding).isEmpty()) {
        throw manifest
            .version()
            .unknown(
                where + ", encodings",
                "encodings of the format, as plain, fp8_block_128x128 or int4_block_32",
                "\"" + encoding + "\"");
      }
    }
  }

  private List<String> shardFiles() {
    return manifest.shards().stream().map(Manifest.Shard::file).toList();
  }

  private List<String> filePaths() {
    return manifest.files().stream().map(Manifest.OtherFile::path).toList();
  }

  private List<String> sourceFiles() {
    return manifest.provenance().shards().stream().map(Manifest.SourceShard::file).toList();
  }

  private void require(boolean holds, String member, String expected, String found) {
    if (!holds) {
      throw new CorruptException(where + ", " + member, expected, found, REMEDY);
    }
  }
}
