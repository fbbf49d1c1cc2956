// Everything that Relearn needs in Azure, in one resource group: `azd up` makes it, `azd down` removes it.
targetScope = 'subscription'

@description('Name of the azd environment. It becomes part of the resource group\'s name.')
@minLength(1)
@maxLength(64)
param environmentName string

@description('Region of all resources. It must offer the Flex Consumption plan.')
@minLength(1)
@metadata({
  azd: {
    type: 'location'
  }
})
param location string

@description('True: storage is reached through private endpoints in a virtual network only. Costs about 45 USD a month more.')
param privateNetwork bool = false

@description('Container into which people drop training data.')
@minLength(3)
@maxLength(63)
param dataContainer string = 'training-data'

@description('Address that alerts are mailed to. Empty: alerts are only shown in the portal.')
param alertEmail string = ''

@description('True: the app sends its log lines and spans itself. requirements.txt must be requirements-telemetry.txt then.')
param openTelemetry bool = false

@description('Object id of the person or workflow that deploys; azd gives it. It gets the app\'s rights on data and records, for the commands.')
param deployerId string = ''

@description('What deployerId is; azd gives it.')
@allowed([
  'User'
  'ServicePrincipal'
])
param deployerType string = 'User'

@description('Object id of a group whose members may use the commands too. Empty: none.')
param operatorsGroupId string = ''

@description('Resource id of a workspace of Azure Machine Learning v2 that the app trains and deploys in. Empty: none.')
param workspaceId string = ''

var token = toLower(uniqueString(subscription().id, environmentName, location))
var tags = {
  'azd-env-name': environmentName
}
// The scope of a module is computed even when its condition is false, so an empty id needs the parts of one too.
var workspaceParts = split(empty(workspaceId) ? '${subscription().id}/resourceGroups/none/providers/none/none/none' : workspaceId, '/')
var appName = 'func-relearn-${token}'

resource group 'Microsoft.Resources/resourceGroups@2024-03-01' = {
  name: 'rg-${environmentName}'
  location: location
  tags: tags
}

module identity 'modules/identity.bicep' = {
  name: 'identity'
  scope: group
  params: {
    name: 'id-relearn-${token}'
    location: location
    tags: tags
  }
}

module network 'modules/network.bicep' = if (privateNetwork) {
  name: 'network'
  scope: group
  params: {
    name: 'vnet-relearn-${token}'
    location: location
    tags: tags
  }
}

module monitoring 'modules/monitoring.bicep' = {
  name: 'monitoring'
  scope: group
  params: {
    token: token
    location: location
    tags: tags
    publisherId: identity.outputs.principalId
  }
}

module hostStorage 'modules/storage.bicep' = {
  name: 'host-storage'
  scope: group
  params: {
    name: 'sthost${token}'
    location: location
    tags: tags
    private: privateNetwork
    containers: [
      'app-package'
    ]
    queues: []
    workspaceId: monitoring.outputs.workspaceId
  }
}

module dataStorage 'modules/storage.bicep' = {
  name: 'data-storage'
  scope: group
  params: {
    name: 'stdata${token}'
    location: location
    tags: tags
    private: privateNetwork
    containers: [
      dataContainer
      'retraining'
      'models'
      'quarantine'
      'batches'
      'dead-letters'
    ]
    queues: [
      'model-promotions'
      'model-promotions-poison'
      'webjobs-blobtrigger-poison'
    ]
    workspaceId: monitoring.outputs.workspaceId
  }
}

module hostEndpoints 'modules/private-endpoints.bicep' = if (privateNetwork) {
  name: 'host-endpoints'
  scope: group
  params: {
    storageName: hostStorage.outputs.name
    location: location
    tags: tags
    subnetId: network!.outputs.endpointsSubnetId
    zoneIds: network!.outputs.zoneIds
  }
}

module dataEndpoints 'modules/private-endpoints.bicep' = if (privateNetwork) {
  name: 'data-endpoints'
  scope: group
  params: {
    storageName: dataStorage.outputs.name
    location: location
    tags: tags
    subnetId: network!.outputs.endpointsSubnetId
    zoneIds: network!.outputs.zoneIds
  }
}

module hostRoles 'modules/host-roles.bicep' = {
  name: 'host-roles'
  scope: group
  params: {
    storageName: hostStorage.outputs.name
    principalId: identity.outputs.principalId
  }
}

module dataRoles 'modules/data-roles.bicep' = {
  name: 'data-roles'
  scope: group
  params: {
    storageName: dataStorage.outputs.name
    dataContainer: dataContainer
    principalId: identity.outputs.principalId
    principalType: 'ServicePrincipal'
  }
}

module deployerRoles 'modules/data-roles.bicep' = if (!empty(deployerId)) {
  name: 'deployer-roles'
  scope: group
  params: {
    storageName: dataStorage.outputs.name
    dataContainer: dataContainer
    principalId: deployerId
    principalType: deployerType
  }
}

module operatorRoles 'modules/data-roles.bicep' = if (!empty(operatorsGroupId)) {
  name: 'operator-roles'
  scope: group
  params: {
    storageName: dataStorage.outputs.name
    dataContainer: dataContainer
    principalId: operatorsGroupId
    principalType: 'Group'
  }
}

module workspaceRole 'modules/workspace-role.bicep' = if (!empty(workspaceId)) {
  name: 'workspace-role'
  scope: resourceGroup(workspaceParts[2], workspaceParts[4])
  params: {
    workspaceName: workspaceParts[8]
    principalId: identity.outputs.principalId
  }
}

module app 'modules/app.bicep' = {
  name: 'app'
  scope: group
  params: {
    name: appName
    planName: 'plan-relearn-${token}'
    location: location
    tags: tags
    identityId: identity.outputs.id
    identityClientId: identity.outputs.clientId
    insightsConnection: monitoring.outputs.connection
    openTelemetry: openTelemetry
    hostStorageName: hostStorage.outputs.name
    dataStorageName: dataStorage.outputs.name
    dataContainer: dataContainer
    subnetId: privateNetwork ? network!.outputs.appSubnetId : ''
    // What pipelines.yaml names as ${NAME}. A secret is a Key Vault reference, never a value.
    pipelineSettings: loadJsonContent('pipeline-settings.json')
    workspaceId: monitoring.outputs.workspaceId
  }
  dependsOn: [
    hostRoles
    dataRoles
    hostEndpoints
    dataEndpoints
  ]
}

module topic 'modules/topic.bicep' = {
  name: 'topic'
  scope: group
  params: {
    name: 'evgt-relearn-${token}'
    location: location
    tags: tags
    dataStorageName: dataStorage.outputs.name
    identityId: identity.outputs.id
  }
}

module alerts 'modules/alerts.bicep' = {
  name: 'alerts'
  scope: group
  params: {
    token: token
    location: location
    tags: tags
    insightsId: monitoring.outputs.insightsId
    email: alertEmail
  }
}

// The hook and the workflow read these from the azd environment.
output AZURE_LOCATION string = location
output AZURE_RESOURCE_GROUP string = group.name
output AZURE_FUNCTION_APP_NAME string = app.outputs.name
output EVENT_TOPIC_NAME string = topic.outputs.name
output DATA_STORAGE_NAME string = dataStorage.outputs.name
output DATA_CONTAINER string = dataContainer
output IDENTITY_ID string = identity.outputs.id
