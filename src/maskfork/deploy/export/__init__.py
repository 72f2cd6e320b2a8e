"""Models for other runtimes: traced, written, checked on real rows against the original, and only then put in their place.

encoders           graph ─ onnx / openvino, fp32 bf16 int8 ─ runtime.json: predict and serve open the folder
decoders           a graph with its cache ─ onnx;  GGUF
encoder-decoders   two graphs ─ onnx
"""
