"""The application whose requests are timed, with and without instrumentation: it knows nothing of Ganglion."""

from fastapi import FastAPI

__all__ = ["app"]

app = FastAPI()


@app.get("/items/{number}")
async def item(number: int) -> dict[str, int]:
    return {"number": number, "square": number * number}
