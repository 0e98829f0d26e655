"""A web application in front of P21.

uvicorn fastapi_app:app
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
from fastapi import FastAPI, HTTPException, Request
from fastapi.responses import JSONResponse

import p21auth
from p21auth.httpx import P21Auth


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    # One client for the application; opening it sends nothing, so the server starts while P21 is down.
    async with p21auth.Client.from_env() as client:
        app.state.p21 = client
        async with httpx.AsyncClient(auth=P21Auth(client), base_url=client.base_url, verify=client.ssl_context()) as http:
            app.state.http = http
            yield


app = FastAPI(lifespan=lifespan)


@app.exception_handler(p21auth.P21Error)
async def p21_is_not_available(request: Request, error: Exception) -> JSONResponse:
    """No secret is ever in an error, so it may be shown; ``retry_after`` tells browsers and proxies when to come back."""
    assert isinstance(error, p21auth.P21Error)
    headers = {"Retry-After": str(int(error.retry_after) + 1)} if error.retry_after else {}
    return JSONResponse({"error": error.name, "hint": error.hint}, 503, headers)


@app.get("/customers")
async def customers(top: int = 5) -> Any:
    response = await app.state.http.get("/odataservice/odata/table/customer", params={"$top": top})
    if response.status_code in (401, 403):
        verdict = await app.state.p21.areport(response)
        raise HTTPException(502, verdict.hint)
    response.raise_for_status()
    return response.json()["value"]


@app.get("/health")
async def health() -> Any:
    """The library's diagnostics: no request to P21, no secret."""
    stats = app.state.p21.stats()
    return {"token": stats["token"], "hold": stats["hold"], "last_error": stats["last_error"]}
