package dev.moxie.converter.bench;

import java.util.List;

/**
 * What something took, several times.
 *
 * @param bytes read plus written
 * @param seconds sorted
 */
public record Timing(String name, long bytes, List<Double> seconds) {
  public Timing {
    seconds = seconds.stream().sorted().toList();
  }

  /** The middle time. */
  public double median() {
    int half = seconds.size() / 2;
    return seconds.size() % 2 == 1
        ? seconds.get(half)
        : (seconds.get(half - 1) + seconds.get(half)) / 2;
  }

  /** GB/s, read plus written, at the median. */
  public double rate() {
    return bytes / median() / 1e9;
  }
}
