package dev.moxie.runtime.http;

import dev.moxie.fixtures.Fixtures;
import dev.moxie.format.pack.EndTokens;
import dev.moxie.format.pack.MoxiePackage;
import dev.moxie.runtime.Packages;
import dev.moxie.runtime.Unproven;
import dev.moxie.runtime.execution.PlainModel;
import dev.moxie.runtime.generation.TextTokenizer;
import dev.moxie.runtime.serve.Alone;
import dev.moxie.runtime.serve.Scheduler;
import dev.moxie.runtime.template.ChatTemplate;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.nio.file.Path;
import java.time.Duration;
import java.time.ZonedDateTime;
import java.util.List;
import org.jspecify.annotations.Nullable;

/** A trained model, named tiny, to be served; its template puts what messages say together. */
record TestModel(
    MoxiePackage pack,
    TextTokenizer tokenizer,
    PlainModel model,
    Metrics metrics,
    Scheduler scheduler)
    implements AutoCloseable {
  static final int MOST_BYTES = 100_000;

  private static final ChatTemplate TEMPLATE =
      ChatTemplate.parse(
          "test",
          "{% for m in messages %}{% if m.content is not string %}{{ raise_exception('content is no"
              + " text') }}{% endif %}{{ m.content }}{% endfor %}");
  private static final long CACHE = 1 << 28;

  static TestModel open(Path folder) {
    MoxiePackage pack = Packages.convert(Fixtures.tinyMixtral(), folder.resolve("p"));
    PlainModel model = PlainModel.open(pack, new Unproven());
    var metrics = new Metrics("tiny", CACHE);
    return new TestModel(
        pack, TextTokenizer.of(pack), model, metrics, scheduler(model, 64, 64, metrics));
  }

  /** One more, beside its own. */
  Scheduler scheduler(int running, int waiting, Scheduler.Meter meter) {
    return scheduler(model, running, waiting, meter);
  }

  static Scheduler scheduler(PlainModel model, int running, int waiting, Scheduler.Meter meter) {
    return Alone.scheduler(model, model.sequences(CACHE), running, waiting, meter);
  }

  /** One that guesses tokens. */
  static Scheduler guessing(PlainModel model, Scheduler.Meter meter) {
    return Alone.scheduler(model, model.guessingSequences(CACHE), 64, 64, meter);
  }

  Server server(Scheduler on, List<String> keys, Metrics meter) {
    return server(pack, tokenizer, on, keys, meter);
  }

  static Server server(
      MoxiePackage pack,
      @Nullable TextTokenizer tokenizer,
      Scheduler on,
      List<String> keys,
      Metrics meter) {
    var served =
        new Served(
            "tiny",
            tokenizer,
            given -> TEMPLATE.render(given, ZonedDateTime.now()),
            pack.architecture().vocabSize(),
            pack.architecture().maxPositions(),
            EndTokens.of(pack).ids(),
            on,
            7);
    return Server.start(
        served,
        new Server.Settings(
            new InetSocketAddress(InetAddress.getLoopbackAddress(), 0),
            keys,
            MOST_BYTES,
            Duration.ofSeconds(60),
            "1.2.3"),
        meter);
  }

  @Override
  public void close() {
    scheduler.close();
    model.close();
    tokenizer.close();
    pack.close();
  }
}
