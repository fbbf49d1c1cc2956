# Subscribe the deployed app to new data. Run by azd after each deployment; it may be run again at any time.
$ErrorActionPreference = 'Stop'

az deployment group create `
  --resource-group $env:AZURE_RESOURCE_GROUP `
  --name new-training-data `
  --template-file (Join-Path $PSScriptRoot '../subscription.bicep') `
  --parameters `
    topicName=$env:EVENT_TOPIC_NAME `
    appName=$env:AZURE_FUNCTION_APP_NAME `
    dataStorageName=$env:DATA_STORAGE_NAME `
    dataContainer=$env:DATA_CONTAINER `
    identityId=$env:IDENTITY_ID `
  --query properties.provisioningState `
  --output tsv
if ($LASTEXITCODE -ne 0) { exit $LASTEXITCODE }
