// What the app, or an operator, may do with data, records and messages: each right where it is needed, and no wider.
param storageName string
param dataContainer string
param principalId string
param principalType string

var blobDataOwner = 'b7e6dc6d-f1e8-4753-8033-0f276bb0955b' // Storage Blob Data Owner
var blobDataContributor = 'ba92f5b4-2d11-453d-a403-e96b0029c9fe' // Storage Blob Data Contributor
var blobDelegator = 'db58b8e5-c6ad-4a2a-8342-4190687cbf4a' // Storage Blob Delegator
var queueDataContributor = '974c5e8b-45b9-4653-ba55-5f855dd0fb88' // Storage Queue Data Contributor
var definitions = 'Microsoft.Authorization/roleDefinitions'

resource data 'Microsoft.Storage/storageAccounts@2024-01-01' existing = {
  name: storageName
}

resource blobs 'Microsoft.Storage/storageAccounts/blobServices@2024-01-01' existing = {
  parent: data
  name: 'default'
}

resource dropped 'Microsoft.Storage/storageAccounts/blobServices/containers@2024-01-01' existing = {
  parent: blobs
  name: dataContainer
}

// The containers of RETRAINING_STORE, and the container of events that could not be delivered.
var ownContainers = [
  'retraining'
  'models'
  'quarantine'
  'batches'
  'dead-letters'
]

resource own 'Microsoft.Storage/storageAccounts/blobServices/containers@2024-01-01' existing = [
  for container in ownContainers: {
    parent: blobs
    name: container
  }
]

// TRAINING_DATA: the blob trigger's documents ask for Owner. The app reads there, and moves data into quarantine.
resource ofDropped 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  name: guid(dropped.id, principalId, blobDataOwner)
  scope: dropped
  properties: {
    principalId: principalId
    principalType: principalType
    roleDefinitionId: subscriptionResourceId(definitions, blobDataOwner)
  }
}

// RETRAINING_STORE: records, models, quarantine and joined batches.
resource ofOwn 'Microsoft.Authorization/roleAssignments@2022-04-01' = [
  for (container, index) in ownContainers: {
    name: guid(data.id, container, principalId, blobDataContributor)
    scope: own[index]
    properties: {
      principalId: principalId
      principalType: principalType
      roleDefinitionId: subscriptionResourceId(definitions, blobDataContributor)
    }
  }
]

// A link to one blob is signed with a user delegation key, which the account gives, not a container.
resource ofLinks 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  name: guid(data.id, principalId, blobDelegator)
  scope: data
  properties: {
    principalId: principalId
    principalType: principalType
    roleDefinitionId: subscriptionResourceId(definitions, blobDelegator)
  }
}

// PROMOTIONS and the poison queues. The host makes missing queues, for which a queue's own scope is too narrow.
resource ofQueues 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  name: guid(data.id, principalId, queueDataContributor)
  scope: data
  properties: {
    principalId: principalId
    principalType: principalType
    roleDefinitionId: subscriptionResourceId(definitions, queueDataContributor)
  }
}
