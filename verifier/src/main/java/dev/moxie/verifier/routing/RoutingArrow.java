package dev.moxie.verifier.routing;

import dev.moxie.format.file.Signature;
import dev.moxie.format.file.StagedFile;
import dev.moxie.format.pack.ArrowColumn;
import dev.moxie.format.pack.ArrowFileWriter;
import dev.moxie.format.pack.ArrowType;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;

/** {@code routing.arrow}: one row per decision. Written in batches, so that memory stays flat. */
final class RoutingArrow implements DecisionSink {
  /** Expert ids that a batch holds at most: some megabytes. */
  private static final int BATCH_EXPERTS = 1 << 17;

  /** A decision and the token that it is about. */
  record Row(int sequence, long tokenId, Decision decision) {}

  static final List<ArrowColumn<Row>> COLUMNS =
      List.of(
          new ArrowColumn<>("sequence", ArrowType.INT32, false, Row::sequence),
          new ArrowColumn<>("token", ArrowType.INT32, false, r -> r.decision().token()),
          new ArrowColumn<>("token_id", ArrowType.INT64, false, Row::tokenId),
          new ArrowColumn<>("layer", ArrowType.INT32, false, r -> r.decision().layer()),
          new ArrowColumn<>("experts", ArrowType.INT32_LIST, false, r -> r.decision().experts()),
          new ArrowColumn<>("weights", ArrowType.FLOAT32_LIST, false, r -> r.decision().weights()),
          new ArrowColumn<>("margin", ArrowType.FLOAT64, true, r -> r.decision().margin()),
          new ArrowColumn<>(
              "verdict",
              ArrowType.UTF8,
              true,
              r -> r.decision().agreement() == null ? null : r.decision().agreement().id()),
          new ArrowColumn<>(
              "reference_experts", ArrowType.INT32_LIST, true, r -> r.decision().reference()));

  private static final Signature SIGNATURE = Signature.of(ArrowFileWriter.start(COLUMNS));

  private final StagedFile file;
  private final ArrowFileWriter<Row> writer;
  private final int batchRows;
  private final List<Row> rows = new ArrayList<>();

  private RoutingArrow(StagedFile file, int batchRows) {
    this.file = file;
    this.batchRows = batchRows;
    try {
      this.writer = new ArrowFileWriter<>(COLUMNS, file.stream());
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  static RoutingArrow create(Path target, RoutedLayers layers) {
    int batchRows = BATCH_EXPERTS / layers.mostPerToken();
    StagedFile file = StagedFile.create(target, SIGNATURE);
    try {
      return new RoutingArrow(file, batchRows);
    } catch (RuntimeException e) {
      file.close();
      throw e;
    }
  }

  @Override
  public void accept(int sequence, long[] ids, List<Decision> decisions) {
    for (Decision decision : decisions) {
      rows.add(new Row(sequence, ids[decision.token()], decision));
      if (rows.size() == batchRows) {
        writeBatch();
      }
    }
  }

  private void writeBatch() {
    try {
      writer.writeBatch(rows);
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
    rows.clear();
  }

  @Override
  public void finish() {
    if (!rows.isEmpty()) {
      writeBatch();
    }
    try {
      writer.finish();
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
    file.finish();
  }

  @Override
  public void close() {
    file.close();
  }
}
