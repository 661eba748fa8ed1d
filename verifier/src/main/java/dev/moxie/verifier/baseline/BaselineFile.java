package dev.moxie.verifier.baseline;

import dev.moxie.format.error.CorruptException;
import dev.moxie.format.error.TooNewException;
import dev.moxie.format.error.TooOldException;
import dev.moxie.format.error.UnsupportedException;
import dev.moxie.format.error.UsageException;
import dev.moxie.format.file.Signature;
import dev.moxie.format.file.StagedFile;
import dev.moxie.format.json.JsonWords;
import dev.moxie.format.json.StrictJson;
import dev.moxie.format.pack.MoxiePackage;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.LinkOption;
import java.nio.file.Path;
import tools.jackson.core.JacksonException;
import tools.jackson.core.util.DefaultIndenter;
import tools.jackson.core.util.DefaultPrettyPrinter;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.node.ObjectNode;

/** Baselines on disk: indented JSON, a list to a line, so that a changed one shows what changed. */
public final class BaselineFile {
  /** Larger files are refused, and not written: a baseline is to be committed. */
  static final int MAX_BYTES = 4 << 20;

  private static final Signature SIGNATURE =
      Signature.of("{\n  \"format\" : \"" + Baseline.FORMAT + "\"");

  private BaselineFile() {}

  /** The bytes of a baseline; the same ones for the same baseline. */
  static byte[] encode(Baseline baseline) {
    var printer = new DefaultPrettyPrinter().withObjectIndenter(new DefaultIndenter("  ", "\n"));
    String json = StrictJson.mapper(false).writer().with(printer).writeValueAsString(baseline);
    return (json + "\n").getBytes(StandardCharsets.UTF_8);
  }

  /**
   * Reads a baseline.
   *
   * @throws TooNewException if its version is above ours
   * @throws TooOldException if its version is below ours
   * @throws CorruptException if it is anything but a whole baseline
   */
  public static Baseline read(Path file) {
    return decode(file.toString(), StrictJson.readBounded(file, MAX_BYTES));
  }

  static Baseline decode(String where, byte[] bytes) {
    ObjectNode tree = StrictJson.parseObject(where, bytes);
    requireVersion(where, tree);
    requireExecution(where, tree);
    try {
      Baseline baseline = StrictJson.mapper(false).treeToValue(tree, Baseline.class);
      BaselineRules.check(where, baseline);
      return baseline;
    } catch (JacksonException e) {
      throw StrictJson.corrupt(where, e);
    }
  }

  private static void requireVersion(String where, JsonNode tree) {
    JsonNode version = tree.path("version");
    if (!Baseline.FORMAT.equals(tree.path("format").asString(""))) {
      throw new CorruptException(
          where,
          "format \"" + Baseline.FORMAT + "\"",
          JsonWords.value(tree.path("format")),
          "this is no baseline, check the path");
    }
    if (!version.isInt() || version.intValue() < 0) {
      throw new CorruptException(
          where + ", version",
          "a whole number from 0 to " + Integer.MAX_VALUE,
          JsonWords.value(version),
          "the baseline is altered, restore it or record it anew");
    }
    String expected = "version " + Baseline.VERSION + " of the layout";
    String found = "version " + version.intValue();
    if (version.intValue() > Baseline.VERSION) {
      throw new TooNewException(where, expected, found, "update Moxie");
    }
    if (version.intValue() < Baseline.VERSION) {
      throw new TooOldException(where, expected, found, "record the baseline again");
    }
  }

  /** Baselines of the execution before the plain one keep what another engine computed. */
  private static void requireExecution(String where, JsonNode tree) {
    if (tree.path("execution").asString("").equals("SCHEDULED")) {
      throw new TooOldException(
          where + ", execution",
          "PLAIN or FUSED",
          "SCHEDULED, which is no longer there",
          "record it again with moxie baseline record --force");
    }
  }

  /**
   * Makes sure that a baseline may be written, before anything is computed for it.
   *
   * @param replace whether it may take the place of another baseline
   * @throws UsageException if something else is there, or the place is inside a package
   */
  public static void requireWritable(Path file, boolean replace) {
    Path target = StagedFile.place(file);
    MoxiePackage.requireOutside(target);
    if (!Files.isDirectory(target.resolveSibling("."))) {
      throw new UsageException(
          file.toString(), "a file in a folder that is there", "no such folder", "make it first");
    }
    StagedFile.requireRoomBeside(target, SIGNATURE);
    if (!Files.exists(file, LinkOption.NOFOLLOW_LINKS)) {
      return;
    }
    if (!replace) {
      throw new UsageException(
          file.toString(),
          "a file to make",
          "one that is there already",
          "choose another, or replace it with --force");
    }
    try {
      if (!Files.isRegularFile(file) || !SIGNATURE.isOf(file.toRealPath())) {
        throw new UsageException(
            file.toString(),
            "a baseline to replace",
            "something else",
            "choose another path, or remove it yourself");
      }
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  /**
   * Writes a baseline over whatever is there: the file is complete or as it was before. {@link
   * #requireWritable} or having read it comes first.
   *
   * @throws UnsupportedException if a number is NaN or infinite
   * @throws UsageException if it is too large, or somebody else is writing the file
   */
  public static void write(Path file, Baseline baseline) {
    requireFinite(file, baseline);
    byte[] bytes = encode(baseline);
    if (bytes.length > MAX_BYTES) {
      throw new UsageException(
          file.toString(),
          "a baseline of at most " + MAX_BYTES + " bytes",
          bytes.length + " bytes",
          "record fewer or shorter sequences");
    }
    try {
      // A link stays a link: what it leads to is replaced.
      try (StagedFile staged = StagedFile.replace(StagedFile.place(file), SIGNATURE)) {
        staged.stream().write(bytes);
        staged.finish();
      }
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  private static void requireFinite(Path file, Baseline baseline) {
    for (int s = 0; s < baseline.sequences().size(); s++) {
      Baseline.Sequence sequence = baseline.sequences().get(s);
      String where = file + ", sequence " + s + ", ";
      for (int layer = 0; layer < sequence.layers().size(); layer++) {
        Baseline.Layer kept = sequence.layers().get(layer);
        if (kept.routing() != null) {
          requireFinite(where + "router of layer " + layer, kept.routing().choice());
        }
        requireFinite(where + "layer " + layer, kept.output());
      }
      requireFinite(where + "logits", sequence.logits().summary());
    }
  }

  /** The peak is one of the elements that are no numbers, if there are any. */
  private static void requireFinite(String where, Baseline.Summary summary) {
    Baseline.Peak peak = summary.peak();
    if (!Double.isFinite(peak.value().value())) {
      throw new UnsupportedException(
          where + " [" + peak.token() + ", " + peak.index() + "]",
          "finite numbers to record",
          String.valueOf(peak.value().value()),
          "verify the package against a reference first");
    }
  }
}
