package dev.moxie.converter.plan;

import dev.moxie.format.error.EnvironmentException;
import dev.moxie.format.error.UsageException;
import dev.moxie.format.file.FileStamp;
import dev.moxie.format.file.StagedFile;
import dev.moxie.format.file.StagedFolder;
import dev.moxie.format.pack.Manifest;
import dev.moxie.format.pack.PackageWriter;
import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.HashSet;
import java.util.Iterator;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;

/**
 * Carries out a plan. Each source byte is read once, or, where it is quantised, once for numbers
 * and once for scales; each output byte is written once, through a few buffers per shard in the
 * works, so memory does not grow with the model. What an interruption left finished is kept, once
 * its digests have been checked.
 */
public final class Executor {
  private final PackageContents contents;
  private final Progress progress;

  private Executor(PackageContents contents, Progress progress) {
    this.contents = contents;
    this.progress = progress;
  }

  /**
   * Writes the package.
   *
   * @param threads shards written at a time, from 1
   * @param force whether a finished package at the target may be replaced, and an unfinished one
   *     started over
   */
  public static void execute(
      PackageContents contents,
      Path target,
      Manifest.Producer producer,
      int threads,
      boolean force,
      Progress progress) {
    requireApart(contents, target);
    DiskSpace.require(target, missing(contents, force ? Set.of() : StagedFolder.finished(target)));
    var executor = new Executor(contents, progress);
    Map<Path, FileStamp> before = executor.stamps();
    try (PackageWriter writer = PackageWriter.create(target, force, job(contents, producer))) {
      if (writer.isComplete()) {
        return;
      }
      contents.files().forEach((path, bytes) -> writer.writeFile(path, bytes.get()));
      executor.writeShards(writer, threads);
      executor.requireUnchanged(writer, before);
      writer.commit(producer, contents.architecture(), contents.layout(), contents.provenance());
    }
  }

  private static void requireApart(PackageContents contents, Path target) {
    Path source = StagedFile.place(contents.folder());
    if (StagedFile.place(target).startsWith(source)) {
      throw new UsageException(
          target.toString(),
          "a target outside the source",
          "one inside " + source,
          "choose another target, the source stays as it is");
    }
  }

  private static long missing(PackageContents contents, Set<String> finished) {
    return contents.shards().stream()
        .filter(shard -> !finished.contains(shard.layout().file()))
        .mapToLong(ConversionPlan.Shard::bytes)
        .sum();
  }

  private static StagedFolder.Job job(PackageContents contents, Manifest.Producer producer) {
    Map<String, String> facts = new TreeMap<>(contents.job().get());
    facts.put("the program", producer.name() + " " + producer.version());
    facts.put("--expert-parallel", String.valueOf(contents.layout().expertParallel()));
    facts.put("--max-shard-size", String.valueOf(contents.layout().maxShardBytes()));
    Set<String> files = new HashSet<>(contents.files().keySet());
    contents.shards().forEach(shard -> files.add(shard.layout().file()));
    return new StagedFolder.Job(facts, files);
  }

  private void writeShards(PackageWriter writer, int threads) {
    List<Tasks.Task> tasks = new ArrayList<>();
    for (ConversionPlan.Shard shard : contents.shards()) {
      tasks.add(() -> writeShard(writer, shard));
    }
    Tasks.run(tasks, threads);
  }

  private void writeShard(PackageWriter writer, ConversionPlan.Shard shard) throws IOException {
    String file = shard.layout().file();
    Iterator<ConversionPlan.Piece> pieces = shard.pieces().iterator();
    try (var reader = new SourceReader(contents.folder(), progress)) {
      PackageWriter.Outcome outcome =
          writer.writeShard(
              shard.layout(),
              shard.pieces().stream().map(ConversionPlan.Piece::origin).toList(),
              (tensor, leaf) -> reader.open(pieces.next()));
      switch (outcome) {
        case WRITTEN -> progress.finished("written " + file);
        case REWRITTEN ->
            progress.finished("written again " + file + ", whose bytes were not as recorded");
        case KEPT -> {
          progress.advance(shard.bytesRead());
          progress.finished("kept " + file);
        }
      }
    }
  }

  private Map<Path, FileStamp> stamps() {
    Map<Path, FileStamp> stamps = new HashMap<>();
    contents.sources().forEach(file -> stamps.put(file, FileStamp.of(file)));
    return stamps;
  }

  private void requireUnchanged(PackageWriter writer, Map<Path, FileStamp> before) {
    stamps()
        .forEach(
            (file, stamp) -> {
              if (!stamp.equals(before.get(file))) {
                writer.discard();
                throw EnvironmentException.changedWhileRead(
                    file.toString(),
                    "another file, of " + stamp.bytes() + " bytes modified at " + stamp.modified());
              }
            });
  }
}
