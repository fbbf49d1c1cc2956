#!/bin/sh
# Subscribe the deployed app to new data. Run by azd after each deployment; it may be run again at any time.
set -eu

az deployment group create \
  --resource-group "$AZURE_RESOURCE_GROUP" \
  --name new-training-data \
  --template-file "$(dirname "$0")/../subscription.bicep" \
  --parameters \
    topicName="$EVENT_TOPIC_NAME" \
    appName="$AZURE_FUNCTION_APP_NAME" \
    dataStorageName="$DATA_STORAGE_NAME" \
    dataContainer="$DATA_CONTAINER" \
    identityId="$IDENTITY_ID" \
  --query properties.provisioningState \
  --output tsv
