"""`/openadr3/3.1.0` and `/openadr3/3.0.1`: paths, and nothing else."""

from __future__ import annotations

from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse

from gridnet.app.api.answering import Asking
from gridnet.app.api.openadr.access import Access
from gridnet.app.api.openadr.live import Live
from gridnet.app.api.openadr.objects import Objects
from gridnet.app.api.openadr.queries import Query
from gridnet.app.api.openadr.requests import Route, Sent
from gridnet.app.api.openadr.shapes import KINDS, Kind, Version
from gridnet.app.api.openadr.tokens import add_tokens
from gridnet.app.service.errors import NotFound
from gridnet.app.service.service import Service


def make_router(service: Service, version: Version) -> APIRouter:
    """The VTN of one version."""
    router = APIRouter(prefix=f"/openadr3/{version}", route_class=Route, tags=[f"OpenADR {version}"])
    access, live = Access(service, version), Live(service, version)
    objects = Objects(service, version, access, live)
    add_tokens(router, service)
    for kind in KINDS:
        # 3.0.1 keeps resources under their VEN alone.
        if kind == "resource" and version == "3.0.1":
            _add_resources(router, objects)
        else:
            _add_collection(router, objects, version, kind)
    if version == "3.1.0":
        _add_notifiers(router)
    return router


def _add_collection(router: APIRouter, objects: Objects, version: Version, kind: Kind) -> None:
    def search(request: Request, by: Asking) -> Response:
        return JSONResponse(objects.search(by, kind, Query.of(version, kind, request.query_params)))

    def create(by: Asking, sent: Sent) -> Response:
        return JSONResponse(objects.create(by, kind, sent), 201)

    def read(name: str, by: Asking) -> Response:
        return JSONResponse(objects.read(by, kind, name))

    def replace(name: str, by: Asking, sent: Sent) -> Response:
        return JSONResponse(objects.replace(by, kind, name, sent))

    def remove(name: str, by: Asking) -> Response:
        return JSONResponse(objects.remove(by, kind, name))

    router.add_api_route(f"/{kind}s", search, methods=["GET"], summary=f"search {kind}s")
    router.add_api_route(f"/{kind}s", create, methods=["POST"], status_code=201, summary=f"create {kind}")
    router.add_api_route(f"/{kind}s/{{name}}", read, methods=["GET"], summary=f"read {kind}")
    router.add_api_route(f"/{kind}s/{{name}}", replace, methods=["PUT"], summary=f"update {kind}")
    router.add_api_route(f"/{kind}s/{{name}}", remove, methods=["DELETE"], summary=f"delete {kind}")


def _add_resources(router: APIRouter, objects: Objects) -> None:
    def search(ven: str, request: Request, by: Asking) -> Response:
        objects.read(by, "ven", ven)
        query = Query.of("3.0.1", "resource", request.query_params).where("venID", ven)
        return JSONResponse(objects.search(by, "resource", query))

    def create(ven: str, by: Asking, sent: Sent) -> Response:
        return JSONResponse(objects.create(by, "resource", {**sent, "venID": ven}), 201)

    def read(ven: str, name: str, by: Asking) -> Response:
        found = objects.read(by, "resource", name)
        if found["venID"] != ven:
            raise NotFound(f"no resource {name[:64]} of this ven")
        return JSONResponse(found)

    def replace(ven: str, name: str, by: Asking, sent: Sent) -> Response:
        read(ven, name, by)
        return JSONResponse(objects.replace(by, "resource", name, {**sent, "venID": ven}))

    def remove(ven: str, name: str, by: Asking) -> Response:
        read(ven, name, by)
        return JSONResponse(objects.remove(by, "resource", name))

    router.add_api_route("/vens/{ven}/resources", search, methods=["GET"], summary="search resources")
    router.add_api_route("/vens/{ven}/resources", create, methods=["POST"], status_code=201, summary="create resource")
    router.add_api_route("/vens/{ven}/resources/{name}", read, methods=["GET"], summary="read resource")
    router.add_api_route("/vens/{ven}/resources/{name}", replace, methods=["PUT"], summary="update resource")
    router.add_api_route("/vens/{ven}/resources/{name}", remove, methods=["DELETE"], summary="delete resource")


def _add_notifiers(router: APIRouter) -> None:
    def notifiers(by: Asking) -> Response:
        return JSONResponse({"WEBHOOK": True})

    router.add_api_route("/notifiers", notifiers, methods=["GET"], summary="how changes are told")
