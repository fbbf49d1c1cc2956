"""`run.py drop FILE PATH`: puts a file where the pipelines of `up` look for data."""

from __future__ import annotations

import sys
from pathlib import Path

from azure.core.exceptions import AzureError
from azure.storage.blob import BlobServiceClient

from local import home
from local.commands import parser_of
from shared.base.errors import BadConfiguration
from shared.base.settings import Settings
from shared.configuration.loading import load_pipelines


def main() -> int:
    chosen = parser_of("drop").parse_args()
    try:
        settings = home.load_settings()
    except BadConfiguration as error:
        print(f"drop: {error}", file=sys.stderr)
        return 1
    if settings is None or not home.is_running(int(settings[home.PORT])):
        print("drop: the storage does not run; start it: python3 run.py up", file=sys.stderr)
        return 3
    file: Path = chosen.file
    container = settings["TRAINING_DATA_PATH"].split("/")[0]
    path = chosen.path.removeprefix(f"{container}/")
    path = f"{path}{file.name}" if path.endswith("/") else path
    try:
        pipelines = load_pipelines(Settings(settings).pipelines_file, Settings(settings))
        if not pipelines.taking(path):
            print(f"drop: {path!r} belongs to no pipeline; {pipelines.why_none(path)}", file=sys.stderr)
            return 1
        storage = BlobServiceClient.from_connection_string(settings["TRAINING_DATA"], retry_total=2)
        with file.open("rb") as content:
            storage.get_blob_client(container, path).upload_blob(content, overwrite=True)
    except OSError as error:
        print(f"drop: {file} cannot be read: {error.strerror}", file=sys.stderr)
        return 1
    except (BadConfiguration, AzureError) as error:
        print(f"drop: {error}", file=sys.stderr)
        return 1
    print(f"dropped at {container}/{path}; see what becomes of it: python3 run.py data")
    return 0


if __name__ == "__main__":
    sys.exit(main())
