"""What people put a model behind: FastAPI around a library, a few lines each.

python benchmarks/support/serving_peers.py {sentence-transformers,pipeline}[-async] FOLDER PORT

Without `-async` a handler is a plain function, which FastAPI runs in a thread of its pool; with it, one request at a time.
"""

from __future__ import annotations

import base64
import sys
from typing import Any

import uvicorn
from fastapi import FastAPI
from pydantic import BaseModel


class EmbeddingsBody(BaseModel):
    input: str | list[str]
    model: str = ""
    encoding_format: str = "float"


class PredictBody(BaseModel):
    inputs: str | list[str]


def sentence_transformers(app: FastAPI, folder: str, *, later: bool) -> None:
    from sentence_transformers import SentenceTransformer

    model = SentenceTransformer(folder, device="cpu")

    def embed(body: EmbeddingsBody) -> dict[str, Any]:
        texts = [body.input] if isinstance(body.input, str) else body.input
        vectors = model.encode(texts, normalize_embeddings=True, show_progress_bar=False)
        found = [
            base64.b64encode(one.tobytes()).decode() if body.encoding_format == "base64" else one.tolist() for one in vectors
        ]
        return {"object": "list", "data": [{"index": i, "embedding": one} for i, one in enumerate(found)]}

    async def embed_later(body: EmbeddingsBody) -> dict[str, Any]:
        return embed(body)

    app.post("/v1/embeddings")(embed_later if later else embed)


def pipeline(app: FastAPI, folder: str, *, later: bool) -> None:
    import transformers

    pipe = transformers.pipeline("text-classification", model=folder, device="cpu", top_k=None)

    def predict(body: PredictBody) -> list[Any]:
        return list(pipe(body.inputs, truncation=True))

    async def predict_later(body: PredictBody) -> list[Any]:
        return predict(body)

    app.post("/predict")(predict_later if later else predict)


def main() -> None:
    name, folder, port = sys.argv[1:]
    app = FastAPI()
    make = {"sentence-transformers": sentence_transformers, "pipeline": pipeline}[name.removesuffix("-async")]
    make(app, folder, later=name.endswith("-async"))
    uvicorn.run(app, port=int(port), log_level="error", access_log=False, loop="uvloop", http="httptools")


if __name__ == "__main__":
    main()
