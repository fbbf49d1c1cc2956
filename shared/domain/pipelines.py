"""One pipeline, checked and ready to use: what to retrain, how to judge it, where to promote it. No I/O."""

import msgspec

from shared.domain.arrivals import ArrivalSettings
from shared.domain.azureml import AzureMLOnlineTarget, AzureMLTraining, ShareSettings
from shared.domain.blob_pattern import matches
from shared.domain.checks import Checks
from shared.domain.gate.decision import Gate
from shared.domain.rows import Rows
from shared.domain.services import ApprovalSettings, BakeSettings, ClassicTarget, NewTarget, TrainingService

Training = TrainingService | AzureMLTraining
Target = ClassicTarget | NewTarget | AzureMLOnlineTarget


class Pipeline(msgspec.Struct, frozen=True, kw_only=True):
    """One pipeline, checked and ready to use."""

    name: str
    blobs: str
    checks: Checks = Checks()
    arriving: ArrivalSettings = msgspec.field(default_factory=ArrivalSettings)
    schedule: str | None = None
    training: Training
    gate: Gate
    approval: ApprovalSettings = msgspec.field(default_factory=ApprovalSettings)
    bake: BakeSettings | None = None
    share: ShareSettings | None = None  #: steps of the traffic; always there where the targets stage
    targets: list[Target]
    rows: Rows
    proof_timeout: float  #: seconds
    fleet: str | None = None  #: the entry that this is one of many pipelines of
    waits: bool = False  #: its accepted jobs wait until a rollout of the fleet asks for them

    @property
    def inputs(self) -> list[str]:
        """The columns that its data must have beside those of the rules: the web service is asked with them."""
        return self.rows.columns if self.checks.proof_columns else []

    def takes(self, path: str) -> bool:
        return matches(self.blobs, path) or self.is_marker(path)

    def is_marker(self, path: str) -> bool:
        """Return whether the blob says that its folder is complete: a folder in which data of this pipeline may be."""
        folder, _, name = path.rpartition("/")
        return (
            self.arriving.batch == "marker"
            and name == self.arriving.marker
            and matches(f"{self.blobs.rpartition('/')[0]}/", f"{folder}/")
        )
