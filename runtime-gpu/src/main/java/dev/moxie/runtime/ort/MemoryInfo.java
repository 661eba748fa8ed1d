package dev.moxie.runtime.ort;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;

/** Where memory lies that tensors are made of. */
public final class MemoryInfo extends Handle {
  /** OrtDeviceAllocator. */
  private static final int DEVICE_ALLOCATOR = 0;

  /** OrtMemTypeDefault. */
  private static final int DEFAULT = 0;

  /** Kinds of memory. */
  public enum Kind {
    HOST("Cpu"),
    /** On the first card. */
    CUDA("Cuda");

    private final String id;

    Kind(String id) {
      this.id = id;
    }
  }

  MemoryInfo(Library library, Kind kind) {
    super(library, Release.MEMORY_INFO, make(library, kind));
  }

  private static MemorySegment make(Library library, Kind kind) {
    try (Arena arena = Arena.ofConfined()) {
      return library.make(
          "naming memory",
          Function.CREATE_MEMORY_INFO,
          arena.allocateFrom(kind.id),
          DEVICE_ALLOCATOR,
          0,
          DEFAULT);
    }
  }

  /**
   * A tensor over memory that the caller keeps until after the tensor is closed.
   *
   * @param data as many bytes as the shape takes
   */
  public Tensor tensor(MemorySegment data, ElementType type, long... shape) {
    long bytes = type.bytes();
    for (long extent : shape) {
      bytes = Math.multiplyExact(bytes, extent);
    }
    if (bytes > data.byteSize()) {
      throw new IllegalArgumentException(bytes + " bytes of " + data.byteSize());
    }
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment value =
          library()
              .make(
                  "making a tensor",
                  Function.CREATE_TENSOR_WITH_DATA_AS_ORT_VALUE,
                  address(),
                  data,
                  bytes,
                  arena.allocateFrom(ValueLayout.JAVA_LONG, shape),
                  (long) shape.length,
                  type.number());
      return new Tensor(library(), value, data);
    }
  }
}
