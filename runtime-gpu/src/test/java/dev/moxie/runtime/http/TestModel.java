package dev.moxie.runtime.http;

import dev.moxie.fixtures.Fixtures;
import dev.moxie.format.pack.EndTokens;
import dev.moxie.format.pack.MoxiePackage;
import dev.moxie.runtime.Packages;
import dev.moxie.runtime.Unproven;
import dev.moxie.runtime.execution.PlainModel;
import dev.moxie.runtime.generation.TextTokenizer;
import dev.moxie.runtime.serve.Scheduler;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.nio.file.Path;
import java.time.Duration;
import java.util.List;
import tools.jackson.databind.JsonNode;

/** A trained model, named tiny, to be served; its template puts what messages say together. */
record TestModel(
    MoxiePackage pack,
    TextTokenizer tokenizer,
    PlainModel model,
    Metrics metrics,
    Scheduler scheduler)
    implements AutoCloseable {
  static final int MOST_BYTES = 100_000;
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

  private static Scheduler scheduler(
      PlainModel model, int running, int waiting, Scheduler.Meter meter) {
    return new Scheduler(
        model.sequences(CACHE),
        model.architecture().vocabSize(),
        model.architecture().maxPositions(),
        running,
        waiting,
        meter);
  }

  Server server(Scheduler on, List<String> keys, Metrics meter) {
    var served =
        new Served(
            "tiny",
            tokenizer,
            request -> {
              StringBuilder prompt = new StringBuilder();
              for (JsonNode message : request.get("messages")) {
                if (!message.path("content").isString()) {
                  throw new IllegalArgumentException("content is no text");
                }
                prompt.append(message.get("content").stringValue());
              }
              return prompt.toString();
            },
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
