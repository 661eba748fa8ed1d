package dev.moxie.runtime.kernels;

import dev.moxie.format.error.UnsupportedException;
import dev.moxie.format.model.Architecture;
import dev.moxie.format.model.ExpertOrder;
import dev.moxie.format.pack.MoxiePackage;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.Arrays;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import org.jspecify.annotations.Nullable;

/**
 * One sequence at a time, by kernels: its tokens alone or a few together, on weights as they are
 * stored, activations in float32, what attention keeps in float16.
 */
public final class Decoder implements AutoCloseable {
  /** The fewest of the cards that run the kernels, and the least shared memory of a block. */
  private static final int PROCESSORS = 1;

  private static final int SHARED = 99 << 10;

  private final MoxiePackage pack;
  private final Machine machine;
  private final Shapes shapes;
  private final DeviceWeights weights;
  private final int most;
  private final long weightBytes;
  private @Nullable Sequence sequence;
  private int length;

  /**
   * Brings all weights to a machine, which is closed with the model.
   *
   * @param permuted whether experts are put in another order ({@link ExpertOrder})
   * @throws UnsupportedException if there are no kernels for it
   */
  public Decoder(MoxiePackage pack, Machine machine, boolean permuted) {
    this.pack = pack;
    this.machine = machine;
    shapes = new Shapes(machine.processors(), machine.sharedMemory());
    weights = new DeviceWeights(pack, machine, permuted);
    try (var room = new Room(null, 1, 1, 0)) {
      Program one = read(room, 1, 1);
      most = one.most();
      weightBytes =
          one.launches().stream()
              .flatMap(launch -> launch.reads().stream())
              .mapToLong(Launch.Weights::bytes)
              .sum();
    } catch (RuntimeException | Error e) {
      try {
        close();
      } catch (RuntimeException also) {
        e.addSuppressed(also);
      }
      throw e;
    }
  }

  /**
   * The launches that a number of tokens takes on a machine with so many processors and bytes of
   * shared memory; no weight is looked at.
   *
   * @throws UnsupportedException if there are no kernels for such a model
   */
  public static List<Launch> plan(MoxiePackage pack, int processors, int shared, int tokens) {
    try (var weights = new DeviceWeights(pack, null, false);
        var room = new Room(null, 1, tokens, 0)) {
      return Program.read(
              pack.folder().toString(),
              pack.architecture(),
              weights,
              new Shapes(processors, shared),
              room,
              tokens,
              1)
          .launches();
    }
  }

  /**
   * Makes sure that there are kernels for a model, whatever the card.
   *
   * @throws UnsupportedException if there are none
   */
  public static void requireKernels(MoxiePackage pack) {
    plan(pack, PROCESSORS, SHARED, 1);
  }

  private Program read(Room room, int tokens, int wanted) {
    return Program.read(
        pack.folder().toString(), pack.architecture(), weights, shapes, room, tokens, wanted);
  }

  /** Tokens that are computed together at most. */
  public int mostTokens() {
    return most;
  }

  /** What a sequence of some capacity takes. */
  private final class Sequence implements AutoCloseable {
    private final int capacity;
    private final Room room;
    private final Map<List<Integer>, Program> programs = new HashMap<>();
    private final Program one;
    private final Machine.Recorded step;

    private Sequence(int capacity) {
      this.capacity = capacity;
      long activations;
      try (var nowhere = new Room(null, capacity, most, 0)) {
        activations = read(nowhere, most, most).activations();
      }
      room = new Room(machine, capacity, most, activations);
      try {
        one = program(1, 1);
        step = machine.record(one.launches());
      } catch (RuntimeException | Error e) {
        room.close();
        throw e;
      }
    }

    private Program program(int tokens, int wanted) {
      return programs.computeIfAbsent(List.of(tokens, wanted), key -> read(room, tokens, wanted));
    }

    /** Computes some tokens, and the logits of the last of them. */
    private void append(long[] ids, int first, int wanted, float[] logits, int at) {
      int[] numbers = new int[ids.length];
      Arrays.setAll(numbers, i -> (int) ids[i]);
      int[] positions = new int[ids.length];
      Arrays.setAll(positions, i -> first + i);
      write("ids", numbers);
      write("positions", positions);
      Program program = one;
      if (ids.length == 1 && wanted == 1) {
        step.run();
      } else {
        program = program(ids.length, wanted);
        machine.run(program.launches());
      }
      if (wanted > 0) {
        long bytes = (long) wanted * vocabulary() * Float.BYTES;
        long offset = program.logits().address() - room.activations();
        machine.read(
            MemorySegment.ofArray(logits).asSlice((long) at * Float.BYTES, bytes),
            room.of("activations", 0).asSlice(offset, bytes));
      }
    }

    private void write(String name, int[] numbers) {
      MemorySegment from = MemorySegment.ofArray(numbers);
      machine.write(room.of(name, 0).asSlice(0, from.byteSize()), from);
    }

    @Override
    public void close() {
      step.close();
      room.close();
    }
  }

  private int vocabulary() {
    return architecture().vocabSize();
  }

  private Architecture architecture() {
    return pack.architecture();
  }

  /** Begins an empty sequence of up to so many tokens. */
  public void begin(int capacity) {
    if (sequence == null || sequence.capacity != capacity) {
      closeSequence();
      sequence = new Sequence(capacity);
    }
    length = 0;
  }

  /**
   * Appends tokens.
   *
   * @param logits takes those of the last tokens, of as many as it has room for, [n · V]
   */
  public void append(long[] ids, float[] logits) {
    Sequence to = Objects.requireNonNull(sequence);
    int before = ids.length - logits.length / vocabulary();
    for (int from = 0; from < ids.length; from += most) {
      int end = Math.min(from + most, ids.length);
      int some = Math.max(0, end - Math.max(from, before));
      int at = Math.max(0, from - before) * vocabulary();
      to.append(Arrays.copyOfRange(ids, from, end), length, some, logits, at);
      length += end - from;
    }
    requireFinite(logits);
  }

  private void requireFinite(float[] logits) {
    try {
      Logits.requireFinite(pack.folder() + ", KERNELS on CUDA", logits);
    } catch (RuntimeException e) {
      // What was computed with lies in places that later sequences would read.
      closeSequence();
      throw e;
    }
  }

  /** Bytes of the weights that one token is multiplied with, scales included. */
  public long weightBytes() {
    return weightBytes;
  }

  /** A test of how fast memory is copied, of so many bytes. */
  public Copying copying(long bytes) {
    return new Copying(bytes);
  }

  /** Copies memory of the machine: what its bandwidth is measured by. */
  public final class Copying implements AutoCloseable {
    private static final int TIMES = 8;

    private final Arena arena = Arena.ofShared();
    private final MemorySegment from;
    private final MemorySegment to;

    private Copying(long bytes) {
      try {
        from = machine.allocate(arena, bytes);
        to = machine.allocate(arena, bytes);
      } catch (RuntimeException | Error e) {
        arena.close();
        throw e;
      }
    }

    /** Bytes that are read or written each time. */
    public long bytes() {
      return 2 * TIMES * from.byteSize();
    }

    /** Copies, and waits. */
    public void run() {
      machine.copy(to, from, TIMES);
    }

    @Override
    public void close() {
      arena.close();
    }
  }

  /** Tokens in the sequence. */
  public int length() {
    return length;
  }

  private void closeSequence() {
    Sequence open = sequence;
    sequence = null;
    if (open != null) {
      open.close();
    }
  }

  @Override
  public void close() {
    try {
      closeSequence();
      weights.close();
    } finally {
      machine.close();
    }
  }
}
