package dev.moxie.runtime.kernels;

import dev.moxie.format.error.EnvironmentException;
import dev.moxie.runtime.cuda.Card;
import dev.moxie.runtime.cuda.Context;
import dev.moxie.runtime.cuda.Driver;
import dev.moxie.runtime.cuda.Graph;
import dev.moxie.runtime.cuda.Kernel;
import dev.moxie.runtime.cuda.Module;
import dev.moxie.runtime.cuda.Stream;
import dev.moxie.runtime.cuda.Transfers;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.List;
import java.util.Map;
import java.util.concurrent.ConcurrentHashMap;

/** The first of the cards that this process sees, through its driver alone. */
public final class CudaMachine implements Machine {
  /** Of the kernels, which start while others end: as griddepcontrol asks for. */
  private static final int LEAST_MAJOR = 9;

  private final Context context;
  private final Stream stream;
  private final Transfers transfers;
  private final Map<String, Module> modules = new ConcurrentHashMap<>();
  private final Map<String, Kernel> kernels = new ConcurrentHashMap<>();
  private final int processors;
  private final int shared;

  private CudaMachine(Context context) {
    this.context = context;
    stream = context.stream();
    transfers = new Transfers(context, stream);
    processors = context.processors();
    shared = context.sharedMemory();
  }

  /**
   * Opens the card.
   *
   * @throws EnvironmentException if there is none, or none that the kernels are for
   */
  public static CudaMachine open() {
    return new CudaMachine(require().open());
  }

  /**
   * Makes sure that there is a card that the kernels are for.
   *
   * @throws EnvironmentException if there is none
   */
  public static Driver require() {
    Driver driver = Driver.load();
    requireCapable(driver.cards().getFirst());
    return driver;
  }

  static void requireCapable(Card card) {
    if (card.major() < LEAST_MAJOR) {
      throw new EnvironmentException(
          "--device cuda",
          "a card of compute capability 9.0 or later, for which the kernels are written",
          card.toString(),
          "use --execution fused, or --device cpu");
    }
  }

  @Override
  public int processors() {
    return processors;
  }

  @Override
  public int sharedMemory() {
    return shared;
  }

  @Override
  public MemorySegment allocate(Arena arena, long bytes) {
    return transfers.allocate(arena, bytes);
  }

  @Override
  public void write(MemorySegment to, MemorySegment from) {
    transfers.write(to, from);
  }

  @Override
  public void read(MemorySegment to, MemorySegment from) {
    transfers.read(to, from);
  }

  @Override
  public void copy(MemorySegment to, MemorySegment from, int times) {
    for (int i = 0; i < times; i++) {
      stream.copy(to, from);
    }
    transfers.await();
  }

  @Override
  public void run(List<Launch> launches) {
    launches.forEach(this::run);
  }

  private void run(Launch launch) {
    try (Arena arena = Arena.ofConfined()) {
      List<MemorySegment> parameters =
          launch.arguments().stream().map(arguments -> placed(arena, arguments.bytes())).toList();
      stream.launch(
          kernel(launch),
          new int[] {launch.x(), launch.y(), launch.z()},
          launch.threads(),
          launch.shared(),
          parameters);
    }
  }

  private static MemorySegment placed(Arena arena, MemorySegment bytes) {
    return arena.allocate(bytes.byteSize(), Long.BYTES).copyFrom(bytes);
  }

  private Kernel kernel(Launch launch) {
    return kernels.computeIfAbsent(launch.kernel(), name -> module(launch.part()).kernel(name));
  }

  private Module module(String part) {
    return modules.computeIfAbsent(part, name -> context.load(name, Code.of(name)));
  }

  @Override
  public Recorded record(List<Launch> launches) {
    // Code is compiled before, which is nothing to be recorded, and takes a second each.
    launches.stream().map(Launch::part).distinct().toList().parallelStream().forEach(this::module);
    launches.forEach(this::kernel);
    Graph graph = stream.record(() -> run(launches));
    return new Recorded() {
      @Override
      public void run() {
        stream.replay(graph);
      }

      @Override
      public void close() {
        transfers.await();
        graph.close();
      }
    };
  }

  @Override
  public void close() {
    transfers.close();
    modules.values().forEach(Module::close);
    stream.close();
    context.close();
  }
}
