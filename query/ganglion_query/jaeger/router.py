"""Both versions of Jaeger's query API under /jaeger."""

from fastapi import APIRouter

from ganglion_query.jaeger import routes, routes_v3

__all__ = ["router"]

router = APIRouter(prefix="/jaeger")
router.include_router(routes_v3.router)
router.include_router(routes.router)
