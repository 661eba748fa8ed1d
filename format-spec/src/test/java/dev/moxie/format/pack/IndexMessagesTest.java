package dev.moxie.format.pack;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.moxie.format.error.InvalidInputException;
import java.io.IOException;
import java.lang.reflect.RecordComponent;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** A sentence that expects what it found, or finds null, tells nobody anything. */
class IndexMessagesTest {
  private static final Pattern SENTENCE =
      Pattern.compile("(.*): expected (.*), found (.*); (.*)\\.", Pattern.DOTALL);

  @TempDir Path folder;

  @Test
  void whateverCellOfTheIndexIsEmptiedTheMessageSaysWhatIsMissing() throws Exception {
    Path pack = folder.resolve("p");
    int refused = 0;
    for (RecordComponent column : nullable()) {
      for (IndexRow.Kind kind : IndexRow.Kind.values()) {
        TinyPackage.write(pack);
        Tampering.index(pack, rows -> emptied(rows, kind, column));
        String message = refusal(pack);
        if (message != null) {
          refused++;
          assertTells(message);
        }
        deleteAll(pack);
      }
    }
    assertTrue(refused >= 15, refused + " were refused");
  }

  @Test
  void theLayerOfARouterIsNamed() throws Exception {
    Path pack = folder.resolve("p");
    TinyPackage.write(pack);
    Tampering.index(
        pack,
        rows ->
            changed(
                rows,
                rows.indexOf(
                    rows.stream()
                        .filter(row -> row.role() == dev.moxie.format.model.Role.ROUTER)
                        .findFirst()
                        .orElseThrow()),
                column("layer")));
    String message = String.valueOf(refusal(pack));
    assertTrue(message.contains("of layer 0") && message.contains("of no layer"), message);
  }

  private static void assertTells(String message) {
    Matcher sentence = SENTENCE.matcher(message);
    assertTrue(sentence.matches(), message);
    assertNotEquals(sentence.group(2), sentence.group(3), message);
    assertFalse(Pattern.compile("\\bnull\\b").matcher(message).find(), message);
  }

  private static @Nullable String refusal(Path pack) {
    try (MoxiePackage opened = MoxiePackage.open(pack)) {
      assertEquals(pack.getFileName(), opened.folder().getFileName());
      return null;
    } catch (InvalidInputException e) {
      return e.getMessage();
    }
  }

  private static List<RecordComponent> nullable() {
    return List.of(IndexRow.class.getRecordComponents()).stream()
        .filter(column -> column.getAnnotatedType().isAnnotationPresent(Nullable.class))
        .toList();
  }

  private static RecordComponent column(String name) {
    return nullable().stream()
        .filter(column -> column.getName().equals(name))
        .findFirst()
        .orElseThrow();
  }

  private static List<IndexRow> emptied(
      List<IndexRow> rows, IndexRow.Kind kind, RecordComponent column) {
    for (int i = 0; i < rows.size(); i++) {
      if (rows.get(i).kind() == kind && value(rows.get(i), column) != null) {
        return changed(rows, i, column);
      }
    }
    return rows;
  }

  private static List<IndexRow> changed(List<IndexRow> rows, int row, RecordComponent emptied) {
    RecordComponent[] columns = IndexRow.class.getRecordComponents();
    Class<?>[] types = new Class<?>[columns.length];
    @Nullable Object[] values = new Object[columns.length];
    for (int c = 0; c < columns.length; c++) {
      types[c] = columns[c].getType();
      values[c] =
          columns[c].getName().equals(emptied.getName()) ? null : value(rows.get(row), columns[c]);
    }
    List<IndexRow> changed = new ArrayList<>(rows);
    try {
      changed.set(row, IndexRow.class.getDeclaredConstructor(types).newInstance(values));
    } catch (ReflectiveOperationException e) {
      throw new IllegalStateException(e);
    }
    return changed;
  }

  private static @Nullable Object value(IndexRow row, RecordComponent column) {
    try {
      return column.getAccessor().invoke(row);
    } catch (ReflectiveOperationException e) {
      throw new IllegalStateException(e);
    }
  }

  private static void deleteAll(Path folder) throws IOException {
    try (var files = java.nio.file.Files.walk(folder)) {
      for (Path file : files.sorted(java.util.Comparator.reverseOrder()).toList()) {
        java.nio.file.Files.delete(file);
      }
    }
  }
}
