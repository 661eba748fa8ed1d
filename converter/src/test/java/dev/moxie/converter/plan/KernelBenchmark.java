package dev.moxie.converter.plan;

import dev.moxie.format.encoding.Casting;
import dev.moxie.format.encoding.Fp8Block;
import dev.moxie.format.safetensors.Dtype;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.util.Arrays;
import java.util.EnumMap;
import java.util.HashMap;
import java.util.Map;
import java.util.Random;
import java.util.concurrent.TimeUnit;
import org.openjdk.jmh.annotations.Benchmark;
import org.openjdk.jmh.annotations.BenchmarkMode;
import org.openjdk.jmh.annotations.Fork;
import org.openjdk.jmh.annotations.Measurement;
import org.openjdk.jmh.annotations.Mode;
import org.openjdk.jmh.annotations.OutputTimeUnit;
import org.openjdk.jmh.annotations.Param;
import org.openjdk.jmh.annotations.Scope;
import org.openjdk.jmh.annotations.Setup;
import org.openjdk.jmh.annotations.State;
import org.openjdk.jmh.annotations.Warmup;
import org.openjdk.jmh.results.RunResult;
import org.openjdk.jmh.runner.Runner;
import org.openjdk.jmh.runner.RunnerException;
import org.openjdk.jmh.runner.options.Options;
import org.openjdk.jmh.runner.options.OptionsBuilder;
import org.openjdk.jmh.runner.options.VerboseMode;

/**
 * The kernels of conversion beside a copy of their output and the SHA-256 that it goes through; run
 * by {@code converter/bench-kernels.sh}.
 */
@State(Scope.Thread)
@BenchmarkMode(Mode.AverageTime)
@OutputTimeUnit(TimeUnit.NANOSECONDS)
@Warmup(iterations = 2, time = 300, timeUnit = TimeUnit.MILLISECONDS)
@Measurement(iterations = 5, time = 200, timeUnit = TimeUnit.MILLISECONDS)
@Fork(2)
public class KernelBenchmark {
  /** Of input, as SourceReader reads them. */
  private static final int CHUNK_BYTES = 1 << 20;

  /** Columns of DeepSeek-V3's matrices: no power of two. */
  private static final int COLUMNS = 7168;

  private static final Fp8Block BLOCKS = new Fp8Block(128, 128);

  /** From one dtype to another. */
  public enum Kernel {
    BF16_F32(Dtype.BF16, Dtype.F32),
    F16_F32(Dtype.F16, Dtype.F32),
    F32_BF16(Dtype.F32, Dtype.BF16),
    F16_BF16(Dtype.F16, Dtype.BF16),
    FP8_F32(Dtype.F8_E4M3, Dtype.F32),
    FP8_BF16(Dtype.F8_E4M3, Dtype.BF16);

    private final Dtype from;
    private final Dtype to;

    Kernel(Dtype from, Dtype to) {
      this.from = from;
      this.to = to;
    }

    private int outputBytes() {
      return CHUNK_BYTES / from.bits() * to.bits();
    }
  }

  @Param public Kernel kernel;

  private final ByteBuffer in = direct(CHUNK_BYTES);
  private final ByteBuffer out = direct(CHUNK_BYTES * Float.BYTES);
  private final ByteBuffer other = direct(CHUNK_BYTES * Float.BYTES);
  private final float[] scales =
      new float[Math.ceilDiv(COLUMNS, 128) * Math.ceilDiv(CHUNK_BYTES / COLUMNS + 1, 128)];

  private static ByteBuffer direct(int bytes) {
    return ByteBuffer.allocateDirect(bytes).order(ByteOrder.LITTLE_ENDIAN);
  }

  /** One process converts all dtypes, so the compiler has seen all of them. */
  @Setup
  public void setUp() {
    var random = new Random(1);
    Arrays.fill(scales, 0x1.8p-9f);
    for (int i = 0; i < CHUNK_BYTES; i++) {
      in.put(i, (byte) random.nextInt());
    }
    Kernel measured = kernel;
    for (Kernel each : Kernel.values()) {
      kernel = each;
      for (int i = 0; i < 100; i++) {
        convert();
      }
    }
    kernel = measured;
  }

  @Benchmark
  public void convert() {
    in.clear();
    out.clear();
    if (kernel.from == Dtype.F8_E4M3) {
      Casting.decode(BLOCKS, in, 0, COLUMNS, scales, out, kernel.to);
    } else {
      Casting.cast(in, kernel.from, out, kernel.to);
    }
  }

  @Benchmark
  public void copy() {
    out.put(0, other, 0, kernel.outputBytes());
  }

  @Benchmark
  public byte[] digest() throws NoSuchAlgorithmException {
    MessageDigest sha256 = MessageDigest.getInstance("SHA-256");
    sha256.update(out.clear().limit(kernel.outputBytes()));
    return sha256.digest();
  }

  /** Prints medians in GB/s: of in and out together, except that the digest only reads. */
  public static void main(String[] args) throws RunnerException {
    Options options =
        new OptionsBuilder()
            .include(KernelBenchmark.class.getName())
            .verbosity(VerboseMode.SILENT)
            .jvmArgsAppend("--sun-misc-unsafe-memory-access=allow")
            .build();
    Map<Kernel, Map<String, Double>> nanoseconds = new EnumMap<>(Kernel.class);
    for (RunResult result : new Runner(options).run()) {
      nanoseconds
          .computeIfAbsent(
              Kernel.valueOf(result.getParams().getParam("kernel")), kernel -> new HashMap<>())
          .put(
              result.getPrimaryResult().getLabel(),
              result.getPrimaryResult().getStatistics().getPercentile(50));
    }
    System.out.println("GB/s      | in + out | out | copy, in + out | SHA-256 of out");
    nanoseconds.forEach(
        (kernel, median) -> {
          double bytes = kernel.outputBytes();
          System.out.printf(
              "%-9s | %8.1f | %3.1f | %14.1f | %14.2f%n",
              kernel,
              (CHUNK_BYTES + bytes) / median.get("convert"),
              bytes / median.get("convert"),
              2 * bytes / median.get("copy"),
              bytes / median.get("digest"));
        });
  }
}
