package dev.moxie.converter.checkpoint;

import dev.moxie.format.safetensors.Dtype;
import dev.moxie.format.safetensors.Shape;

/**
 * One tensor of a checkpoint.
 *
 * @param file weight file, within the checkpoint's folder
 * @param offset of the first byte, from the start of the file
 */
public record SourceTensor(
    String file, String name, Dtype dtype, Shape shape, long offset, long bytes) {}
