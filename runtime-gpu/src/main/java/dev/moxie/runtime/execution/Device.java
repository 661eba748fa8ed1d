package dev.moxie.runtime.execution;

import dev.moxie.format.error.EnvironmentException;
import dev.moxie.runtime.cuda.Card;
import dev.moxie.runtime.cuda.Driver;
import dev.moxie.runtime.lowering.Target;
import dev.moxie.runtime.ort.EngineJar;
import dev.moxie.runtime.ort.SessionOptions;
import java.lang.foreign.MemorySegment;
import java.util.List;
import java.util.Optional;
import java.util.stream.Collectors;
import org.jspecify.annotations.Nullable;

/** Where graphs run. */
public enum Device {
  CPU,
  /** The first of the cards that this process sees. */
  CUDA;

  /**
   * What the jar's provider has machine code for, tens the major and ones the minor number, and
   * nothing from which a driver could make more: cuobjdump --list-elf --list-ptx.
   */
  private static final List<Integer> CODE = List.of(60, 70, 75, 80, 86, 89, 90, 120);

  /** What graphs for this device are built for. */
  public Target target() {
    return this == CUDA ? Target.CUDA : Target.CPU;
  }

  /** CUDA if its provider really loads, else the CPU. */
  public static Device best() {
    if (!EngineJar.mayHaveCuda()) {
      // Starting the engine to find out takes longer than opening a package.
      return CPU;
    }
    try {
      CUDA.require();
      return CUDA;
    } catch (EnvironmentException e) {
      return CPU;
    }
  }

  /**
   * Makes sure that the device can be used.
   *
   * @throws EnvironmentException naming what is missing
   */
  public void require() {
    if (card().isPresent()) {
      CudaProvider.require();
    }
  }

  /**
   * The card that computes; nothing for the CPU.
   *
   * @throws EnvironmentException if there is none, or none that this build has code for
   */
  public Optional<Card> card() {
    if (this == CPU) {
      return Optional.empty();
    }
    Card card = cards().getFirst();
    requireCode(card);
    return Optional.of(card);
  }

  private static List<Card> cards() {
    return Driver.load().cards();
  }

  /**
   * For people: the device, the card, and of how many it is the first.
   *
   * @throws EnvironmentException if there is no card
   */
  public String description() {
    return name() + (this == CPU ? "" : description(cards().getFirst(), cards().size()));
  }

  static String description(Card card, int of) {
    return " on " + card + (of == 1 ? "" : ", the first of " + of + " cards");
  }

  /** Code for a minor number runs on those above it, and on no other major number. */
  static void requireCode(Card card) {
    if (CODE.stream().noneMatch(c -> c / 10 == card.major() && c % 10 <= card.minor())) {
      throw new EnvironmentException(
          "--device cuda",
          "a card that ONNX Runtime's provider has code for, of compute capability "
              + CODE.stream().map(c -> c / 10 + "." + c % 10).collect(Collectors.joining(", "))
              + " or later of the same major number",
          card.toString(),
          "use --device cpu, or choose another card with CUDA_VISIBLE_DEVICES");
    }
  }

  /** What sessions for this device compute on; to be closed after them. */
  Memory memory() {
    return switch (this) {
      case CPU -> new HostMemory();
      case CUDA -> CardMemory.open();
    };
  }

  /**
   * Lets a session compute there.
   *
   * @param stream a CUstream on which it does; null for one of its own
   */
  void addTo(SessionOptions options, @Nullable MemorySegment stream) {
    if (this == CUDA) {
      CudaProvider.addTo(options, stream);
    }
  }
}
