"""What the service sets in the environment of a job's command, so that it finds its run."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from aml.identity import tokens
from aml.state.records import Identity, Job
from aml.state.runs import run_of_job
from aml.state.workspace import Workspace

LIFETIME = 21 * 24 * 3600  #: seconds: as long as a job may run


def tracking(identity: Identity, address: str, authority: Path) -> dict[str, str]:
    """Return what leads MLflow to the workspace without its plug-in: an address, a token and a certificate."""
    return {
        "MLFLOW_TRACKING_URI": address,
        "MLFLOW_TRACKING_TOKEN": tokens.issue(identity, "https://management.azure.com", LIFETIME)[0],
        "MLFLOW_TRACKING_SERVER_CERT_PATH": str(authority.absolute()),
    }


@dataclass(frozen=True)
class JobVariables:
    """`address` is this server's, `authority` the file of the certificate to trust.

    `run` makes a job's run elsewhere and returns its id; without it the workspace has the run.
    """

    workspace: Workspace
    address: str
    authority: Path
    run: Callable[[Job], str] | None = None

    def of(self, job: Job) -> dict[str, str]:
        known = self.workspace.identity
        run = self.run(job) if self.run else run_of_job(self.workspace.records, job).name
        root = job.properties["properties"].get("azureml.parentRunId", job.name)
        return {
            **tracking(known, f"{self.address}/mlflow/v1.0{self.workspace.id}", self.authority),
            "MLFLOW_EXPERIMENT_NAME": job.properties["experimentName"],
            "MLFLOW_RUN_ID": run,
            "AZUREML_RUN_ID": job.name,
            "AZUREML_ROOT_RUN_ID": root,
            "AZUREML_EXPERIMENT_NAME": job.properties["experimentName"],
            "AZUREML_ARM_SUBSCRIPTION": known.subscription,
            "AZUREML_ARM_RESOURCEGROUP": known.group,
            "AZUREML_ARM_WORKSPACE_NAME": known.workspace,
        }
