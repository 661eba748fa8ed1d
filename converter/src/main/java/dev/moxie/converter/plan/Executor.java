package dev.moxie.converter.plan;

import dev.moxie.converter.checkpoint.Checkpoint;
import dev.moxie.converter.checkpoint.SourceTensor;
import dev.moxie.format.error.CorruptException;
import dev.moxie.format.error.UsageException;
import dev.moxie.format.pack.Manifest;
import dev.moxie.format.pack.PackagePaths;
import dev.moxie.format.pack.PackageWriter;
import java.io.ByteArrayInputStream;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.FileTime;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.Iterator;
import java.util.List;
import java.util.Map;

/**
 * Carries out a plan. Each source byte is read once and each output byte written once, through one
 * buffer per shard in the works, so memory does not grow with the model.
 */
public final class Executor {
  private final ConversionPlan plan;
  private final Progress progress;

  private Executor(ConversionPlan plan, Progress progress) {
    this.plan = plan;
    this.progress = progress;
  }

  /**
   * Writes the package.
   *
   * @param threads shards written at a time, from 1
   * @param force whether a finished package at the target may be replaced
   */
  public static void execute(
      ConversionPlan plan,
      Path target,
      Manifest.Producer producer,
      int threads,
      boolean force,
      Progress progress) {
    requireApart(plan, target);
    DiskSpace.require(target, plan.bytes());
    var executor = new Executor(plan, progress);
    Checkpoint checkpoint = plan.checkpoint();
    Map<String, FileTime> before = modificationTimes(checkpoint);
    try (PackageWriter writer = PackageWriter.create(target, force)) {
      executor.copyCompanions(writer);
      executor.writeShards(writer, threads);
      requireUnchanged(checkpoint, before);
      writer.commit(producer, plan.architecture(), plan.provenance());
    }
  }

  private static void requireApart(ConversionPlan plan, Path target) {
    Path source = plan.checkpoint().folder().toAbsolutePath().normalize();
    if (target.toAbsolutePath().normalize().startsWith(source)) {
      throw new UsageException(
          target.toString(),
          "a target outside the checkpoint",
          "one inside " + source,
          "choose another target, the checkpoint stays as it is");
    }
  }

  /**
   * Takes over the companions, and the weight files' headers, from which an export restores them.
   */
  private void copyCompanions(PackageWriter writer) {
    Checkpoint checkpoint = plan.checkpoint();
    for (String name : checkpoint.companions()) {
      writer.copyFile(PackagePaths.SOURCE + name, checkpoint.folder().resolve(name));
    }
    checkpoint
        .headers()
        .forEach(
            (file, header) -> {
              try (var in = Files.newInputStream(checkpoint.folder().resolve(file))) {
                byte[] bytes = in.readNBytes(Math.toIntExact(header.bytes()));
                writer.writeFile(
                    PackagePaths.SOURCE + file + ".header", new ByteArrayInputStream(bytes));
              } catch (IOException e) {
                throw new UncheckedIOException(e);
              }
            });
  }

  private void writeShards(PackageWriter writer, int threads) {
    List<Tasks.Task> tasks = new ArrayList<>();
    for (ConversionPlan.Shard shard : plan.shards()) {
      tasks.add(() -> writeShard(writer, shard));
    }
    Tasks.run(tasks, threads);
  }

  private void writeShard(PackageWriter writer, ConversionPlan.Shard shard) throws IOException {
    Iterator<ConversionPlan.Piece> pieces = shard.pieces().iterator();
    try (var reader = new SourceReader(plan.checkpoint().folder(), progress)) {
      writer.writeShard(
          shard.layout(),
          (tensor, leaf, sink) -> {
            ConversionPlan.Piece piece = pieces.next();
            SourceTensor source = piece.source();
            reader.transfer(source, piece.transform(), sink);
            return new PackageWriter.Origin(source.file(), source.name(), piece.transform().id());
          });
    }
    progress.finished(shard.layout().file());
  }

  private static Map<String, FileTime> modificationTimes(Checkpoint checkpoint) {
    Map<String, FileTime> times = new HashMap<>();
    for (String file : checkpoint.headers().keySet()) {
      try {
        times.put(file, Files.getLastModifiedTime(checkpoint.folder().resolve(file)));
      } catch (IOException e) {
        throw new UncheckedIOException(e);
      }
    }
    return times;
  }

  private static void requireUnchanged(Checkpoint checkpoint, Map<String, FileTime> before) {
    modificationTimes(checkpoint)
        .forEach(
            (file, time) -> {
              if (!time.equals(before.get(file))) {
                throw new CorruptException(
                    checkpoint.folder().resolve(file).toString(),
                    "the file to stay as it is while it is converted",
                    "a new modification time " + time,
                    "let nothing write to the checkpoint and convert again");
              }
            });
  }
}
