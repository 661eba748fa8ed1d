package dev.moxie.format.safetensors;

import java.util.List;

/** What a weight file holds besides the bytes of its tensors, and where these lie. */
public interface WeightHeader {
  /** Bytes that are no tensor's. */
  long bytes();

  /** Bytes of the whole file. */
  long fileBytes();

  /** The tensors, in the order of their data. */
  List<TensorInfo> tensors();

  /** How many of the bytes that are no tensor's come before the data of one. */
  default long before(TensorInfo tensor) {
    return bytes();
  }

  /** The first byte of a tensor, from the start of the file. */
  default long offset(TensorInfo tensor) {
    return before(tensor) + tensor.begin();
  }
}
