package dev.moxie.verifier.report.html;

import dev.moxie.converter.inspect.Amounts;
import dev.moxie.converter.inspect.Fit;
import dev.moxie.converter.inspect.Inspection;
import dev.moxie.format.model.PartCount;
import dev.moxie.verifier.report.Figures;
import dev.moxie.verifier.report.Markup;
import java.util.List;
import java.util.Map;
import java.util.Objects;

/** What the model costs: all of it against what one token uses, by part and by precision. */
final class ModelSection {
  /** GiB of the memory of devices as they are sold, from a desktop's to a data centre's. */
  private static final List<Integer> ROOMS = List.of(8, 16, 24, 48, 80, 141, 192);

  private static final String NONE = "–";

  private ModelSection() {}

  static void write(Markup page, Inspection model) {
    try (var _ = page.open("section")) {
      page.element("h2", "What the model costs");
      try (var counts = Counts.open(page)) {
        counts.add("parameters", Amounts.count(model.parameters().total()));
        counts.add("active per token", Amounts.count(model.parameters().active()));
        counts.add(
            "of all",
            Figures.percent((double) model.parameters().active() / model.parameters().total()));
        model
            .cacheBytesPerToken()
            .forEach((type, bytes) -> counts.add("cache per token, " + type, Amounts.size(bytes)));
        if (model.stateBytesPerSequence() > 0) {
          counts.add("state of a sequence, f32", Amounts.size(model.stateBytesPerSequence()));
        }
      }
      parts(page, model);
      precisions(page, model);
      try (var _ = Parts.details(page, "What fits how much memory of a device")) {
        fits(page, model);
      }
    }
  }

  private static void parts(Markup page, Inspection model) {
    Map<String, Long> stored = model.weights() == null ? Map.of() : model.weights().bytesByPart();
    try (var table =
        Table.open(page, "Part", "Parameters", "Of all", "Active per token", "Stored")) {
      for (PartCount part : model.parts()) {
        Long bytes = stored.get(part.part());
        table.row(
            true,
            part.part(),
            Amounts.count(part.total()),
            Figures.percent((double) part.total() / model.parameters().total()),
            Amounts.count(part.active()),
            bytes == null ? NONE : Amounts.size(bytes));
      }
    }
  }

  private static void precisions(Markup page, Inspection model) {
    try (var table = Table.open(page, "Precision", "All weights", "Weights read per token")) {
      model
          .memory()
          .forEach(
              (type, bytes) ->
                  table.row(
                      true,
                      type,
                      Amounts.size(bytes),
                      Amounts.size(Objects.requireNonNull(model.bytesPerToken().get(type)))));
    }
  }

  /** Tokens of context beside the weights, by what {@code convert} makes of them. */
  private static void fits(Markup page, Inspection model) {
    page.element(
        "p",
        "Tokens of context, with keys and values in float32, beside weights as convert makes"
            + " them.");
    List<List<Fit>> columns =
        ROOMS.stream().map(room -> model.fitting((long) room << 30).fits()).toList();
    String[] heads = new String[2 + ROOMS.size()];
    heads[0] = "Options of convert";
    heads[1] = "Weights";
    for (int i = 0; i < ROOMS.size(); i++) {
      heads[2 + i] = ROOMS.get(i) + " GiB";
    }
    try (var table = Table.open(page, heads)) {
      for (int form = 0; form < columns.getFirst().size(); form++) {
        Fit first = columns.getFirst().get(form);
        String[] cells = new String[heads.length];
        cells[0] = first.options();
        cells[1] = Amounts.size(first.bytes());
        for (int i = 0; i < ROOMS.size(); i++) {
          Fit fit = columns.get(i).get(form);
          cells[2 + i] = fit.fits() ? fit.context() : NONE;
        }
        table.row(true, cells);
      }
    }
  }
}
