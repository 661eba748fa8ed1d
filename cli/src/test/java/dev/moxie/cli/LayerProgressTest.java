package dev.moxie.cli;

import static org.junit.jupiter.api.Assertions.assertEquals;

import java.io.ByteArrayOutputStream;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.concurrent.atomic.AtomicLong;
import org.junit.jupiter.api.Test;

class LayerProgressTest {
  private final ByteArrayOutputStream written = new ByteArrayOutputStream();
  private final AtomicLong clock = new AtomicLong(-5_000);
  private final LayerProgress progress =
      new LayerProgress(new PrintStream(written, true, StandardCharsets.UTF_8), clock::get);

  private void pass(double seconds) {
    clock.addAndGet((long) (seconds * Duration.ofSeconds(1).toNanos()));
  }

  private String lines() {
    return written.toString(StandardCharsets.UTF_8).replace(System.lineSeparator(), "\n");
  }

  @Test
  void everyLayerHasItsTimeAndWhatMayBeLeftOfAllOfThem() {
    pass(60);
    progress.begin(4);
    pass(4);
    progress.done("layer 0 alone");
    pass(8);
    progress.done("layer 1 alone");
    pass(1.5);
    progress.done("layer 0 from the tokens on");
    pass(0.25);
    progress.done("layer 1 from the tokens on");
    assertEquals(
        """
        layer 0 alone: 4.0 s, about 12 s left
        layer 1 alone: 8.0 s, about 12 s left
        layer 0 from the tokens on: 1.5 s, about 5 s left
        layer 1 from the tokens on: 0.3 s, about 0 s left
        """,
        lines());
  }

  @Test
  void whatIsQuickIsNotWorthALine() {
    progress.begin(2);
    pass(1);
    progress.done("layer 0 alone");
    pass(1);
    progress.done("layer 1 alone");
    assertEquals("", lines());
  }

  @Test
  void everyReferenceIsTimedByItself() {
    progress.begin(1);
    pass(10);
    progress.done("layer 0 alone");
    progress.begin(2);
    pass(3);
    progress.done("layer 0 alone");
    assertEquals(
        "layer 0 alone: 10.0 s, about 0 s left\nlayer 0 alone: 3.0 s, about 3 s left\n", lines());
  }
}
