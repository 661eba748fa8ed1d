package dev.moxie.converter;

import dev.moxie.format.safetensors.Dtype;
import dev.moxie.format.safetensors.Shape;
import java.io.ByteArrayOutputStream;
import java.nio.file.Path;
import java.util.List;

/** A Mixtral as transformers 5 saves it: the experts of a layer in two tensors. */
public final class FusedMixtral {
  private FusedMixtral() {}

  /** The same weights as a checkpoint's, in that layout. */
  public static EditedCheckpoint of(Path mixtral, Path folder) {
    EditedCheckpoint edited = EditedCheckpoint.of(mixtral, folder);
    for (int layer = 0; edited.has(expert(layer, 0, "w1")); layer++) {
      fuse(edited, layer, "gate_up_proj", List.of("w1", "w3"));
      fuse(edited, layer, "down_proj", List.of("w2"));
    }
    return edited
        .rename(
            name ->
                name.contains(".experts.") && name.endsWith(".weight")
                    ? null
                    : name.replace("block_sparse_moe.gate", "mlp.gate"))
        .write();
  }

  private static String expert(int layer, int expert, String matrix) {
    return "model.layers.%d.block_sparse_moe.experts.%d.%s.weight".formatted(layer, expert, matrix);
  }

  private static void fuse(EditedCheckpoint edited, int layer, String name, List<String> matrices) {
    var bytes = new ByteArrayOutputStream();
    int experts = 0;
    for (; edited.has(expert(layer, experts, matrices.getFirst())); experts++) {
      for (String matrix : matrices) {
        bytes.writeBytes(edited.bytes(expert(layer, experts, matrix)));
      }
    }
    Shape one = edited.tensor(expert(layer, 0, matrices.getFirst())).shape();
    Dtype dtype = edited.tensor(expert(layer, 0, matrices.getFirst())).dtype();
    Shape shape = Shape.of(experts, matrices.size() * one.dim(0), one.dim(1));
    edited.put(
        "model.layers.%d.mlp.experts.%s".formatted(layer, name), dtype, shape, bytes.toByteArray());
  }
}
