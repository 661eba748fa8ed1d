package dev.moxie.verifier;

import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.moxie.converter.export.Exporter;
import dev.moxie.converter.plan.Progress;
import dev.moxie.fixtures.Fixtures;
import dev.moxie.format.error.EnvironmentException;
import dev.moxie.format.pack.MoxiePackage;
import dev.moxie.runtime.execution.Device;
import dev.moxie.runtime.execution.Execution;
import dev.moxie.verifier.reference.Running;
import dev.moxie.verifier.reference.Scope;
import dev.moxie.verifier.routing.DecisionFiles;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** A conversion with {@code --force} may end while its target is verified. */
class ReplacedWhileVerifiedTest {
  @TempDir Path folder;

  @Test
  void itIsNeitherDamagedNorDifferent() throws IOException {
    Path source = Fixtures.randomMixtrals().getFirst();
    Path pack = Packages.convert(source, folder.resolve("p"));
    for (Path by : List.of(source, Fixtures.randomMixtrals().getLast())) {
      try (MoxiePackage opened = MoxiePackage.open(pack)) {
        Files.move(pack, folder.resolve("old-" + by.getFileName()));
        Packages.convert(by, pack);
        String message =
            String.valueOf(
                assertThrows(
                        EnvironmentException.class,
                        () ->
                            Verifier.verify(
                                opened,
                                pack,
                                new Verifier.Source(source, null),
                                List.of(),
                                null,
                                Running.onCpu(Execution.of(Device.CPU)),
                                DecisionFiles.NONE,
                                false,
                                Scope.all()))
                    .getMessage());
        assertTrue(message.contains("changed while it was read"), message);
      }
    }
  }

  @Test
  void norIsWhatIsExportedMeanwhile() throws IOException {
    Path pack = Packages.convert(Fixtures.randomMixtrals().getFirst(), folder.resolve("p"));
    try (MoxiePackage opened = MoxiePackage.open(pack)) {
      Files.move(pack, folder.resolve("old"));
      Packages.convert(Fixtures.randomMixtrals().getLast(), pack);
      String message =
          String.valueOf(
              assertThrows(
                      EnvironmentException.class,
                      () -> Exporter.export(opened, folder.resolve("e"), 1, Progress.NONE))
                  .getMessage());
      assertTrue(message.contains("changed while it was read"), message);
      assertFalse(Files.exists(folder.resolve("e")));
    }
  }
}
