"""The blob trigger's argument: a blob's name, without its content.

The host passes a blob's content through the worker's memory unless the parameter's type is a registered SDK type
(deferred binding): then it sends one line, `{"Connection", "ContainerName", "BlobName"}`. The extension that Microsoft
publishes for it makes a storage client of that line, which costs an import of the storage and identity libraries;
this type, registered the same way, keeps the two names.
"""

from __future__ import annotations

import json
from typing import Any

from azurefunctions.extensions.base import Datum, InConverter, SdkType


class BlobName(SdkType):  # type: ignore[misc]  # the base package has no type hints
    """`container` and `name` of the blob that was dropped."""

    def __init__(self, *, data: Any) -> None:
        content = json.loads(data.content)
        self.container = str(content["ContainerName"])
        self.name = str(content["BlobName"])

    def get_sdk_type(self) -> BlobName:
        return self


class BlobNameConverter(InConverter, binding="blob", trigger="blobTrigger"):  # type: ignore[misc,call-arg]
    """Registers `BlobName` for blob triggers."""

    @classmethod
    def check_input_type_annotation(cls, pytype: type) -> bool:
        return issubclass(pytype, BlobName)

    @classmethod
    def decode(cls, data: Datum, *, trigger_metadata: Any, pytype: Any = BlobName) -> BlobName:  # noqa: ARG003 (given by name)
        if data.type != "model_binding_data":
            raise ValueError(f"A blob trigger's data is of type {data.type!r}; 'model_binding_data' was expected")
        return BlobName(data=data.value)
