package dev.moxie.verifier.integrity;

import dev.moxie.format.error.CorruptException;
import dev.moxie.format.pack.Digests;
import dev.moxie.format.pack.IndexRow;
import dev.moxie.format.pack.Manifest;
import dev.moxie.format.pack.MoxiePackage;
import dev.moxie.format.pack.PackagePaths;
import dev.moxie.verifier.report.Finding;
import dev.moxie.verifier.report.Report;
import dev.moxie.verifier.report.Verdict;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.LinkOption;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Collection;
import java.util.List;
import java.util.Map;
import java.util.stream.Collectors;
import java.util.stream.Stream;

/**
 * Level 1: every byte of every file against its digest. Manifest and index were checked when the
 * package was opened; here come the headers and leaves of the shards, the other files, and files
 * that should not be there. Damage is a finding; a package that breaks a rule of SPEC.md although
 * nothing is damaged was written so, and is refused.
 */
public final class IntegrityCheck {
  private final MoxiePackage pack;

  private IntegrityCheck(MoxiePackage pack) {
    this.pack = pack;
  }

  /**
   * Reads every byte of a package.
   *
   * @throws CorruptException if it is undamaged and breaks a rule of the format
   */
  public static Report.Integrity run(MoxiePackage pack) {
    return new IntegrityCheck(pack).run();
  }

  private Report.Integrity run() {
    Manifest manifest = pack.manifest();
    Map<String, List<IndexRow>> leaves =
        pack.rows().stream()
            .filter(IndexRow::isLeaf)
            .collect(Collectors.groupingBy(IndexRow::shard));
    List<Finding> findings =
        Stream.concat(
                manifest.shards().parallelStream()
                    .map(shard -> checkShard(shard, leaves.getOrDefault(shard.file(), List.of()))),
                manifest.files().parallelStream().map(this::checkFile))
            .flatMap(Collection::stream)
            .collect(Collectors.toCollection(ArrayList::new));
    manifest.strangers(pack.folder()).stream()
        .map(name -> new Finding(name, null, "expected no such file, the manifest lists none"))
        .forEach(findings::add);
    if (findings.isEmpty()) {
      // Nothing is damaged; what breaks a rule now was written so.
      manifest.shards().forEach(shard -> pack.shard(shard.file()));
      pack.requireSources();
      IgnoredKeys.require(pack);
    }
    long bytes =
        manifest.shards().stream().mapToLong(Manifest.Shard::bytes).sum()
            + manifest.files().stream().mapToLong(Manifest.OtherFile::bytes).sum()
            + size(pack.folder().resolve(PackagePaths.MANIFEST));
    int files = manifest.shards().size() + manifest.files().size() + 1;
    return new Report.Integrity(
        Verdict.of(findings.isEmpty()), files, bytes, List.copyOf(findings));
  }

  private List<Finding> checkShard(Manifest.Shard shard, List<IndexRow> leaves) {
    Path path = pack.folder().resolve(shard.file());
    if (!isFile(shard.file(), shard.bytes())) {
      return List.of(sizeFinding(shard.file(), path, shard.bytes()));
    }
    List<Finding> findings = new ArrayList<>();
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment file = map(path, arena);
      String header = Digests.of(file.asSlice(0, shard.headerBytes())).sha256();
      if (!header.equals(shard.headerSha256())) {
        findings.add(
            new Finding(
                shard.file(),
                "header (offset 0 to " + shard.headerBytes() + ")",
                differs(shard.headerSha256(), header)));
      }
      for (IndexRow leaf : leaves) {
        var digests = Digests.of(file.asSlice(leaf.offset(), leaf.bytes()));
        String place =
            "%s (offset %d to %d)"
                .formatted(leaf.describe(), leaf.offset(), leaf.offset() + leaf.bytes());
        if (!digests.sha256().equals(leaf.sha256())) {
          findings.add(
              new Finding(
                  shard.file(), place, differs(String.valueOf(leaf.sha256()), digests.sha256())));
        } else if (!Long.valueOf(digests.crc32c()).equals(leaf.crc32c())) {
          findings.add(
              new Finding(
                  shard.file(),
                  place,
                  "expected CRC-32C %s, which the index states, found %s, though the SHA-256 is right"
                      .formatted(leaf.crc32c(), digests.crc32c())));
        }
      }
    }
    return findings;
  }

  private List<Finding> checkFile(Manifest.OtherFile entry) {
    Path path = pack.folder().resolve(entry.path());
    if (!isFile(entry.path(), entry.bytes())) {
      return List.of(sizeFinding(entry.path(), path, entry.bytes()));
    }
    try (Arena arena = Arena.ofConfined()) {
      String digest = Digests.of(map(path, arena)).sha256();
      return digest.equals(entry.sha256())
          ? List.of()
          : List.of(new Finding(entry.path(), null, differs(entry.sha256(), digest)));
    }
  }

  private boolean isFile(String name, long bytes) {
    return pack.hasOwnFile(name) && size(pack.folder().resolve(name)) == bytes;
  }

  private Finding sizeFinding(String name, Path path, long bytes) {
    String found;
    if (pack.hasOwnFile(name)) {
      found = Long.toString(size(path));
    } else {
      found = Files.exists(path, LinkOption.NOFOLLOW_LINKS) ? "a link, folder or pipe" : "none";
    }
    return new Finding(name, null, "expected a file of " + bytes + " bytes, found " + found);
  }

  private static String differs(String expected, String found) {
    return "expected SHA-256 " + expected + ", found " + found;
  }

  private static long size(Path path) {
    try {
      return Files.size(path);
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  private static MemorySegment map(Path path, Arena arena) {
    try (FileChannel channel = FileChannel.open(path)) {
      return channel.map(FileChannel.MapMode.READ_ONLY, 0, channel.size(), arena);
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }
}
