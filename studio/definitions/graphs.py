"""The graph of a predictive experiment in a web service's definition: which model scores between which ports."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from studio.definitions.definition import SCORE_MODEL, Asset, Node, Package, Properties
from studio.errors import StudioError
from studio.learning.manifest import Manifest
from studio.learning.scoring import APPEND


@dataclass(frozen=True)
class Joined:
    """A trained model, by its asset's key, joined to a Score Model between two ports."""

    asset: str
    input: str
    output: str


def joined_models(properties: Properties) -> list[Joined]:
    """Return the trained models of the definition, in the order of its nodes.

    Raises `ValidationError` for a graph with anything else in it than inputs, outputs, trained models and Score Models,
    as nothing else is run here, and for a model that has no effect.
    """
    assets, package = properties.assets or {}, properties.package or Package()
    nodes = package.nodes or {}
    into: dict[str, list[str]] = {name: [] for name in nodes}
    out_of: dict[str, list[str]] = {name: [] for name in nodes}
    for edge in package.edges or []:
        source, target = edge.source_node_id or "", edge.target_node_id or ""
        if unknown := [name for name in (source, target) if name not in nodes]:
            raise _invalid(f"An edge of the graph names the node {unknown[0]!r}, which is not there.", unknown[0])
        into[target].append(source)
        out_of[source].append(target)
    joined = [
        _joined(name, nodes, assets, into[name], out_of[name])
        for name, node in nodes.items()
        if _is_score_model(name, node, assets)
    ]
    used = [model.asset for model in joined]
    for key, asset in assets.items():
        if asset.type == "Resource" and used.count(key) != 1:
            raise _invalid(
                f"The trained model {key!r} must be joined to one Score Model, not to {used.count(key)}.", key
            )
    _check_different([assets[key].name for key in used], "name of a trained model")
    _check_different([model.output for model in joined], "output")
    for direction, ports, names in (
        ("input", properties.input, [model.input for model in joined]),
        ("output", properties.output, [model.output for model in joined]),
    ):
        if ports and (missing := sorted(set(names) - set(ports.properties))):
            raise _invalid(f"The graph's {direction} {missing[0]!r} is not among the definition's.", missing[0])
    if not joined:
        raise _invalid("The graph has no Score Model with a trained model, an input and an output.", None)
    return joined


def check_fits(manifest: Manifest, properties: Properties, joined: Joined) -> None:
    """Raise unless the input that the definition describes has what the model needs."""
    table = properties.input.properties.get(joined.input) if properties.input else None
    if table is None or table.properties is None:
        return
    if missing := [feature.name for feature in manifest.features if feature.name not in table.properties]:
        raise StudioError(
            "InvalidOperation",
            "IncompatibleModel",
            f"The model needs the column {missing[0]!r}, which the service's input {joined.input!r} has not.",
            joined.asset,
        )


def _is_score_model(name: str, node: Node, assets: dict[str, Asset]) -> bool:
    if node.asset_id is None:
        return False
    asset = assets.get(node.asset_id)
    if asset is None:
        raise _invalid(f"The node {name!r} names the asset {node.asset_id!r}, which is not there.", name)
    if asset.type == "Resource":
        return False
    if asset.name != SCORE_MODEL:
        raise _invalid(f"The node {name!r} is the module {asset.name!r}; only {SCORE_MODEL} is run here.", name)
    append = (node.parameters or {}).get(APPEND)
    if append and str(append.value).lower() != "true":
        raise _invalid(f"{APPEND!r} of the node {name!r} must be True; a request may say otherwise.", name)
    return True


def _joined(
    name: str, nodes: dict[str, Node], assets: dict[str, Asset], sources: list[str], targets: list[str]
) -> Joined:
    models = [key for each in sources if (key := nodes[each].asset_id) and assets[key].type == "Resource"]
    inputs = [port for each in sources if (port := nodes[each].input_id)]
    outputs = [port for each in targets if (port := nodes[each].output_id)]
    for what, found in (("trained model", models), ("input", inputs), ("output", outputs)):
        if len(found) != 1:
            raise _invalid(f"The node {name!r} must be joined to one {what}, not to {len(found)}.", name)
    return Joined(models[0], inputs[0], outputs[0])


def _check_different(names: Iterable[str], what: str) -> None:
    seen: set[str] = set()
    for name in names:
        if name in seen:
            raise _invalid(f"The {what} {name!r} is there twice.", name)
        seen.add(name)


def _invalid(message: str, target: str | None) -> StudioError:
    return StudioError("WebServicePackageError", "ValidationError", message, target)
