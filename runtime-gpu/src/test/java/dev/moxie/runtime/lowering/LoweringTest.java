package dev.moxie.runtime.lowering;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import ai.onnx.proto.OnnxMl;
import dev.moxie.fixtures.Fixtures;
import dev.moxie.format.model.Role;
import dev.moxie.format.pack.MoxiePackage;
import dev.moxie.runtime.Packages;
import java.nio.file.Path;
import java.util.HashMap;
import java.util.Map;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class LoweringTest {
  @TempDir Path folder;

  @Test
  void everyWeightIsNamedInItsShardAndNoneIsCopiedIntoTheGraph() {
    try (MoxiePackage pack =
        Packages.convert(Fixtures.randomMixtrals().get(1), folder.resolve("p"))) {
      OnnxMl.ModelProto model = new Lowering(pack, Target.CPU).wholeModel();
      int external = 0;
      for (OnnxMl.TensorProto tensor : model.getGraph().getInitializerList()) {
        if (tensor.getDataLocation() != OnnxMl.TensorProto.DataLocation.EXTERNAL) {
          int numbers = tensor.getInt64DataCount() + tensor.getFloatDataCount();
          assertTrue(numbers <= 8, "only shapes and factors are inside");
          continue;
        }
        Map<String, String> entries = new HashMap<>();
        tensor.getExternalDataList().forEach(e -> entries.put(e.getKey(), e.getValue()));
        var row =
            tensor.getName().contains("experts")
                ? pack.stack(tensor.getName()).getFirst()
                : pack.tensor(tensor.getName());
        assertEquals(row.shard(), entries.get("location"));
        assertEquals(row.offset(), Long.parseLong(entries.get("offset")));
        assertEquals(row.bytes(), Long.parseLong(entries.get("length")));
        external++;
      }
      long tensors =
          pack.rows().stream()
              .filter(row -> row.expert() == null && row.role() != Role.PADDING)
              .count();
      assertEquals(tensors, external);
    }
  }
}
