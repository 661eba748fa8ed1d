package dev.moxie.runtime.cuda;

import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.moxie.format.error.EnvironmentException;
import java.nio.file.Files;
import java.nio.file.Path;
import org.junit.jupiter.api.Assumptions;
import org.junit.jupiter.api.Test;

class DriverTest {
  @Test
  void aMachineWithoutADriverOrACardIsASentence() {
    Assumptions.assumeFalse(Files.exists(Path.of("/dev/nvidiactl")));
    String message =
        assertThrows(EnvironmentException.class, () -> Driver.load().cards()).getMessage();
    assertTrue(
        message.startsWith("--device cuda: expected an NVIDIA card and its driver, found "),
        message);
  }
}
