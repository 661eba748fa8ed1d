package dev.moxie.converter.inspect;

import java.util.Locale;

/** Numbers of parameters and bytes as people speak of them, the same wherever the user lives. */
public final class Amounts {
  private static final String[] UNITS = {"B", "KiB", "MiB", "GiB", "TiB"};

  private Amounts() {}

  /** Three digits, or as many as a whole number of billions has; all of a small one. */
  public static String count(long count) {
    if (count < 100_000) {
      return String.format(Locale.ROOT, "%,d", count);
    }
    if (count < 999_500_000) {
      String digits = count < 9_995_000 ? "%.2f M" : count < 99_950_000 ? "%.1f M" : "%.0f M";
      return String.format(Locale.ROOT, digits, count / 1e6);
    }
    return String.format(Locale.ROOT, count >= 99_950_000_000L ? "%.0f B" : "%.1f B", count / 1e9);
  }

  /** Bytes, in the largest binary unit of which there is one. */
  public static String size(long bytes) {
    double value = bytes;
    int unit = 0;
    while (value >= 1024 && unit < UNITS.length - 1) {
      value /= 1024;
      unit++;
    }
    return String.format(Locale.ROOT, unit == 0 ? "%.0f %s" : "%.1f %s", value, UNITS[unit]);
  }
}
