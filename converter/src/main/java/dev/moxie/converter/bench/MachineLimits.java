package dev.moxie.converter.bench;

import dev.moxie.converter.plan.Tasks;
import dev.moxie.format.file.Disk;
import dev.moxie.format.file.StreamedFile;
import dev.moxie.format.pack.Digests;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;

/**
 * What a machine can do at most, in GB/s over all threads: conversion can be no faster than the
 * slowest of these.
 *
 * @param digest both digests of bytes in memory
 * @param memory one copy of bytes in memory
 * @param disk writing past the page cache
 */
public record MachineLimits(double digest, double memory, double disk) {
  private static final int CHUNK_BYTES = 1 << 20;
  private static final int CHUNKS = 1024;

  /** Measures each for a second or two, in a folder that exists. */
  public static MachineLimits measure(Path folder, int threads) {
    return new MachineLimits(
        rate(threads, MachineLimits::digest),
        rate(threads, MachineLimits::copy),
        rate(threads, thread -> write(folder.resolve("limit-" + thread))));
  }

  /** Moves {@link #CHUNKS} chunks. */
  private interface Work {
    void run(int thread) throws IOException;
  }

  private static double rate(int threads, Work work) {
    List<Tasks.Task> tasks = new ArrayList<>();
    for (int i = 0; i < threads; i++) {
      int thread = i;
      tasks.add(() -> work.run(thread));
    }
    // The first time is for the compiler.
    Tasks.run(tasks.subList(0, 1), 1);
    long start = System.nanoTime();
    Tasks.run(tasks, threads);
    return (double) CHUNK_BYTES * CHUNKS * threads / (System.nanoTime() - start);
  }

  private static void digest(int thread) {
    var digests = new Digests();
    ByteBuffer chunk = ByteBuffer.allocateDirect(CHUNK_BYTES);
    for (int i = 0; i < CHUNKS; i++) {
      digests.update(chunk);
    }
    digests.finish();
  }

  /** From memory that no cache holds to memory that no cache holds. */
  private static void copy(int thread) {
    ByteBuffer from = ByteBuffer.allocateDirect(64 * CHUNK_BYTES);
    ByteBuffer to = ByteBuffer.allocateDirect(64 * CHUNK_BYTES);
    for (int i = 0; i < CHUNKS / 64; i++) {
      to.put(0, from, 0, 64 * CHUNK_BYTES);
    }
  }

  private static void write(Path file) throws IOException {
    ByteBuffer chunk = ByteBuffer.allocateDirect(CHUNK_BYTES);
    try (var out = StreamedFile.create(file, (long) CHUNK_BYTES * CHUNKS)) {
      for (int i = 0; i < CHUNKS; i++) {
        out.write(chunk.clear());
      }
      out.finish();
    } finally {
      Disk.delete(file);
    }
  }
}
