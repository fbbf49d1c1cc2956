"""Finds the models that endpoints serve, and keeps them."""

from collections.abc import Collection
from dataclasses import dataclass

from shared.base.errors import AskHuman, BadConfiguration, NeverAgain
from shared.base.threads import at_once, together
from shared.domain.champions import Champion
from shared.domain.jobs import Model
from shared.domain.ports import BlobReader, BlobReference, Endpoint, Endpoints, Models


def keep(models: Models, reader: BlobReader, reference: BlobReference) -> Model:
    """Keep the model that a service names: an ilearner file, or a folder."""
    if reference.is_folder:
        return models.keep_folder(reader.files(reference))
    return models.keep(reader.read(reference))


@dataclass(frozen=True)
class Seen:
    """What the endpoints name, in their order, and which of the models that the record says are live are kept."""

    references: list[BlobReference]
    kept: list[Model]


def look(models: Models, endpoints: Endpoints, champion: Champion) -> Seen:
    """Ask the endpoints for their models, and the store for those of the record, all at once."""
    recorded = {*champion.live.models.values()} if champion.live else set()
    references, found = together(
        lambda: at_once(lambda each: each.model(), endpoints.values()),
        lambda: at_once(lambda each: models.identify(models.link(each)), recorded),
    )
    return Seen(references, [*filter(None, found)])


def live_model(
    models: Models,
    reader: BlobReader,
    name: str,
    endpoint: Endpoint,
    known: Collection[Model] = (),
    reference: BlobReference | None = None,
) -> Model:
    """Return the model that is live, and keep it first if somebody else deployed it.

    `reference` is what the endpoint has just named, if it was asked already. One of the `known` is not looked up again.
    Where deployments are named by models, the service notes which one that is. Raises `BadConfiguration` when it cannot
    be read: without it a rollback is not possible.
    """
    reference = reference or endpoint.model()
    if kept := models.identify(reference, known):
        return kept
    try:
        kept = keep(models, reader, reference)
        if endpoint.staging:
            endpoint.staging.adopt(kept)
        return kept
    except (AskHuman, NeverAgain) as error:
        raise BadConfiguration(
            f"The model now live on {name} cannot be kept for a rollback, so nothing is promoted: {error}"
        ) from None


def served_model(models: Models, endpoint: Endpoint, right: Model) -> Model | None:
    """Return which kept model the endpoint serves, or None for another one.

    Where it gives shares of its calls, that is the `right` one only if nothing else gets calls.
    """
    if endpoint.staging is None:
        return models.identify(endpoint.model())
    shares = endpoint.staging.shares()
    others = [name for name, share in shares.of.items() if share and name != right.sha256]
    if not others or not shares.settled:
        return right
    found = models.find(others[0])
    return found[0] if len(found) == 1 else None
