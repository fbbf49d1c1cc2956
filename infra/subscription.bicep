// Sends each new blob of the data container to the app. Deployed by the hook after each deployment of the app: the key
// of the webhook exists only when the host has read the triggers. The key stays inside this template.
param topicName string
param appName string
param dataStorageName string
param dataContainer string
param identityId string

resource app 'Microsoft.Web/sites@2024-04-01' existing = {
  name: appName
}

resource data 'Microsoft.Storage/storageAccounts@2024-01-01' existing = {
  name: dataStorageName
}

resource topic 'Microsoft.EventGrid/systemTopics@2025-02-15' existing = {
  name: topicName
}

var key = listKeys('${app.id}/host/default', '2024-04-01').systemKeys.blobs_extension
var webhook = 'https://${app.properties.defaultHostName}/runtime/webhooks/blobs'

resource subscription 'Microsoft.EventGrid/systemTopics/eventSubscriptions@2025-02-15' = {
  parent: topic
  name: 'new-training-data'
  properties: {
    destination: {
      endpointType: 'WebHook'
      properties: {
        endpointUrl: '${webhook}?functionName=Host.Functions.start_retraining&code=${key}'
        maxEventsPerBatch: 1
      }
    }
    eventDeliverySchema: 'EventGridSchema'
    filter: {
      includedEventTypes: [
        'Microsoft.Storage.BlobCreated'
      ]
      // The slash at the end: without it, `training-data-old` would match too.
      subjectBeginsWith: '/blobServices/default/containers/${dataContainer}/blobs/'
      isSubjectCaseSensitive: true
      // One event a blob: a writer that makes several calls raises others, before the blob is whole.
      advancedFilters: [
        {
          operatorType: 'StringIn'
          key: 'data.api'
          values: [
            'PutBlob'
            'PutBlockList'
            'CopyBlob'
            'FlushWithClose'
          ]
        }
      ]
    }
    retryPolicy: {
      eventTimeToLiveInMinutes: 1440
      maxDeliveryAttempts: 30
    }
    deadLetterWithResourceIdentity: {
      identity: {
        type: 'UserAssigned'
        userAssignedIdentity: identityId
      }
      deadLetterDestination: {
        endpointType: 'StorageBlob'
        properties: {
          resourceId: data.id
          blobContainerName: 'dead-letters'
        }
      }
    }
  }
}
