package dev.moxie.converter.plan;

import dev.moxie.format.model.Architecture;
import dev.moxie.format.pack.Manifest;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.function.Supplier;
import java.util.stream.Stream;

/**
 * A package to write, and where its bytes lie.
 *
 * @param folder that the pieces' files are in
 * @param shards independent of each other, sorted by file name
 * @param files the bytes of every other file, by its path in the package
 * @param job everything that the package's bytes depend on, by name: what a writer asks for, and a
 *     plan need not be slowed down by
 * @param beside files that the bytes depend on, besides those that the pieces are in
 */
public record PackageContents(
    Path folder,
    List<ConversionPlan.Shard> shards,
    Map<String, Supplier<byte[]>> files,
    Architecture architecture,
    Manifest.Layout layout,
    Manifest.Provenance provenance,
    Supplier<Map<String, String>> job,
    List<Path> beside) {

  public PackageContents {
    shards = List.copyOf(shards);
    files = Map.copyOf(files);
    beside = List.copyOf(beside);
  }

  /** Bytes of all weight files together. */
  public long bytes() {
    return shards.stream().mapToLong(ConversionPlan.Shard::bytes).sum();
  }

  /** Bytes that will be read for them. */
  public long bytesRead() {
    return shards.stream().mapToLong(ConversionPlan.Shard::bytesRead).sum();
  }

  /** The files that the weights are read from. */
  List<Path> sources() {
    return Stream.concat(
            shards.stream()
                .flatMap(shard -> shard.pieces().stream())
                .map(piece -> folder.resolve(piece.source().file())),
            beside.stream())
        .distinct()
        .sorted()
        .toList();
  }
}
