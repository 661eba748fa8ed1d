package dev.moxie.runtime.execution;

import static org.junit.jupiter.api.Assertions.assertEquals;

import java.util.List;
import jdk.incubator.vector.VectorShape;
import org.junit.jupiter.api.Test;

class BuildIdentityTest {
  @Test
  void anotherMachineIsAnotherIdentity() {
    String machine =
        "-%s-%d-%s"
            .formatted(
                System.getProperty("os.arch"),
                VectorShape.preferredShape().vectorBitSize(),
                System.getProperty("java.vm.vendor").replace(' ', '_'));
    assertEquals(
        List.of("java-" + Runtime.version() + machine, "onnxruntime-" + Engine.version() + machine),
        List.of(BuildIdentity.engine(Execution.PLAIN), BuildIdentity.engine(Execution.FUSED)));
  }
}
