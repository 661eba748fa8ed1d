package dev.moxie.format.pack;

import dev.moxie.format.model.Architecture;
import dev.moxie.format.model.Role;
import dev.moxie.format.model.TensorSpec;
import dev.moxie.format.safetensors.Dtype;
import dev.moxie.format.safetensors.Shape;
import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.function.UnaryOperator;

/**
 * Packages of other tensors than their architecture calls for, or stored otherwise: SPEC.md,
 * sections 3, 5 and 6. Shards, digests and origins are those of what is there.
 */
final class TensorVectors {
  private TensorVectors() {}

  static void write(ConformanceVectors v) throws IOException {
    v.valid(
        "opaque-tensor",
        "a tensor that the architecture does not call for",
        p ->
            minimal(
                p,
                items ->
                    with(
                        items,
                        TensorSpec.opaque(TinyPackage.SOURCE, "rotary.inv_freq", Shape.of(3)),
                        Dtype.F64)));
    v.valid(
        "prediction-with-the-models-head",
        "a layer for multi-token prediction without embedding and head of its own",
        p ->
            latent(
                p,
                items ->
                    without(
                        without(items, "layers.2.prediction.embedding.weight"),
                        "layers.2.prediction.head.weight")));
    v.broken("tensor-missing", "I7", "there is no final norm", "final_norm.weight")
        .made(p -> minimal(p, items -> without(items, "final_norm.weight")));
    v.broken("tensor-twice", "I7", "there is a second final norm, in a shard of its own", "one row")
        .made(TensorVectors::twice);
    v.broken(
            "prediction-tensor-missing",
            "I7",
            "the layer for multi-token prediction has no matrix that combines",
            "prediction.combine")
        .made(p -> latent(p, items -> without(items, "layers.2.prediction.combine.weight")));
    v.broken(
            "tensor-too-many",
            "I8",
            "there is a router of a layer that does not exist",
            "layers.1.router.weight")
        .made(
            p ->
                minimal(
                    p,
                    items ->
                        with(
                            items,
                            new TensorSpec(
                                "layers.1.router.weight", Role.ROUTER, 1, Shape.of(3, 4), null),
                            Dtype.BF16)));
    v.broken(
            "opaque-tensor-renamed",
            "T4",
            "an opaque tensor is not named after its source",
            "the name opaque.")
        .made(
            p ->
                minimal(
                    p,
                    items ->
                        with(
                            items,
                            new TensorSpec("opaque.inv_freq", Role.OPAQUE, null, Shape.of(3), null),
                            Dtype.F64)));
    v.broken("expert-missing", "I11", "the stacks hold two of three experts", "experts up to")
        .made(
            p ->
                minimal(
                    p,
                    items ->
                        items.stream()
                            .map(
                                item ->
                                    item.spec().stack() == null
                                        ? item
                                        : new ShardLayout.Item(
                                            item.spec().part(0, 2), item.dtype()))
                            .toList()));
    v.broken("stack-unaligned", "T1", "the experts' shard has 64 bytes less of header", "page")
        .by(
            p ->
                Tampering.header(
                    p, ManifestVectors.EXPERTS, json -> json.substring(0, json.length() - 64)));
    v.broken(
            "stack-of-two-dtypes",
            "T2",
            "one rank's experts are float16, the other's bfloat16",
            "the stack's other parts")
        .made(TensorVectors::ofTwoDtypes);
    v.broken("norm-of-integers", "T3", "a norm is of 16-bit integers", "I16")
        .made(p -> minimal(p, items -> typed(items, "final_norm.weight", Dtype.I16)));
    v.broken("router-in-fp8", "T3", "a router is in fp8 blocks", "router")
        .made(p -> latent(p, TensorVectors::withRouterInBlocks));
    v.broken("fp8-called-plain", "T3", "a matrix of F8_E4M3 is called plain", "encoding plain")
        .made(
            p ->
                minimal(
                    p, items -> typed(items, "layers.0.attention.query.weight", Dtype.F8_E4M3)));
    v.broken("norm-in-blocks", "E2", "a norm of BF16 is called one of fp8 blocks", "F8_E4M3 for")
        .in(TinyPackage::writeLatent)
        .byIndex(
            rows ->
                Rows.changed(
                    rows,
                    Rows.named("final_norm.weight"),
                    r -> Rows.encoded(r, TinyPackage.BLOCKS)));
    v.broken("scales-missing", "E3", "a matrix in blocks has no scales", "layers.0.dense.up.scale")
        .made(p -> latent(p, items -> without(items, "layers.0.dense.up.scale")));
    v.broken("scales-of-another-dtype", "E3", "scales are 32-bit integers", "F32")
        .made(p -> latent(p, items -> typed(items, "layers.0.dense.up.scale", Dtype.I32)));
  }

  private static void minimal(Path folder, UnaryOperator<List<ShardLayout.Item>> edit) {
    edited(folder, TinyPackage.ARCHITECTURE, TinyPackage.Stored.COPIED, edit);
  }

  private static void latent(Path folder, UnaryOperator<List<ShardLayout.Item>> edit) {
    edited(folder, TinyPackage.LATENT, TinyPackage.Stored.SCALED, edit);
  }

  static void edited(
      Path folder,
      Architecture architecture,
      TinyPackage.Stored stored,
      UnaryOperator<List<ShardLayout.Item>> edit) {
    List<ShardLayout.Item> items = edit.apply(TinyPackage.items(architecture, stored));
    TinyPackage.write(
        folder,
        architecture,
        Manifest.Layout.PLAIN,
        PackageLayout.of(items, Manifest.Layout.PLAIN),
        stored,
        false);
  }

  static List<ShardLayout.Item> with(List<ShardLayout.Item> items, TensorSpec spec, Dtype dtype) {
    List<ShardLayout.Item> more = new ArrayList<>(items);
    more.add(new ShardLayout.Item(spec, dtype));
    return more;
  }

  static List<ShardLayout.Item> without(List<ShardLayout.Item> items, String name) {
    return items.stream().filter(item -> !item.spec().name().equals(name)).toList();
  }

  private static List<ShardLayout.Item> typed(
      List<ShardLayout.Item> items, String name, Dtype dtype) {
    return items.stream()
        .map(
            item ->
                item.spec().name().equals(name)
                    ? new ShardLayout.Item(item.spec(), dtype, item.encoding())
                    : item)
        .toList();
  }

  private static List<ShardLayout.Item> withRouterInBlocks(List<ShardLayout.Item> items) {
    List<ShardLayout.Item> more = new ArrayList<>();
    for (ShardLayout.Item item : items) {
      boolean router = item.spec().name().equals("layers.1.router.weight");
      more.add(
          router ? new ShardLayout.Item(item.spec(), Dtype.F8_E4M3, TinyPackage.BLOCKS) : item);
      if (router) {
        more.add(new ShardLayout.Item(TinyPackage.BLOCKS.scales(item.spec()), Dtype.F32));
      }
    }
    return more;
  }

  /** A second tensor of the same name comes from another source. */
  private static void twice(Path folder) throws IOException {
    List<ShardLayout> shards =
        new ArrayList<>(TinyPackage.layouts(TinyPackage.ARCHITECTURE, Manifest.Layout.PLAIN));
    var again = new TensorSpec("final_norm.weighs", Role.FINAL_NORM, null, Shape.of(4), null);
    shards.add(
        ShardLayout.of(
            "twice.safetensors", null, List.of(new ShardLayout.Item(again, Dtype.BF16))));
    TinyPackage.write(
        folder,
        TinyPackage.ARCHITECTURE,
        Manifest.Layout.PLAIN,
        shards,
        TinyPackage.Stored.COPIED,
        false);
    Tampering.header(
        folder, "twice.safetensors", json -> Tampering.replaced(json, "weighs", "weight"));
    IndexVectors.rewrite(folder, 1, "final_norm.weighs", "final_norm.weight");
  }

  private static void ofTwoDtypes(Path folder) {
    Architecture architecture = TinyPackage.architecture(4, 4, 2);
    var layout = new Manifest.Layout(2, null);
    List<ShardLayout> shards =
        TinyPackage.layouts(architecture, layout).stream()
            .map(
                shard ->
                    Integer.valueOf(1).equals(shard.rank())
                        ? ShardLayout.of(
                            shard.file(),
                            shard.rank(),
                            shard.tensors().stream()
                                .filter(placed -> placed.spec().role() != Role.PADDING)
                                .map(placed -> new ShardLayout.Item(placed.spec(), Dtype.F16))
                                .toList())
                        : shard)
            .toList();
    TinyPackage.write(folder, architecture, layout, shards, TinyPackage.Stored.COPIED, false);
  }
}
