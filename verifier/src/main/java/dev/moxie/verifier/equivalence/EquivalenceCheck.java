package dev.moxie.verifier.equivalence;

import dev.moxie.converter.adapter.LoraAdapter;
import dev.moxie.converter.checkpoint.Checkpoint;
import dev.moxie.converter.checkpoint.SourceTensor;
import dev.moxie.converter.plan.Conversion;
import dev.moxie.converter.plan.ConversionPlan;
import dev.moxie.converter.plan.Planner;
import dev.moxie.converter.plan.Transform;
import dev.moxie.format.error.UsageException;
import dev.moxie.format.file.FileNames;
import dev.moxie.format.model.Role;
import dev.moxie.format.pack.IndexRow;
import dev.moxie.format.pack.Manifest;
import dev.moxie.format.pack.MoxiePackage;
import dev.moxie.format.pack.PackagePaths;
import dev.moxie.format.safetensors.MappedTensors;
import dev.moxie.format.safetensors.SafetensorsFile;
import dev.moxie.format.view.View;
import dev.moxie.verifier.diff.JsonChanges;
import dev.moxie.verifier.report.Finding;
import dev.moxie.verifier.report.Report;
import dev.moxie.verifier.report.Verdict;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.lang.foreign.MemorySegment;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Optional;
import java.util.TreeMap;
import org.jspecify.annotations.Nullable;

/**
 * Level 2: the checkpoint is planned anew, and every source tensor's bytes are compared with the
 * place that this plan, not the package, assigns to it. What the package's index says of its own
 * provenance is checked against the same plan, never trusted.
 */
public final class EquivalenceCheck {
  private final MoxiePackage pack;
  private final Checkpoint checkpoint;
  private final ConversionPlan plan;
  private final List<Finding> findings = new ArrayList<>();
  private int otherOrigins;
  private @Nullable Finding otherOrigin;
  private final Map<SourceTensor, Fate> fates = new HashMap<>();

  /** What became of a source tensor; of one that is several leaves, the worst of theirs. */
  private enum Fate {
    IDENTICAL,
    CONVERTED,
    DIFFERENT,
    MISSING
  }

  private EquivalenceCheck(MoxiePackage pack, Path source, @Nullable LoraAdapter adapter) {
    this.pack = pack;
    this.checkpoint = Checkpoint.open(source);
    this.plan = Planner.plan(checkpoint, Conversion.of(pack.manifest()), adapter);
  }

  /** Compares a package with the checkpoint in a folder. */
  public static Report.Equivalence run(MoxiePackage pack, Path source) {
    return run(pack, source, null);
  }

  /**
   * Compares a package with a checkpoint and the adapter that was merged into it.
   *
   * @throws UsageException if one was merged and none is given, or the other way round
   */
  public static Report.Equivalence run(MoxiePackage pack, Path source, @Nullable Path adapter) {
    Manifest.Adapter merged = pack.manifest().provenance().adapter();
    if (adapter == null && merged != null) {
      throw new UsageException(
          "--source " + source,
          "--adapter with it, since the package has an adapter merged into its weights, of SHA-256 "
              + merged.files().getLast().sha256(),
          "none",
          "pass the adapter's folder");
    }
    if (adapter != null && merged == null) {
      throw new UsageException(
          "--adapter " + adapter,
          "a package that an adapter was merged into",
          "one without",
          "leave it out, or convert with it");
    }
    return new EquivalenceCheck(pack, source, adapter == null ? null : LoraAdapter.open(adapter))
        .run();
  }

  private Report.Equivalence run() {
    if (!plan.architecture().equals(pack.architecture())) {
      findings.add(
          new Finding(
              PackagePaths.MANIFEST,
              null,
              "expected the architecture of the source's config.json, found others: "
                  + JsonChanges.describe(plan.architecture(), pack.architecture())));
    }
    Map<String, IndexRow> rows = new LinkedHashMap<>();
    for (IndexRow row : pack.rows()) {
      if (row.isLeaf() && row.role() != Role.PADDING) {
        rows.put(row.describe(), row);
      }
    }
    Map<String, MappedTensors> open = new HashMap<>();
    try {
      checkpoint
          .headers()
          .forEach(
              (file, header) ->
                  open.put(file, MappedTensors.map(checkpoint.folder().resolve(file), header)));
      if (plan.adapter() != null) {
        Path weights = plan.adapter().weights();
        open.put(
            FileNames.of(weights.getFileName()),
            MappedTensors.map(weights, SafetensorsFile.readHeader(weights)));
      }
      for (ConversionPlan.Shard shard : plan.shards()) {
        compareShard(shard, rows, open);
      }
    } finally {
      open.values().forEach(MappedTensors::close);
    }
    for (IndexRow extra : rows.values()) {
      findings.add(
          new Finding(extra.shard(), extra.describe(), "expected nothing, the source has no such"));
    }
    if (otherOrigin != null) {
      findings.add(
          new Finding(
              PackagePaths.INDEX,
              null,
              otherOrigins
                  + " leaves that were converted from another checkpoint than this one, whether"
                  + " their bytes agree or not; the first follows"));
      findings.add(otherOrigin);
    }
    compareCompanions();
    compareProvenance();
    return new Report.Equivalence(
        Verdict.of(findings.isEmpty()),
        checkpoint.folder().toString(),
        checkpoint.tensorCount(),
        count(Fate.IDENTICAL),
        count(Fate.CONVERTED),
        count(Fate.DIFFERENT),
        count(Fate.MISSING),
        checkpoint.tensorCount() - plan.sourceTensors(),
        rows.size(),
        List.copyOf(findings));
  }

  private void compareShard(
      ConversionPlan.Shard shard, Map<String, IndexRow> rows, Map<String, MappedTensors> open) {
    for (ConversionPlan.Move move : shard.moves()) {
      SourceTensor source = move.piece().source();
      String name =
          IndexRow.describe(
              move.tensor().spec().name(), move.leaf().expert(), move.leaf().projection());
      IndexRow row = rows.remove(name);
      if (row == null) {
        meet(move.piece(), Fate.MISSING);
        findings.add(
            new Finding(
                source.file(), source.name(), "expected it as " + name + ", found no such"));
      } else {
        compare(move, row, open);
      }
    }
  }

  private void compare(ConversionPlan.Move move, IndexRow row, Map<String, MappedTensors> open) {
    SourceTensor source = move.piece().source();
    Transform transform = move.piece().transform();
    MemorySegment found = pack.bytes(row);
    MappedTensors file = Objects.requireNonNull(open.get(source.file()));
    var conversions = new Conversions(t -> Objects.requireNonNull(open.get(t.file())));
    Optional<String> flaw =
        row.dtype() == move.tensor().dtype()
                && row.encoding().equals(move.tensor().encoding())
                && row.shape().equals(move.leaf().shape())
            ? conversions.flaw(move.piece().place(), transform, pack, row)
            : Conversions.first(0, found);
    if (flaw.isPresent()) {
      meet(move.piece(), Fate.DIFFERENT);
      findings.add(
          new Finding(
              row.shard(),
              row.describe(),
              "expected "
                  + (transform instanceof Transform.Copy
                      ? "the bytes of "
                      : transform.id() + " to " + move.tensor().dtype() + " of ")
                  + origin(source.name(), move.piece().place().view())
                  + " in "
                  + source.file()
                  + ", found "
                  + flaw.get()
                  + likeness(found, file)));
    } else if (transform instanceof Transform.Copy) {
      meet(move.piece(), Fate.IDENTICAL);
    } else {
      meet(move.piece(), Fate.CONVERTED);
    }
    if (!source.file().equals(row.sourceFile())
        || !source.name().equals(row.sourceTensor())
        || !Objects.equals(move.piece().place().view(), row.view())
        || !transform.id().equals(row.transform())) {
      otherOrigins++;
      if (otherOrigin == null) {
        otherOrigin =
            new Finding(
                PackagePaths.INDEX,
                row.describe(),
                "expected the origin %s of %s in %s, found %s of %s in %s"
                    .formatted(
                        transform.id(),
                        origin(source.name(), move.piece().place().view()),
                        source.file(),
                        row.transform(),
                        origin(row.sourceTensor(), row.view()),
                        row.sourceFile()));
      }
    }
  }

  private static String origin(@Nullable String tensor, @Nullable View view) {
    return view == null ? "" + tensor : tensor + " (" + view + ")";
  }

  private void meet(ConversionPlan.Piece piece, Fate fate) {
    for (SourceTensor source : piece.sourceTensors()) {
      fates.merge(source, fate, (a, b) -> a.compareTo(b) < 0 ? b : a);
    }
  }

  private int count(Fate fate) {
    return (int) fates.values().stream().filter(fate::equals).count();
  }

  /** If the bytes are those of another tensor of the same file, says of which. */
  private static String likeness(MemorySegment found, MappedTensors file) {
    return file.infos().stream()
        .filter(info -> info.bytes() == found.byteSize())
        .filter(info -> file.data(info).mismatch(found) < 0)
        .findFirst()
        .map(info -> "; they are the bytes of " + info.name())
        .orElse("");
  }

  /** The folder source/ holds the companions and the weight files' headers, and nothing else. */
  private void compareCompanions() {
    Map<String, Path> originals = new TreeMap<>();
    for (String name : checkpoint.companions()) {
      originals.put(PackagePaths.SOURCE + name, checkpoint.folder().resolve(name));
    }
    originals.forEach((copy, original) -> compare(copy, "of " + original, bytes(original)));
    for (String name : checkpoint.headers().keySet()) {
      Path original = checkpoint.folder().resolve(name);
      String copy = PackagePaths.headerOf(name);
      compare(copy, "beside the tensors of " + original, checkpoint.headerBytes(name));
      originals.put(copy, original);
    }
    for (Manifest.OtherFile file : pack.manifest().files()) {
      if (!file.path().equals(PackagePaths.INDEX) && !originals.containsKey(file.path())) {
        findings.add(new Finding(file.path(), null, "expected no such file, the source has none"));
      }
    }
  }

  private static byte[] bytes(Path file) {
    try {
      return Files.readAllBytes(file);
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  private void compare(String copy, String what, byte[] expected) {
    Path path = pack.folder().resolve(copy);
    if (!Files.isRegularFile(path) || !Arrays.equals(expected, bytes(path))) {
      findings.add(
          new Finding(
              copy, null, "expected the " + expected.length + " bytes " + what + ", found others"));
    }
  }

  private void compareProvenance() {
    Manifest.Provenance expected = plan.provenance();
    Manifest.Provenance found = pack.manifest().provenance();
    if (!expected.family().equals(found.family())
        || !expected.shards().equals(found.shards())
        || expected.prediction() != found.prediction()) {
      findings.add(
          new Finding(
              PackagePaths.MANIFEST,
              "provenance",
              "expected family %s, prediction layers %s and the source's weight files, found %s, %s and %s"
                  .formatted(
                      expected.family(),
                      expected.prediction(),
                      found.family(),
                      found.prediction(),
                      found.shards())));
    }
    if (!Objects.equals(expected.leftOut(), found.leftOut())) {
      findings.add(
          new Finding(
              PackagePaths.MANIFEST,
              "provenance.leftOut",
              "expected %s, found %s".formatted(expected.leftOut(), found.leftOut())));
    }
    if (!Objects.equals(expected.adapter(), found.adapter())) {
      findings.add(
          new Finding(
              PackagePaths.MANIFEST,
              "provenance.adapter",
              "expected %s, found %s".formatted(expected.adapter(), found.adapter())));
    }
  }
}
