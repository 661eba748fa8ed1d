package dev.moxie.verifier.bench;

import dev.moxie.format.error.UsageException;
import dev.moxie.format.model.Architecture;
import dev.moxie.format.model.ParameterCount;
import dev.moxie.format.model.TensorSpec;
import dev.moxie.format.model.Tensors;
import dev.moxie.format.pack.IndexRow;
import dev.moxie.format.pack.Manifest;
import dev.moxie.format.pack.MoxiePackage;
import dev.moxie.runtime.execution.Device;
import dev.moxie.runtime.execution.Execution;
import dev.moxie.runtime.execution.KernelModel;
import dev.moxie.runtime.execution.Model;
import dev.moxie.runtime.execution.PlainModel;
import dev.moxie.runtime.execution.Resident;
import dev.moxie.runtime.execution.Sequence;
import dev.moxie.runtime.execution.Sequences;
import dev.moxie.runtime.execution.StorageReads;
import dev.moxie.runtime.kernels.Decoder;
import dev.moxie.runtime.plain.ArithmeticSweep;
import dev.moxie.runtime.plain.ExpertMemory;
import dev.moxie.runtime.plain.KernelSweep;
import dev.moxie.runtime.plain.MemorySweep;
import dev.moxie.verifier.Continuing;
import dev.moxie.verifier.LoweringCheck;
import java.lang.foreign.MemorySegment;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.Objects;
import org.jspecify.annotations.Nullable;

/**
 * What a package costs to run: opening, a prompt, tokens one by one; on the CPU also those of
 * several texts together, and how much of the memory's bandwidth decoding reaches. Opening comes
 * first, in a JVM as cold as users have it; all else happens once before it counts, for the
 * compiler. Each repetition has its read test and its turn of the peer, so that all have the same
 * weather.
 */
public final class RunBenchmark {
  /** Bytes that a read test reads at most; no cache holds as many. */
  private static final long LARGEST_READ = 1L << 30;

  /**
   * Bytes of a card's memory that are copied to see how fast that is: more than its caches hold.
   */
  private static final long COPIED = 512L << 20;

  private final MoxiePackage pack;
  private final Device device;
  private final Model model;

  /** The same model, of which more is known; null if fused. */
  private final @Nullable PlainModel plain;

  private final int vocabulary;
  private final int prompt;
  private final int decode;
  private final int texts;
  private final @Nullable MemorySweep sweep;
  private final ArithmeticSweep arithmetic = new ArithmeticSweep();
  private final Decoder.@Nullable Copying copying;
  private final @Nullable KernelSweep kernel;
  private final @Nullable Long budget;
  private final @Nullable ExpertMemory experts;
  private final List<Double> prefills = new ArrayList<>();
  private final List<Double> steps = new ArrayList<>();
  private final List<Double> reads = new ArrayList<>();
  private final List<Double> computations = new ArrayList<>();
  private final List<Double> multiplications = new ArrayList<>();
  private final List<Double> together = new ArrayList<>();
  private long weightBytes;
  private long weightBytesTogether;
  private long readBytes;
  private ExpertMemory.Hits hits = new ExpertMemory.Hits(0, 0);

  private RunBenchmark(
      MoxiePackage pack,
      Device device,
      Model model,
      int prompt,
      int decode,
      int texts,
      @Nullable Long budget,
      @Nullable ExpertMemory experts,
      Decoder.@Nullable Copying copying) {
    this.pack = pack;
    this.device = device;
    this.model = model;
    this.plain = model instanceof PlainModel one ? one : null;
    this.vocabulary = pack.architecture().vocabSize();
    this.prompt = prompt;
    this.decode = decode;
    this.texts = texts;
    this.budget = budget;
    this.experts = experts;
    // A read test would bring all weights into memory.
    this.sweep = budget == null && plain != null ? sweep(pack) : null;
    this.copying = copying;
    this.kernel = plain == null ? null : new KernelSweep(pack, matrix(pack));
  }

  /**
   * Measures.
   *
   * @param device where it is run
   * @param wanted how; null for what is best there
   * @param prompt tokens of the prompt, from 1
   * @param decode tokens after it, from 1
   * @param texts that are decoded together on the CPU, from 1, besides one alone
   * @param reps times that both are measured, from 1
   * @param budget bytes of weights that are kept in memory; null for as many as the system keeps
   * @param against a peer's command ({@link Peer}); null for none
   * @throws UsageException if the tokens do not fit the model, or memory has a limit where weights
   *     are not read as they are needed
   */
  public static RunReport run(
      Path folder,
      Device device,
      @Nullable Execution wanted,
      int prompt,
      int decode,
      int texts,
      int reps,
      @Nullable Long budget,
      @Nullable String against) {
    Resident before = Resident.now();
    long start = System.nanoTime();
    try (MoxiePackage pack = MoxiePackage.open(folder)) {
      Continuing.require(pack);
      requireFit(pack, prompt, decode);
      Execution execution = wanted == null ? Execution.best(pack, device) : wanted;
      execution.require(device);
      if (budget != null && execution != Execution.PLAIN) {
        throw new UsageException(
            "--memory-budget",
            "plain execution, which reads weights as it needs them",
            execution.name().toLowerCase(Locale.ROOT),
            "pass --device cpu, or leave it out");
      }
      var check = new LoweringCheck();
      try (Model model = execution.open(pack, device, check)) {
        ExpertMemory experts =
            budget != null && model instanceof PlainModel plain ? plain.limitMemory(budget) : null;
        double open = millis(start);
        model.begin(1);
        model.next(new long[1]);
        @Nullable Double checked = check.took().map(time -> time.toNanos() / 1e6).orElse(null);
        var opening =
            new Opening(open, checked, check.untried(), millis(start), before, Resident.now());
        try (Decoder.@Nullable Copying copying =
            model instanceof KernelModel kernels ? kernels.decoder().copying(COPIED) : null) {
          return new RunBenchmark(
                  pack, device, model, prompt, decode, texts, budget, experts, copying)
              .measure(opening, reps, against);
        }
      }
    }
  }

  /** What happened until the first token. */
  private record Opening(
      double openMs,
      @Nullable Double checkMs,
      List<String> untried,
      double firstTokenMs,
      @Nullable Resident before,
      @Nullable Resident after) {}

  private static void requireFit(MoxiePackage pack, int prompt, int decode) {
    long most = pack.architecture().maxPositions();
    if ((long) prompt + decode > most) {
      throw new UsageException(
          "--prompt and --decode",
          "tokens that fit the model's " + most + " positions together",
          prompt + " and " + decode,
          "pass fewer");
    }
  }

  private static MemorySweep sweep(MoxiePackage pack) {
    List<MemorySegment> some = new ArrayList<>();
    long room = LARGEST_READ;
    for (Manifest.Shard shard : pack.manifest().shards()) {
      MemorySegment bytes = pack.shard(shard.file()).bytes();
      some.add(bytes.asSlice(0, Math.min(room, bytes.byteSize())));
      room -= some.getLast().byteSize();
      if (room == 0) {
        break;
      }
    }
    return new MemorySweep(some);
  }

  private RunReport measure(Opening opening, int reps, @Nullable String against) {
    repetition(new RandomTokens(0, vocabulary));
    repetitionTogether(new RandomTokens(0, vocabulary));
    prefills.clear();
    steps.clear();
    reads.clear();
    computations.clear();
    multiplications.clear();
    together.clear();
    weightBytes = 0;
    weightBytesTogether = 0;
    readBytes = 0;
    hits = new ExpertMemory.Hits(0, 0);
    List<Peer> peers = new ArrayList<>();
    var tokens = new RandomTokens(1, vocabulary);
    var more = new RandomTokens(2, vocabulary);
    for (int rep = 0; rep < reps; rep++) {
      repetition(tokens);
      repetitionTogether(more);
      if (against != null) {
        peers.add(Peer.run(against, prompt, decode));
      }
    }
    var prefill = RunReport.Prefill.of(prompt, prefills);
    var decoded = RunReport.Decode.of(steps);
    Long perToken = perToken();
    return new RunReport(
        pack.folder().toString(),
        device.description(),
        MemorySweep.threads(),
        prompt,
        decode,
        1,
        reps,
        opening.openMs(),
        opening.checkMs(),
        opening.untried(),
        opening.firstTokenMs(),
        prefill,
        decoded,
        RunReport.Memory.of(opening.before(), opening.after(), Resident.now()),
        perToken,
        plain == null || perToken == null
            ? null
            : RunReport.Together.of(
                texts, together, weightBytesTogether / together.size(), decoded, perToken),
        perToken == null ? null : bandwidth(perToken, decoded),
        kernel == null ? null : arithmetic(kernel, prefill),
        StorageReads.bytes().isPresent() ? readBytes / steps.size() : null,
        experts == null || budget == null ? null : RunReport.Experts.of(budget, hits, experts),
        against == null ? null : RunReport.Against.of(against, peers, prefill, decoded));
  }

  private @Nullable Long perToken() {
    if (model instanceof KernelModel kernels) {
      return kernels.decoder().weightBytes();
    }
    return plain == null ? null : weightBytes / steps.size();
  }

  private RunReport.@Nullable Bandwidth bandwidth(long perToken, RunReport.Decode decoded) {
    if (sweep == null && copying == null) {
      return null;
    }
    long bytes = copying == null ? Objects.requireNonNull(sweep).bytes() : copying.bytes();
    double bytesPerS = bytes * 1e3 / Quantile.median(reads);
    return new RunReport.Bandwidth(
        bytes, bytesPerS / 1e9, perToken * decoded.median() / bytesPerS, copying != null);
  }

  /** The first matrix of routed experts, or the first of all. */
  private static IndexRow matrix(MoxiePackage pack) {
    List<TensorSpec> all = Tensors.ofForwardPass(pack.architecture());
    return all.stream()
        .filter(tensor -> tensor.stack() != null)
        .findFirst()
        .map(tensor -> pack.row(tensor.leaves().getFirst()))
        .orElseGet(() -> pack.tensor(all.getFirst().name()));
  }

  private RunReport.Arithmetic arithmetic(KernelSweep swept, RunReport.Prefill prefill) {
    double perS = ArithmeticSweep.operations() * 1e3 / Quantile.median(computations);
    Architecture architecture = pack.architecture();
    // Only the last token's logits are computed.
    double head = (double) vocabulary * architecture.hiddenSize();
    double each = ParameterCount.of(architecture).activeInside() - head;
    double operations = 2 * (each + head / prompt) * prefill.median();
    return new RunReport.Arithmetic(
        perS / 1e9, operations / perS, swept.bytes() / 1e6 / Quantile.median(multiplications));
  }

  private void repetition(RandomTokens tokens) {
    if (sweep != null) {
      reads.add(millis(sweep::run));
    }
    if (copying != null) {
      reads.add(millis(copying::run));
    }
    if (kernel != null) {
      computations.add(millis(arithmetic::run));
      multiplications.add(millis(kernel::run));
    }
    model.begin(prompt + decode);
    long[] ids = tokens.next(prompt);
    prefills.add(millis(() -> model.next(ids)));
    long before = weightBytes();
    long readBefore = StorageReads.bytes().orElse(0);
    ExpertMemory.Hits hitsBefore = experts == null ? hits : experts.hits();
    for (int i = 0; i < decode; i++) {
      long[] id = tokens.next(1);
      steps.add(millis(() -> model.next(id)));
    }
    weightBytes += weightBytes() - before;
    readBytes += StorageReads.bytes().orElse(0) - readBefore;
    if (experts != null) {
      hits = hits.plus(experts.hits().since(hitsBefore));
    }
  }

  private long weightBytes() {
    return plain == null ? 0 : plain.weightBytes();
  }

  /** The same of several texts, of which each has a prompt of its own. */
  private void repetitionTogether(RandomTokens tokens) {
    if (plain == null) {
      return;
    }
    Sequences sequences = plain.sequences(Long.MAX_VALUE);
    List<Sequence> all = new ArrayList<>();
    for (int i = 0; i < texts; i++) {
      all.add(sequences.begin(prompt + decode));
      sequences.step(List.of(new Sequences.Slice(all.get(i), tokens.next(prompt), new float[0])));
    }
    float[][] logits = new float[texts][vocabulary];
    long before = weightBytes();
    for (int i = 0; i < decode; i++) {
      List<Sequences.Slice> step = new ArrayList<>();
      for (int text = 0; text < texts; text++) {
        step.add(new Sequences.Slice(all.get(text), tokens.next(1), logits[text]));
      }
      together.add(millis(() -> sequences.step(step)));
    }
    weightBytesTogether += weightBytes() - before;
    all.forEach(Sequence::close);
  }

  private static double millis(Runnable work) {
    long start = System.nanoTime();
    work.run();
    return millis(start);
  }

  private static double millis(long start) {
    return (System.nanoTime() - start) / 1e6;
  }
}
