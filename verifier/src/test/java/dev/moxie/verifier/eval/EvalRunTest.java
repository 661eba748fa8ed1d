package dev.moxie.verifier.eval;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.moxie.fixtures.Exhaustive;
import dev.moxie.fixtures.Fixtures;
import dev.moxie.format.encoding.Quantiser;
import dev.moxie.format.error.CorruptException;
import dev.moxie.format.error.MoxieException;
import dev.moxie.format.error.UnsupportedException;
import dev.moxie.format.error.UsageException;
import dev.moxie.format.pack.MoxiePackage;
import dev.moxie.format.trace.Trace;
import dev.moxie.runtime.execution.Device;
import dev.moxie.runtime.execution.Execution;
import dev.moxie.runtime.execution.PlainModel;
import dev.moxie.verifier.DamagedCheckpoint;
import dev.moxie.verifier.Packages;
import dev.moxie.verifier.Unproven;
import dev.moxie.verifier.report.Verdict;
import dev.moxie.verifier.routing.Corpus;
import dev.moxie.verifier.routing.LayerFlips;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashSet;
import java.util.List;
import java.util.Objects;
import java.util.Set;
import java.util.stream.Collectors;
import java.util.stream.IntStream;
import java.util.stream.LongStream;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

@Exhaustive
class EvalRunTest {
  private static final EvalRun.Options ALL = options(null, null);
  private static final String TALE =
      "Once upon a time a small owl named Finn lived in the meadow. Finn liked to swim every"
          + " morning.\n";

  @TempDir static Path folder;
  private static Path pack = Path.of("");
  private static Path small = Path.of("");

  @BeforeAll
  static void convert() {
    pack = Packages.convert(Fixtures.tinyMixtral(), folder.resolve("p"));
    small =
        Packages.quantise(
            Fixtures.tinyMixtral(),
            folder.resolve("q"),
            "int4_block_32",
            Quantiser.Method.NEAREST,
            p -> p);
  }

  private static EvalRun.Options options(@Nullable Integer context, @Nullable Integer stride) {
    return new EvalRun.Options(context, stride, null, null, null);
  }

  private static Corpus text(String text) {
    return new Corpus(List.of(), List.of(text), List.of());
  }

  private static Corpus tokens(long... ids) {
    return new Corpus(List.of(), List.of(), List.of(ids));
  }

  private static EvalReport run(Corpus corpus, EvalRun.Options options) {
    return EvalRun.run(
        pack, null, Device.CPU, Execution.PLAIN, corpus, options, all -> scored -> {});
  }

  private static EvalReport.Against compare(Path folder, Path against, Corpus corpus) {
    return Objects.requireNonNull(
        EvalRun.run(folder, against, Device.CPU, Execution.PLAIN, corpus, ALL, all -> scored -> {})
            .against());
  }

  /** What transformers recorded, summed up here. */
  @Test
  void perplexityIsTheOneOfTheReferencesLogits() {
    for (Path file : Fixtures.traces(Fixtures.tinyMixtral())) {
      try (Trace trace = Trace.open(file)) {
        long[] ids = trace.inputIds();
        float[] logits = trace.floats("logits", ids.length, 512);
        double expected = 0;
        for (int t = 1; t < ids.length; t++) {
          double sum = 0;
          for (int v = 0; v < 512; v++) {
            sum += Math.exp(logits[(t - 1) * 512 + v]);
          }
          expected += Math.log(sum) - logits[(t - 1) * 512 + (int) ids[t]];
        }
        EvalReport report = run(tokens(ids), ALL);
        assertEquals(ids.length - 1, report.scored());
        double mean = expected / (ids.length - 1);
        assertEquals(mean, report.likelihood().crossEntropy(), 1e-5 * mean);
        assertEquals(Math.exp(mean), report.likelihood().perplexity(), 1e-4 * Math.exp(mean));
      }
    }
  }

  /** Logits that are all 0 say nothing: one in 512. */
  @Test
  void aHeadOfZerosForeseesNothing() throws IOException {
    Path checkpoint =
        DamagedCheckpoint.copy(
            Fixtures.tinyMixtral(),
            folder.resolve("z"),
            DamagedCheckpoint.values(name -> name.contains("lm_head"), (i, values) -> 0));
    Path zeros = Packages.convert(checkpoint, folder.resolve("zeros"));
    EvalReport report =
        EvalRun.run(zeros, null, Device.CPU, Execution.PLAIN, text(TALE), ALL, all -> scored -> {});
    assertEquals(512, report.likelihood().perplexity(), 1e-9);
    assertEquals(0, report.likelihood().standardError(), 1e-12);
  }

  @Test
  void whereATextFitsAWindowItsCutDoesNotMatter() {
    Likelihood once = run(text(TALE), ALL).likelihood();
    assertEquals(once, run(text(TALE), options(100, 99)).likelihood());
    assertEquals(once, run(text(TALE), options(333, 1)).likelihood());
    assertTrue(run(text(TALE), options(8, 7)).likelihood().perplexity() > once.perplexity());
  }

  /** Windows as the help text defines them, cut and run here. */
  @ParameterizedTest
  @CsvSource({"8, 3", "8, 1", "8, 8", "5, 4", "2, 1", "300, 150"})
  void everyTokenIsScoredInTheFirstWindowThatHasIt(int context, int stride) {
    long[] ids = LongStream.range(0, 29).map(i -> 37 * i % 512).toArray();
    List<Double> expected = new ArrayList<>();
    try (MoxiePackage open = MoxiePackage.open(pack);
        var model = PlainModel.open(open, new Unproven())) {
      int scored = 1;
      for (int start = 0; scored < ids.length; start += stride) {
        long[] window = Arrays.copyOfRange(ids, start, Math.min(ids.length, start + context));
        model.begin(window.length);
        float[] logits = model.append(window);
        for (int t = Math.max(1, scored - start); t < window.length; t++) {
          expected.add(-new LogSoftmax(logits, (t - 1) * 512, 512).of((int) window[t]));
        }
        scored = start + window.length;
      }
    }
    EvalReport report = run(tokens(ids), options(context, stride));
    assertEquals(expected.size(), report.scored());
    assertEquals(
        expected.stream().mapToDouble(d -> d).average().orElseThrow(),
        report.likelihood().crossEntropy(),
        1e-12);
  }

  @Test
  void aPackageIsNothingApartFromItself() {
    EvalReport.Against against = compare(pack, pack, text(TALE));
    assertEquals(0, against.divergence().worst());
    assertEquals(1, against.divergence().agreement());
    assertEquals(1, against.perplexityRatio());
    assertEquals(0, against.ratioError());
    assertEquals(4, against.routing().size());
    for (LayerFlips layer : against.routing()) {
      assertEquals(0, layer.flipped());
      assertEquals(1, layer.overlap());
    }
  }

  /** Everything that is told of a quantised package, counted here in a simpler way. */
  @Test
  void whatQuantisingChangedIsWhatBothModelsComputeOtherwise() {
    long[] ids = LongStream.range(0, 60).map(i -> 91 * i % 512).toArray();
    EvalReport.Against against = compare(small, pack, tokens(ids));
    long[] read = Arrays.copyOf(ids, 59);
    try (MoxiePackage one = MoxiePackage.open(pack);
        MoxiePackage other = MoxiePackage.open(small);
        var exact = PlainModel.open(one, new Unproven());
        var rough = PlainModel.open(other, new Unproven())) {
      List<List<Set<Integer>>> p = chosen(exact, read);
      List<List<Set<Integer>>> q = chosen(rough, read);
      assertTrue(against.routing().stream().anyMatch(layer -> layer.flipped() > 0));
      for (LayerFlips layer : against.routing()) {
        int l = layer.layer();
        long flipped = IntStream.range(0, 59).filter(t -> !same(p, q, l, t)).count();
        assertEquals(flipped, layer.flipped(), "layer " + l);
        assertEquals(59, layer.decisions());
        assertTrue(layer.close() <= flipped);
      }
      exact.begin(59);
      rough.begin(59);
      float[] a = exact.append(read);
      float[] b = rough.append(read);
      double sum = 0;
      double worst = -1;
      int at = 0;
      for (int t = 0; t < 59; t++) {
        double kl = new LogSoftmax(a, t * 512, 512).divergence(new LogSoftmax(b, t * 512, 512));
        sum += kl;
        at = kl > worst ? t + 1 : at;
        worst = Math.max(worst, kl);
      }
      assertEquals(sum / 59, against.divergence().mean(), 1e-12);
      assertEquals(worst, against.divergence().worst(), 1e-12);
      assertEquals(new EvalReport.Place("--ids, list 1", at), against.worst());
    }
    double ratio =
        run(tokens(ids), ALL).likelihood().perplexity() / against.likelihood().perplexity();
    assertEquals(1, ratio, 0, "the other package is the unquantised one");
  }

  private static boolean same(
      List<List<Set<Integer>>> p, List<List<Set<Integer>>> q, int layer, int token) {
    return p.get(layer).get(token).equals(q.get(layer).get(token));
  }

  private static List<List<Set<Integer>>> chosen(PlainModel model, long[] ids) {
    List<List<Set<Integer>>> byLayer = new ArrayList<>();
    model.begin(ids.length);
    model.observe(
        ids,
        (layer, result) ->
            byLayer.add(
                Objects.requireNonNull(result.mixture()).decisions().stream()
                    .map(
                        decision ->
                            Arrays.stream(decision.experts())
                                .boxed()
                                .collect(
                                    Collectors.<Integer, Set<Integer>>toCollection(HashSet::new)))
                    .toList()));
    return byLayer;
  }

  @Test
  void limitsAreHeldTo() {
    for (double limit : new double[] {1e-9, 10}) {
      var options = new EvalRun.Options(null, null, null, limit, 1 - limit / 10);
      EvalReport report =
          EvalRun.run(
              small, pack, Device.CPU, Execution.PLAIN, text(TALE), options, all -> scored -> {});
      assertEquals(Verdict.of(limit > 1), report.verdict());
      assertEquals(2, report.limits().size());
    }
  }

  @Test
  void noMoreTokensAreReadThanAreWanted() throws IOException {
    Path text = Files.writeString(folder.resolve("long.txt"), TALE.repeat(10_000));
    var corpus = new Corpus(List.of(text), List.of("not reached"), List.of());
    var options = new EvalRun.Options(null, null, 20L, null, null);
    EvalReport report = run(corpus, options);
    assertEquals(20, report.scored());
    assertEquals(1, report.sources().size());
  }

  /** As on CUDA. */
  @Test
  void theFusedExecutionForeseesTheSameAndShowsNoDecisions() {
    EvalReport plain =
        EvalRun.run(pack, pack, Device.CPU, Execution.PLAIN, text(TALE), ALL, all -> scored -> {});
    EvalReport fused =
        EvalRun.run(pack, pack, Device.CPU, Execution.FUSED, text(TALE), ALL, all -> scored -> {});
    double expected = plain.likelihood().perplexity();
    assertEquals(expected, fused.likelihood().perplexity(), 1e-4 * expected);
    assertEquals(List.of(), plain.notCompared());
    assertEquals(
        List.of("routing decisions, which the plain execution alone shows"), fused.notCompared());
    assertEquals(List.of(), Objects.requireNonNull(fused.against()).routing());
  }

  @Test
  void progressTellsOfEveryTokenThatIsScored() {
    long[] seen = new long[2];
    EvalReport report =
        EvalRun.run(
            pack,
            null,
            Device.CPU,
            Execution.PLAIN,
            text(TALE),
            options(8, 4),
            all -> {
              seen[0] = all;
              return scored -> seen[1] += scored;
            });
    assertEquals(report.scored(), seen[0]);
    assertEquals(report.scored(), seen[1]);
  }

  @Test
  void whatCannotBeScoredIsRefused() throws IOException {
    Path empty = Files.createFile(folder.resolve("empty"));
    Path binary = Files.write(folder.resolve("binary"), new byte[] {'a', (byte) 0xc3, 'b'});
    refused(UsageException.class, new Corpus(List.of(empty), List.of(), List.of()), ALL);
    refused(CorruptException.class, new Corpus(List.of(binary), List.of(), List.of()), ALL);
    String message = refused(UsageException.class, tokens(5), ALL);
    assertTrue(message.contains("a token after another one"), message);
    refused(UsageException.class, tokens(5, 512), ALL);
    for (var options :
        List.of(options(1, 1), options(513, 1), options(8, 0), options(8, 9), options(8, -1))) {
      refused(UsageException.class, tokens(5, 6), options);
    }
    refused(UsageException.class, text(TALE), options(8, 8));
    refused(UsageException.class, tokens(5, 6), new EvalRun.Options(null, null, 0L, null, null));
  }

  @Test
  void aPackageWithoutTokenizerTakesTokensAlone() {
    Path other =
        Packages.convert(Fixtures.root().resolve("variants/v2-grouped"), folder.resolve("n"));
    assertThrows(
        UnsupportedException.class,
        () ->
            EvalRun.run(
                other, null, Device.CPU, Execution.PLAIN, text(TALE), ALL, all -> scored -> {}));
    EvalReport report =
        EvalRun.run(
            other, null, Device.CPU, Execution.PLAIN, tokens(1, 2, 3), ALL, all -> scored -> {});
    assertEquals(2, report.scored());
  }

  @Test
  void packagesOfOtherWordsCannotBeCompared() throws IOException {
    Path words =
        Packages.convert(Fixtures.randomMixtrals().getFirst(), folder.resolve("other-words"));
    String message =
        assertThrows(UsageException.class, () -> compare(pack, words, tokens(1, 2))).getMessage();
    assertTrue(message.contains("512 words"), message);
    Path changed =
        DamagedCheckpoint.copy(Fixtures.tinyMixtral(), folder.resolve("c"), (info, data) -> {});
    Files.writeString(changed.resolve("tokenizer.json"), "\n", StandardOpenOption.APPEND);
    Path other = Packages.convert(changed, folder.resolve("other-tokenizer"));
    assertEquals(2, compare(pack, other, tokens(1, 2, 3)).divergence().tokens());
    message =
        assertThrows(UsageException.class, () -> compare(pack, other, text(TALE))).getMessage();
    assertTrue(message.contains("tokenizer.json"), message);
  }

  @Test
  void decisionsOfOtherExpertsAreNotComparedAndSoIsSaid() {
    Path other = Packages.convert(Fixtures.tinyDeepSeek(), folder.resolve("experts"));
    EvalReport report =
        EvalRun.run(
            pack, other, Device.CPU, Execution.PLAIN, tokens(1, 2, 3), ALL, all -> scored -> {});
    assertEquals(1, report.notCompared().size());
    assertEquals(List.of(), Objects.requireNonNull(report.against()).routing());
    assertTrue(report.text().contains("not compared routing decisions"), report::text);
  }

  private static String refused(
      Class<? extends MoxieException> type, Corpus corpus, EvalRun.Options options) {
    return String.valueOf(assertThrows(type, () -> run(corpus, options)).getMessage());
  }
}
