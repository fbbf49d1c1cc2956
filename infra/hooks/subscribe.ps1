# Subscribe the deployed app to new data. Run by azd after each deployment; it may be run again at any time.
$ErrorActionPreference = 'Stop'
$PSNativeCommandUseErrorActionPreference = $false

# The host makes its key, and answers Event Grid's question whether the address is its own, only when it has started.
foreach ($attempt in 1..5) {
  az deployment group create `
    --subscription $env:AZURE_SUBSCRIPTION_ID `
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
  if ($LASTEXITCODE -eq 0) { exit 0 }
  if ($attempt -lt 5) {
    Write-Host "Attempt $attempt of 5 failed; the app may still be starting. The next one is in 30 seconds."
    Start-Sleep -Seconds 30
  }
}
Write-Host 'The app is not subscribed to new data. See that it runs (portal, Log stream), then: azd hooks run postdeploy --service relearn'
exit 1
