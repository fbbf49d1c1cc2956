// The function app on the Flex Consumption plan, and every setting that it reads.
param name string
param planName string
param location string
param tags object
param identityId string
param identityClientId string
param insightsConnection string
@description('The worker sends its telemetry itself, in the form of OpenTelemetry.')
param openTelemetry bool
param hostStorageName string
param dataStorageName string
param dataContainer string
@description('Subnet of the app. Empty: no virtual network.')
param subnetId string
@description('Settings that pipelines.yaml names.')
param pipelineSettings object
param workspaceId string

resource hostStorage 'Microsoft.Storage/storageAccounts@2024-01-01' existing = {
  name: hostStorageName
}

resource dataStorage 'Microsoft.Storage/storageAccounts@2024-01-01' existing = {
  name: dataStorageName
}

var host = hostStorage.properties.primaryEndpoints
var data = dataStorage.properties.primaryEndpoints

// A user-assigned identity needs both members of each connection, for the scale controller too.
var settings = {
  AzureWebJobsStorage__credential: 'managedidentity'
  AzureWebJobsStorage__clientId: identityClientId
  AzureWebJobsStorage__blobServiceUri: host.blob
  AzureWebJobsStorage__queueServiceUri: host.queue
  AzureWebJobsStorage__tableServiceUri: host.table
  APPLICATIONINSIGHTS_CONNECTION_STRING: insightsConnection
  APPLICATIONINSIGHTS_AUTHENTICATION_STRING: 'ClientId=${identityClientId};Authorization=AAD'
  TRAINING_DATA__credential: 'managedidentity'
  TRAINING_DATA__clientId: identityClientId
  TRAINING_DATA__blobServiceUri: data.blob
  TRAINING_DATA__queueServiceUri: data.queue
  TRAINING_DATA_PATH: '${dataContainer}/{name}'
  TRAINING_DATA_SOURCE: 'eventgrid'
  RETRAINING_STORE__credential: 'managedidentity'
  RETRAINING_STORE__clientId: identityClientId
  RETRAINING_STORE__blobServiceUri: data.blob
  PROMOTIONS__credential: 'managedidentity'
  PROMOTIONS__clientId: identityClientId
  PROMOTIONS__queueServiceUri: data.queue
  PROMOTIONS_QUEUE: 'model-promotions'
  POLL_SCHEDULE: '*/15 * * * * *'
  SWEEP_SCHEDULE: '0 */10 * * * *'
  KEEP_MODELS: '10'
  KEEP_MODELS_FOR: '90d'
  PIPELINES_FILE: 'pipelines.yaml'
}

// With the package azure-monitor-opentelemetry. It calls the endpoints of Application Insights that are named above only.
var telemetry = {
  AzureFunctionsJobHost__telemetryMode: 'OpenTelemetry'
  PYTHON_APPLICATIONINSIGHTS_ENABLE_TELEMETRY: 'true'
  PYTHON_APPLICATIONINSIGHTS_LOGGER_NAME: 'relearn'
  OTEL_PYTHON_DISABLED_INSTRUMENTATIONS: 'azure_sdk,urllib,urllib3' // they repeat each call that `requests` makes
  APPLICATIONINSIGHTS_STATSBEAT_DISABLED_ALL: 'true'
  APPLICATIONINSIGHTS_CONTROLPLANE_DISABLED: 'true'
}

resource plan 'Microsoft.Web/serverfarms@2024-04-01' = {
  // checkov:skip=CKV_AZURE_225: not every region has zones for this plan; a missed poll is made up by the next, in any zone
  name: planName
  location: location
  tags: tags
  kind: 'functionapp'
  sku: {
    name: 'FC1'
    tier: 'FlexConsumption'
  }
  properties: {
    reserved: true
  }
}

resource app 'Microsoft.Web/sites@2024-04-01' = {
  // checkov:skip=CKV_AZURE_222: Event Grid delivers to the public webhook, which asks for the host's key
  // checkov:skip=CKV_AZURE_17: Event Grid has no client certificate to show; no function has an HTTP trigger
  // checkov:skip=CKV_AZURE_212: this plan starts instances for each trigger and stops them when there is nothing to do
  // checkov:skip=CKV_AZURE_213: this plan has no health check; the alert no-poll watches the app
  name: name
  location: location
  tags: union(tags, {
    'azd-service-name': 'relearn'
  })
  kind: 'functionapp,linux'
  identity: {
    type: 'UserAssigned'
    userAssignedIdentities: {
      '${identityId}': {}
    }
  }
  properties: {
    serverFarmId: plan.id
    httpsOnly: true
    keyVaultReferenceIdentity: identityId
    publicNetworkAccess: 'Enabled'
    virtualNetworkSubnetId: empty(subnetId) ? null : subnetId
    siteConfig: {
      ftpsState: 'Disabled'
      http20Enabled: true
      minTlsVersion: '1.2'
    }
    functionAppConfig: {
      deployment: {
        storage: {
          type: 'blobContainer'
          value: '${host.blob}app-package'
          authentication: {
            type: 'UserAssignedIdentity'
            userAssignedIdentityResourceId: identityId
          }
        }
      }
      runtime: {
        name: 'python'
        version: '3.12'
      }
      scaleAndConcurrency: {
        instanceMemoryMB: 2048
        maximumInstanceCount: 40
      }
    }
  }

  resource appSettings 'config' = {
    // checkov:skip=CKV_AZURE_13: these are the app's settings, not its site's; no function has an HTTP trigger
    // checkov:skip=CKV_AZURE_63: these are the app's settings, not its site's; Application Insights has the requests
    // checkov:skip=CKV_AZURE_65: these are the app's settings, not its site's
    // checkov:skip=CKV_AZURE_66: these are the app's settings, not its site's
    // checkov:skip=CKV_AZURE_80: a Python app does not use .NET
    // checkov:skip=CKV_AZURE_88: the app keeps nothing in files
    // checkov:skip=CKV_AZURE_222: these are the app's settings, not its site's
    name: 'appsettings'
    properties: union(pipelineSettings, settings, openTelemetry ? telemetry : {})
  }
}

resource publishing 'Microsoft.Web/sites/basicPublishingCredentialsPolicies@2024-04-01' = [
  for protocol in ['ftp', 'scm']: {
    parent: app
    name: protocol
    properties: {
      allow: false
    }
  }
]

resource log 'Microsoft.Insights/diagnosticSettings@2021-05-01-preview' = {
  name: 'to-workspace'
  scope: app
  properties: {
    workspaceId: workspaceId
    logs: [
      {
        category: 'FunctionAppLogs'
        enabled: true
      }
    ]
  }
}

output name string = app.name
