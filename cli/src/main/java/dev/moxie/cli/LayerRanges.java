package dev.moxie.cli;

import dev.moxie.verifier.reference.Scope;
import java.util.ArrayList;
import java.util.List;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import picocli.CommandLine.ITypeConverter;
import picocli.CommandLine.TypeConversionException;

/** Layers and ranges of them, with commas between. */
final class LayerRanges implements ITypeConverter<List<Scope.Range>> {
  private static final Pattern RANGE = Pattern.compile("\\s*([0-9]{1,6})(?:-([0-9]{1,6}))?\\s*");

  @Override
  public List<Scope.Range> convert(String list) {
    List<Scope.Range> ranges = new ArrayList<>();
    for (String part : list.split(",", -1)) {
      Matcher matcher = RANGE.matcher(part);
      int first = matcher.matches() ? Integer.parseInt(matcher.group(1)) : 0;
      int last =
          matcher.matches() && matcher.group(2) != null
              ? Integer.parseInt(matcher.group(2))
              : first;
      if (!matcher.matches() || last < first) {
        throw new TypeConversionException("expected layers as in 0,2-5, found \"" + list + "\"");
      }
      ranges.add(new Scope.Range(first, last));
    }
    return ranges;
  }
}
