package dev.moxie.runtime.kernels;

import static java.lang.foreign.ValueLayout.ADDRESS;
import static java.lang.foreign.ValueLayout.JAVA_INT;
import static java.lang.foreign.ValueLayout.JAVA_LONG;

import dev.moxie.runtime.foreign.NativeFunction;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.FunctionDescriptor;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.SymbolLookup;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import org.junit.jupiter.api.Assumptions;

/** The host as a card: the kernels compiled as C++, every thread of a block in its turn. */
final class EmulatedMachine implements Machine {
  /** Of an H100. */
  private static final int SHARED = 227 << 10;

  /** Few, or every launch would have many blocks with nothing to do. */
  private static final int PROCESSORS = 4;

  /** The kernels' smallest arrays are read by sixteen bytes. */
  private static final int BEYOND = 64;

  private final NativeFunction launch;

  private EmulatedMachine(NativeFunction launch) {
    this.launch = launch;
  }

  /** Compiles the kernels into a folder; what follows is skipped where nothing compiles C++. */
  static EmulatedMachine compiled(Path folder) throws IOException, InterruptedException {
    Assumptions.assumeTrue(isThere("g++"), "g++ compiles the kernels for the host");
    Path library = folder.resolve("kernels.so");
    if (!Files.exists(library)) {
      List<String> command =
          List.of(
              "g++",
              "-std=c++17",
              "-Og",
              "-w",
              "-shared",
              "-fPIC",
              "-DMOXIE_EMULATION",
              "-Isrc/main/cuda",
              "-Ibench/cuda",
              "bench/cuda/library.cpp",
              "-o",
              library.toString());
      int code = new ProcessBuilder(command).inheritIO().start().waitFor();
      if (code != 0) {
        throw new IOException("g++ ended with " + code);
      }
    }
    return new EmulatedMachine(launch(library));
  }

  static boolean isThere(String program) {
    try {
      return new ProcessBuilder(program, "--version")
              .redirectErrorStream(true)
              .redirectOutput(ProcessBuilder.Redirect.DISCARD)
              .start()
              .waitFor()
          == 0;
    } catch (IOException e) {
      return false;
    } catch (InterruptedException e) {
      throw new IllegalStateException(e);
    }
  }

  @SuppressWarnings("restricted") // Machine code is what is tried.
  private static NativeFunction launch(Path library) {
    MemorySegment symbol =
        SymbolLookup.libraryLookup(library, Arena.global()).find("moxie_launch").orElseThrow();
    return new NativeFunction(
        symbol,
        FunctionDescriptor.of(
            JAVA_INT, ADDRESS, JAVA_INT, JAVA_INT, JAVA_INT, JAVA_INT, JAVA_LONG, ADDRESS,
            JAVA_LONG));
  }

  @Override
  public int processors() {
    return PROCESSORS;
  }

  @Override
  public int sharedMemory() {
    return SHARED;
  }

  @Override
  public MemorySegment allocate(Arena arena, long bytes) {
    return arena.allocate(bytes + BEYOND, 256).asSlice(0, bytes);
  }

  @Override
  public void write(MemorySegment to, MemorySegment from) {
    to.copyFrom(from);
  }

  @Override
  public void read(MemorySegment to, MemorySegment from) {
    to.copyFrom(from);
  }

  @Override
  public void copy(MemorySegment to, MemorySegment from, int times) {
    to.copyFrom(from);
  }

  @Override
  public void run(List<Launch> launches) {
    launches.forEach(this::run);
  }

  private void run(Launch launch) {
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment parameters = arena.allocate(ADDRESS, launch.arguments().size());
      long bytes = 0;
      for (int i = 0; i < launch.arguments().size(); i++) {
        MemorySegment value = launch.arguments().get(i).bytes();
        bytes = i == 0 ? value.byteSize() : bytes;
        MemorySegment placed = arena.allocate(value.byteSize(), Long.BYTES).copyFrom(value);
        parameters.setAtIndex(ADDRESS, i, placed);
      }
      int result =
          (int)
              this.launch.call(
                  arena.allocateFrom(launch.kernel()),
                  launch.x(),
                  launch.y(),
                  launch.z(),
                  launch.threads(),
                  (long) launch.shared(),
                  parameters,
                  bytes);
      switch (result) {
        case 0 -> {}
        case 1 -> throw new AssertionError("no kernel " + launch.kernel());
        default ->
            throw new AssertionError(
                launch.kernel() + ": not " + bytes + " bytes, as the compiler lays them out");
      }
    }
  }

  @Override
  public Recorded record(List<Launch> launches) {
    return new Recorded() {
      @Override
      public void run() {
        EmulatedMachine.this.run(launches);
      }

      @Override
      public void close() {}
    };
  }

  @Override
  public void close() {}
}
