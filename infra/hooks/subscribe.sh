#!/bin/sh
# Subscribe the deployed app to new data. Run by azd after each deployment; it may be run again at any time.
set -eu

subscribe() {
  az deployment group create \
    --subscription "$AZURE_SUBSCRIPTION_ID" \
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
}

# The host makes its key, and answers Event Grid's question whether the address is its own, only when it has started.
attempt=1
until subscribe; do
  if [ "$attempt" -ge 5 ]; then
    echo "The app is not subscribed to new data. See that it runs (portal, Log stream), then: azd hooks run postdeploy --service relearn" >&2
    exit 1
  fi
  echo "Attempt $attempt of 5 failed; the app may still be starting. The next one is in 30 seconds." >&2
  attempt=$((attempt + 1))
  sleep 30
done
