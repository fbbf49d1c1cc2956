"""A user's script against a workspace: one client of azure-ai-ml, and MLflow with Azure Machine Learning's plug-in.

Nothing in it knows that the workspace is on this machine: the environment says so. Each step prints a line of JSON.
"""

import os

import assets
import batch
import jobs
import registry
import sample_files
import serving
import tracking
from azure.ai.ml import MLClient
from azure.identity import DefaultAzureCredential

client = MLClient(
    DefaultAzureCredential(),
    os.environ["AZURE_SUBSCRIPTION_ID"],
    os.environ["AZURE_RESOURCE_GROUP"],
    os.environ["AZUREML_WORKSPACE_NAME"],
)
sample_files.run()
assets.run(client)
begun = serving.begin(client)
called = batch.begin(client)
trained = jobs.run(client)
tracking.run(client, trained)
registry.run(client, trained)
serving.run(client, trained, begun)
batch.run(client, called)  # last: the client keeps the header of a call that names a deployment
