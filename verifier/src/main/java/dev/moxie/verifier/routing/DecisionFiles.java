package dev.moxie.verifier.routing;

import dev.moxie.format.error.UnsupportedException;
import dev.moxie.format.error.UsageException;
import dev.moxie.format.file.StagedFile;
import dev.moxie.format.pack.MoxiePackage;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.stream.Stream;
import org.jspecify.annotations.Nullable;

/**
 * The files that decisions are wanted in; format-spec/ROUTING.md describes them.
 *
 * @param arrow one row per decision; null for none
 * @param replay the array that training stacks replay; null for none
 */
public record DecisionFiles(@Nullable Path arrow, @Nullable Path replay) {
  /** No files. */
  public static final DecisionFiles NONE = new DecisionFiles(null, null);

  /** Whether any file is wanted. */
  public boolean any() {
    return !paths().isEmpty();
  }

  /** Those that are wanted. */
  public List<Path> paths() {
    return Stream.of(Optional.ofNullable(arrow), Optional.ofNullable(replay))
        .flatMap(Optional::stream)
        .toList();
  }

  /**
   * Begins the files, where their paths lead.
   *
   * @throws UnsupportedException if the model has no experts
   * @throws UsageException if one lies inside a package, or would replace something else
   */
  public DecisionSink open(MoxiePackage pack) {
    if (!any()) {
      return DecisionSink.NONE;
    }
    RoutedLayers layers = RoutedLayers.of(pack);
    List<DecisionSink> sinks = new ArrayList<>();
    var all = new All(sinks);
    try {
      if (arrow != null) {
        sinks.add(RoutingArrow.create(placeOutside(arrow), layers));
      }
      if (replay != null) {
        sinks.add(ReplayFile.create(placeOutside(replay), layers));
      }
    } catch (RuntimeException e) {
      all.close();
      throw e;
    }
    return all;
  }

  private static Path placeOutside(Path file) {
    Path place = StagedFile.place(file);
    MoxiePackage.requireOutside(place);
    return place;
  }

  /** Several sinks as one. */
  private record All(List<DecisionSink> sinks) implements DecisionSink {
    @Override
    public void accept(int sequence, long[] ids, List<Decision> decisions) {
      sinks.forEach(sink -> sink.accept(sequence, ids, decisions));
    }

    @Override
    public void finish() {
      sinks.forEach(DecisionSink::finish);
    }

    @Override
    public void close() {
      sinks.forEach(DecisionSink::close);
    }
  }
}
