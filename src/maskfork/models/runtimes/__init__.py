"""What runs an encoder in torch's place: a folder with a runtime.json is opened with the runtime that it names.

texts ─ tokenizer ─ token ids ─┬─ no runtime.json: the Transformer of core/
                               └─ runtime.json:    torch in fewer bits, onnxruntime, openvino, or our own C++
"""
