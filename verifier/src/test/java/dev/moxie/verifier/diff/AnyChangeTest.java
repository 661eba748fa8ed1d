package dev.moxie.verifier.diff;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.moxie.format.safetensors.Dtype;
import dev.moxie.format.safetensors.SafetensorsWriter.Tensor;
import dev.moxie.format.safetensors.Shape;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.Set;
import java.util.TreeMap;
import java.util.stream.Stream;
import net.jqwik.api.ForAll;
import net.jqwik.api.Property;
import net.jqwik.api.constraints.IntRange;

/** Whatever elements change, these are counted and no others. */
class AnyChangeTest {
  private static final List<Dtype> DTYPES =
      List.of(Dtype.BF16, Dtype.F16, Dtype.F32, Dtype.F8_E4M3, Dtype.F8_E5M2, Dtype.U8);

  @Property(tries = 60)
  void exactlyTheChangedElementsAreCounted(
      @ForAll long seed,
      @ForAll @IntRange(min = 1, max = 5) int tensors,
      @ForAll @IntRange(max = 40) int changes)
      throws IOException {
    Path folder = Files.createTempDirectory("moxie-diff");
    try {
      var random = new Random(seed);
      List<Tensor> ofA = new ArrayList<>();
      List<Tensor> ofB = new ArrayList<>();
      for (int i = 0; i < tensors; i++) {
        Dtype dtype = DTYPES.get(random.nextInt(DTYPES.size()));
        // From one element to several times what is read at a time.
        Shape shape = Shape.of(1 + random.nextInt(130), 1 + random.nextInt(130));
        byte[] data = new byte[Math.toIntExact(shape.bytes(dtype))];
        for (int at = 0; at < data.length; at++) {
          // Without the second-highest bit no dtype has infinities or NaN.
          data[at] = (byte) (random.nextInt() & 0xbf);
        }
        ofA.add(new Tensor("t" + i, dtype, shape, ByteBuffer.wrap(data)));
        ofB.add(new Tensor("t" + i, dtype, shape, ByteBuffer.wrap(data.clone())));
      }
      Map<String, TreeMap<Long, Byte>> changed = new TreeMap<>();
      for (int i = 0; i < changes; i++) {
        Tensor tensor = ofB.get(random.nextInt(tensors));
        long element = random.nextLong(tensor.shape().elements());
        var ofTensor = changed.computeIfAbsent(tensor.name(), name -> new TreeMap<>());
        if (!ofTensor.containsKey(element)) {
          int size = tensor.dtype().bits() / 8;
          int at = Math.toIntExact(element * size) + random.nextInt(size);
          tensor.data().array()[at] ^= (byte) (1 << random.nextInt(6));
          ofTensor.put(element, (byte) 1);
        }
      }
      Diff diff =
          Models.diff(
              Models.write(folder.resolve("a"), "{}", ofA),
              Models.write(folder.resolve("b"), "{}", ofB));
      Map<String, Integer> expected = new TreeMap<>();
      changed.forEach((name, elements) -> expected.put(name, elements.size()));
      Map<String, Integer> found = new TreeMap<>();
      for (Diff.TensorDifference difference : diff.tensors().differences()) {
        found.put(difference.name(), Math.toIntExact(difference.numbers().differing()));
        assertIsOneOf(changed.get(difference.name()).keySet(), difference, ofA);
      }
      assertEquals(expected, found);
      assertEquals(expected.isEmpty(), diff.sense().same());
    } finally {
      try (Stream<Path> walk = Files.walk(folder)) {
        walk.sorted(Comparator.reverseOrder()).forEach(path -> path.toFile().delete());
      }
    }
  }

  private static void assertIsOneOf(
      Set<Long> elements, Diff.TensorDifference difference, List<Tensor> tensors) {
    List<Long> index = difference.numbers().worst().index();
    Tensor tensor =
        tensors.stream().filter(t -> t.name().equals(difference.name())).findFirst().orElseThrow();
    long element =
        index.size() == 1 ? index.get(0) : index.get(0) * tensor.shape().dim(1) + index.get(1);
    assertTrue(elements.contains(element), difference.toString());
  }
}
