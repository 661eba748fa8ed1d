package dev.moxie.runtime.plain;

import dev.moxie.format.error.EnvironmentException;
import dev.moxie.format.pack.Manifest;
import dev.moxie.format.pack.MoxiePackage;
import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.nio.channels.FileChannel;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Objects;
import org.jspecify.annotations.Nullable;

/**
 * Which experts stay in memory where not all of them may: those that tokens chose most often of
 * late. What a layer chooses is asked for as soon as it is known, so that the disk reads the last
 * expert while the first is computed.
 */
public final class ExpertMemory {
  /** Choices of layers in which what an expert was used for counts half. */
  private static final double HALF_LIFE = 1 << 12;

  private final MappedPages pages = new MappedPages(System.getProperty("os.name", ""));
  private final long room;
  private final List<Layer> layers = new ArrayList<>();
  private final List<Slice> held = new ArrayList<>();
  private long heldBytes;
  private long choices;
  private long chosenBytes;
  private long residentBytes;

  /**
   * One that holds nothing yet.
   *
   * @param room bytes of experts that may be in memory; those that a layer chooses are there
   *     besides until others are let go
   * @throws EnvironmentException if the system takes no advice
   */
  public ExpertMemory(long room) {
    this.room = room;
  }

  /**
   * Tries whether pages of a package can be let go.
   *
   * @throws EnvironmentException if not
   */
  public void requireReleasable(MoxiePackage pack) {
    for (Manifest.Shard shard : pack.manifest().shards()) {
      MemorySegment bytes = pack.shard(shard.file()).bytes();
      if (!pages.letsGo(bytes)) {
        writeOut(pack.folder().resolve(shard.file()));
        if (!pages.letsGo(bytes)) {
          throw new EnvironmentException(
              "--memory-budget",
              "a package whose pages the system lets go on request",
              "that those of " + shard.file() + " in " + pack.folder() + " stay in memory",
              "own or be able to write the package's files, on a disk");
        }
      }
    }
  }

  /** What was just written stays until the disk has it. */
  private static void writeOut(Path file) {
    try (FileChannel channel = FileChannel.open(file)) {
      channel.force(false);
    } catch (IOException e) {
      // A file system that is never written has nothing to write out.
    }
  }

  /** Lets go what is in memory from before. */
  public void release(MemorySegment matrix) {
    pages.release(matrix);
  }

  /** The experts of a layer. */
  final class Layer {
    private final int number;
    private final @Nullable Slice[] slices;

    private Layer(int number, int experts) {
      this.number = number;
      slices = new Slice[experts];
    }

    /** Whether an expert was ever chosen. */
    boolean knows(int expert) {
      return slices[expert] != null;
    }

    /** Says where the matrices of an expert lie. */
    void put(int expert, List<MemorySegment> matrices) {
      slices[expert] = new Slice(matrices);
    }

    /**
     * Has experts brought that tokens have chosen, and while the disk reads them lets others go.
     *
     * @param chosen which, [count]
     * @param first of each expert, how many tokens chose those before it
     */
    void bring(int[] chosen, int count, int[] first) {
      choices++;
      for (int i = 0; i < count; i++) {
        Slice slice = slice(chosen[i]);
        slice.use(choices, first[chosen[i] + 1] - first[chosen[i]]);
        hold(slice);
      }
      letGo();
    }

    private Slice slice(int expert) {
      return Objects.requireNonNull(slices[expert]);
    }
  }

  /** The matrices of an expert. */
  private static final class Slice {
    private final List<MemorySegment> matrices;
    private final long bytes;
    private long tokens;

    /** Tokens that chose it, those of long ago for less, as of its last use; 2 to this. */
    private double score = Double.NEGATIVE_INFINITY;

    private long last;
    private boolean held;

    Slice(List<MemorySegment> matrices) {
      this.matrices = matrices;
      bytes = matrices.stream().mapToLong(MemorySegment::byteSize).sum();
    }

    void use(long now, int by) {
      score = log2(Math.pow(2, score - (now - last) / HALF_LIFE) + by);
      last = now;
      tokens += by;
    }

    /** What orders slices by their scores at any one moment, whichever it is. */
    double rank() {
      return score + last / HALF_LIFE;
    }

    private static double log2(double x) {
      return Math.log(x) / Math.log(2);
    }
  }

  Layer layer(int number, int experts) {
    var layer = new Layer(number, experts);
    layers.add(layer);
    return layer;
  }

  private void hold(Slice slice) {
    long resident = 0;
    for (MemorySegment matrix : slice.matrices) {
      long there = pages.resident(matrix);
      resident += there;
      if (there < matrix.byteSize()) {
        pages.fetch(matrix);
      }
    }
    chosenBytes += slice.bytes;
    residentBytes += resident;
    if (!slice.held) {
      slice.held = true;
      held.add(slice);
      heldBytes += slice.bytes;
    }
  }

  /** Lets those go that were used least, but none that is used now. */
  private void letGo() {
    while (heldBytes > room) {
      int least = -1;
      for (int i = 0; i < held.size(); i++) {
        Slice slice = held.get(i);
        boolean less = least < 0 || slice.rank() < held.get(least).rank();
        if (slice.last < choices && less) {
          least = i;
        }
      }
      if (least < 0) {
        return;
      }
      Slice slice = held.get(least);
      slice.matrices.forEach(pages::release);
      slice.held = false;
      heldBytes -= slice.bytes;
      held.set(least, held.getLast());
      held.removeLast();
    }
  }

  /**
   * What was chosen so far.
   *
   * @param chosenBytes of all experts, whenever some tokens chose them together
   * @param residentBytes of these, what was in memory at that moment
   */
  public record Hits(long chosenBytes, long residentBytes) {
    /** Since a moment. */
    public Hits since(Hits before) {
      return new Hits(chosenBytes - before.chosenBytes, residentBytes - before.residentBytes);
    }

    /** Both. */
    public Hits plus(Hits other) {
      return new Hits(chosenBytes + other.chosenBytes, residentBytes + other.residentBytes);
    }

    /** The part that was in memory; all of nothing. */
    public double share() {
      return chosenBytes == 0 ? 1 : (double) residentBytes / chosenBytes;
    }
  }

  /** What was chosen so far. */
  public Hits hits() {
    return new Hits(chosenBytes, residentBytes);
  }

  /**
   * How often a layer's experts were chosen.
   *
   * @param layer its number
   * @param tokens by expert
   */
  public record Use(int layer, List<Long> tokens) {}

  /** Of each layer with experts that tokens have passed. */
  public List<Use> uses() {
    List<Use> uses = new ArrayList<>();
    for (Layer layer : layers) {
      List<Long> tokens = new ArrayList<>();
      for (Slice slice : layer.slices) {
        tokens.add(slice == null ? 0 : slice.tokens);
      }
      uses.add(new Use(layer.number, tokens));
    }
    return uses;
  }
}
