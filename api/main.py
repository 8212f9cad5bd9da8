"""The HTTP service: routers, error handlers, lifespan. Never loads torch; SciPy and PyArrow only where used."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib.metadata import version

from fastapi import FastAPI
from fastapi.staticfiles import StaticFiles

from api import errors, openapi
from api.agreement.endpoints import router as agreement
from api.compare.endpoints import router as compare
from api.corpora.endpoints import router as corpora
from api.dashboard.endpoints import STATIC
from api.dashboard.endpoints import router as dashboard
from api.dependencies import Slots
from api.evaluations.endpoints import router as evaluations
from api.extrapolation.endpoints import router as extrapolation
from api.flips.endpoints import router as flips
from api.health.endpoints import router as health
from api.jobs.endpoints import router as jobs
from api.keys.endpoints import router as keys
from api.leaderboard.endpoints import router as leaderboard
from api.presets.endpoints import router as presets
from api.protocols.endpoints import router as protocols
from api.proxy_scores.endpoints import router as proxy_scores
from api.rate_searches.endpoints import router as rate_searches
from api.recipes.endpoints import router as recipes
from api.references.endpoints import router as references
from api.replications.endpoints import router as replications
from api.runs.endpoints import router as runs
from api.schedules.endpoints import router as schedules
from api.studies.endpoints import router as studies
from api.suites.endpoints import router as suites
from api.tokenizers.endpoints import router as tokenizers
from worker.settings import Settings, get_settings
from worker.store.sessions import make_engine, make_sessions

NOUNS = (
    corpora,
    tokenizers,
    recipes,
    presets,
    protocols,
    suites,
    evaluations,
    runs,
    jobs,
    references,
    proxy_scores,
    leaderboard,
    agreement,
    compare,
    extrapolation,
    flips,
    rate_searches,
    replications,
    studies,
    schedules,
    keys,
)


def create_app(settings: Settings | None = None) -> FastAPI:
    """The application on one database; the schema is `foretaste migrate`'s business."""
    settings = settings or get_settings()
    engine = make_engine(settings.resolved_database_url)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        yield
        engine.dispose()

    app = FastAPI(
        title="Foretaste",
        version=version("foretaste"),
        description="Which data recipe will give the best large model, and how sure are we?",
        lifespan=lifespan,
        docs_url=None,  # these two pages load their scripts from a CDN; /openapi.json is all ours
        redoc_url=None,
    )
    app.state.settings = settings
    app.state.sessions = make_sessions(engine)
    app.state.slots = Slots()
    errors.install(app)
    for router in NOUNS:
        app.include_router(router, prefix="/v1", responses=errors.PROBLEMS)
    app.include_router(health)
    app.include_router(dashboard)
    app.mount("/static", StaticFiles(directory=STATIC), name="static")
    openapi.install(app)
    return app
