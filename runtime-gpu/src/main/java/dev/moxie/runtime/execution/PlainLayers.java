package dev.moxie.runtime.execution;

import dev.moxie.format.model.Architecture;
import dev.moxie.format.model.Forward;
import dev.moxie.runtime.plain.Pass;
import dev.moxie.runtime.plain.Program;
import dev.moxie.runtime.plain.Value;
import dev.moxie.runtime.plain.Weights;
import java.util.ArrayList;
import java.util.List;
import java.util.Objects;
import java.util.function.BiFunction;
import java.util.function.IntConsumer;
import org.jspecify.annotations.Nullable;

/** A forward pass, read part by part, and the one way that tokens take through it. */
final class PlainLayers {
  private final Architecture architecture;
  private final Weights weights;
  private final Pass pass = new Pass();
  private final Part embedding;
  private final Part head;
  private final List<Part> layers = new ArrayList<>();

  /** From what the encoder's last layer leaves to what layers of the decoder read of it. */
  private final @Nullable Part encoded;

  /** Has each layer of the decoder read that. */
  private final List<Part> remembering = new ArrayList<>();

  /** A part, read. */
  record Part(Program program, Value input, Value output) {}

  PlainLayers(Architecture architecture, Weights weights) {
    this.architecture = architecture;
    this.weights = weights;
    embedding = part((forward, nothing) -> forward.embedding());
    head = part(Forward::head);
    for (int i = 0; i < architecture.layers().size(); i++) {
      int layer = i;
      layers.add(part((forward, h) -> forward.layer(layer, h)));
    }
    int encoder = architecture.encoderLayers();
    encoded = encoder == 0 ? null : part(Forward::encoded);
    for (int i = encoder; encoded != null && i < layers.size(); i++) {
      int layer = i;
      remembering.add(
          part(
              (forward, x) -> {
                forward.remember(layer, x);
                return x;
              }));
    }
  }

  /** Reads a part that takes hidden states. */
  Part part(BiFunction<Forward<Value>, Value, Value> reading) {
    var program = new Program(weights, pass);
    Value input = program.input(architecture.streamWidth());
    return new Part(program, input, reading.apply(new Forward<>(architecture, program), input));
  }

  Architecture architecture() {
    return architecture;
  }

  Weights weights() {
    return weights;
  }

  /** The tokens that pass now. */
  Pass pass() {
    return pass;
  }

  Part embedding() {
    return embedding;
  }

  Part layer(int layer) {
    return layers.get(layer);
  }

  /** From hidden states to logits. */
  Part head() {
    return head;
  }

  /**
   * Leaves what the last layer makes of the tokens that pass as the input of the head.
   *
   * @param computed is told of each layer as soon as it is
   */
  void run(IntConsumer computed) {
    pass.copy(run(architecture.encoderLayers(), layers.size(), computed), head.input());
  }

  /** Has the decoder read what an encoder makes of the tokens that pass. */
  void encode(IntConsumer computed) {
    Part last = encoded();
    pass.copy(run(0, architecture.encoderLayers(), computed), last.input());
    last.program().run();
    // A copy, since the programs that read it have its place for numbers of their own.
    float[] read = pass.copy(last.output());
    for (int i = architecture.encoderLayers(); i < layers.size(); i++) {
      remember(i, read);
    }
  }

  /** What the encoder leaves, normed. */
  Part encoded() {
    return Objects.requireNonNull(encoded, "an encoder");
  }

  /** Has a layer of the decoder read what an encoder made of the tokens that pass, [S · H]. */
  void remember(int layer, float[] read) {
    Part part = remembering.get(layer - architecture.encoderLayers());
    pass.set(part.input(), read);
    part.program().run();
  }

  private Value run(int first, int end, IntConsumer computed) {
    embedding.program().run();
    Value hidden = embedding.output();
    for (int i = first; i < end; i++) {
      Part layer = layers.get(i);
      pass.copy(hidden, layer.input());
      layer.program().run();
      computed.accept(i);
      hidden = layer.output();
    }
    return hidden;
  }
}
